"""A forked process goes on with the simulations that it inherits, whose threads it has not."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from clrobot.envs.cores import usable_cores
from clrobot.envs.gl import gl_problem
from clrobot.envs.rendering import RenderError, open_renderer
from clrobot.envs.simulation import state
from clrobot.envs.worlds.make import make_vector_env
from clrobot.envs.worlds.vector_env import TaskVectorEnv

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning"),
]
LIMIT = 20.0  # s; what hangs does so for ever


def _in_child(work: Callable[[], Any]) -> Any:
    """Return what `work` returns in a forked process; fail where that takes longer than LIMIT."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=lambda: theirs.send(work()))
    child.start()
    try:
        assert ours.poll(LIMIT), "the child hangs"
        return ours.recv()
    finally:
        child.kill()
        child.join()


def _used(n: int = 8, **kwargs: Any) -> TaskVectorEnv:
    env = make_vector_env("push", n, threads=3, **kwargs)
    env.reset(seed=0)
    env.step(np.full((n, 4), 0.5, np.float32))
    return env


def _few_steps(env: TaskVectorEnv) -> np.ndarray:
    actions = np.random.default_rng(1).uniform(-1, 1, (20, env.num_envs, 4))
    return np.array([env.step(action)[0] for action in actions])


def test_a_child_goes_on_with_the_same_bits() -> None:
    env = _used()
    found = _in_child(lambda: _few_steps(env))
    np.testing.assert_array_equal(found, _few_steps(env))


def test_a_child_of_a_child_does_too() -> None:
    env = _used()
    found = _in_child(lambda: (env.step(np.zeros((8, 4))), _in_child(lambda: _few_steps(env)))[1])
    env.step(np.zeros((8, 4)))
    np.testing.assert_array_equal(found, _few_steps(env))


def test_a_child_may_begin_anew() -> None:
    env = _used()
    found = _in_child(lambda: (env.reset(seed=5), _few_steps(env))[1])
    env.reset(seed=5)
    np.testing.assert_array_equal(found, _few_steps(env))


def test_a_child_lets_go_of_a_simulation() -> None:
    held = [_used()]
    assert _in_child(lambda: (held.clear(), "gone")[1]) == "gone"


def test_a_process_that_was_forked_ends() -> None:
    """It finalises its interpreter, unlike a child of `multiprocessing`."""
    code = (
        "import os, signal, sys\n"
        "import numpy as np\n"
        "from clrobot.envs.worlds.make import make_vector_env\n"
        "env = make_vector_env('push', 8, threads=3)\n"
        "env.reset(seed=0), env.step(np.zeros((8, 4)))\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        f"    signal.alarm({LIMIT:.0f})\n"
        "    sys.exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=3 * LIMIT)


def test_a_child_draws() -> None:
    env = gym.make_vec("clrobot/Reach-v0", num_envs=2, render_mode="rgb_array", width=32, height=24, threads=2)
    env.reset(seed=0)
    shown = env.render()
    found = _in_child(env.render)
    assert [picture.shape for picture in found] == [(24, 32, 3)] * 2
    np.testing.assert_allclose(np.mean(found, axis=(1, 2)), np.mean(shown, axis=(1, 2)), atol=20)  # rays, not OpenGL
    assert np.array_equal(env.render(), shown)
    env.close()


def test_opengl_of_the_parent_is_one_sentence_in_a_child() -> None:
    if gl_problem() is not None:
        pytest.skip(gl_problem() or "")
    model = make_vector_env("reach", 1).sim.model
    with open_renderer(model, 32, 24, backend="gl") as renderer:

        def told() -> str:
            with pytest.raises(RenderError, match="used before this process was forked"):
                open_renderer(model, 32, 24, backend="gl")
            with pytest.raises(RenderError) as failure:
                renderer.frame([])
            renderer.close()
            return str(failure.value)

        assert "start the process with the method 'spawn'" in _in_child(told)


# --- threads -------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system knows no affinity")
def test_as_many_threads_as_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "usable_cores", usable_cores)  # as it is where no other test runs
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert usable_cores() == 1
        assert make_vector_env("reach", 8).sim.batch.nthread == 1
        assert make_vector_env("reach", 8, threads=3).sim.batch.nthread == 3
    finally:
        os.sched_setaffinity(0, allowed)
    assert make_vector_env("reach", 256).sim.batch.nthread == len(allowed)
    assert make_vector_env("reach", 1, threads=8).sim.batch.nthread == 1
