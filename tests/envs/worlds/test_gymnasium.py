"""Gymnasium's conventions: what its own functions, wrappers and planners expect of an environment."""

from __future__ import annotations

import copy
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import clrobot  # noqa: F401 -- registers the environments
from clrobot.envs.simulation.simulation import HORIZON
from clrobot.envs.tasks import TASKS
from clrobot.envs.tasks.push import Push
from clrobot.envs.worlds.gym_env import TaskEnv
from clrobot.envs.worlds.make import make_vector_env
from clrobot.envs.worlds.vector_env import TaskVectorEnv

SMALL = {"width": 32, "height": 24}
WORLD = {"sensor.noise": 0.1, "action.delay": 2}
COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda env: pickle.loads(pickle.dumps(env))}
every_copy = pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)


def _actions(steps: int, n: int) -> np.ndarray:
    return np.random.default_rng(3).uniform(-1, 1, (steps, n, 4)).astype(np.float32)


@pytest.fixture
def clips(monkeypatch: pytest.MonkeyPatch) -> list[list[np.ndarray]]:
    """The films that Gymnasium's RecordVideo makes: it wants MoviePy, which this project does without."""
    found: list[list[np.ndarray]] = []

    class Clip:
        def __init__(self, frames: list[np.ndarray], fps: int) -> None:
            assert fps == 25
            found.append(list(frames))

        def write_videofile(self, path: str, logger: Any = None) -> None:
            Path(path).write_bytes(b"film")

    for name in ("moviepy", "moviepy.video", "moviepy.video.io", "moviepy.video.io.ImageSequenceClip"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules["moviepy.video.io.ImageSequenceClip"].ImageSequenceClip = Clip  # type: ignore[attr-defined]
    return found


# --- made by name ------------------------------------------------------------------------------------------------


def test_the_registry_says_how_long_an_episode_is() -> None:
    for task in TASKS:
        assert gym.spec(task.gym_id()).max_episode_steps == HORIZON


def test_make_vec_draws_each_simulation() -> None:
    env = gym.make_vec("clrobot/Reach-v0", num_envs=3, render_mode="rgb_array", **SMALL)
    env.reset(seed=0)
    env.step(_actions(1, 3)[0])
    pictures = env.render()
    assert env.render_mode == "rgb_array"
    assert isinstance(pictures, tuple)
    assert [(p.shape, p.dtype) for p in pictures] == [((24, 32, 3), np.uint8)] * 3
    one = gym.make("clrobot/Reach-v0", render_mode="rgb_array", **SMALL)
    one.reset(seed=2)
    one.step(_actions(1, 3)[0, 2])
    assert_array_equal(pictures[2], one.render())
    one.close()
    env.close()
    assert make_vector_env("reach", 2).render() is None


def test_a_render_mode_that_it_lacks_is_one_sentence() -> None:
    with pytest.raises(ValueError, match=r"render_mode 'human'; expected 'rgb_array' or None"):
        gym.make_vec("clrobot/Reach-v0", num_envs=2, render_mode="human")


@pytest.mark.parametrize(("asked", "length"), [(None, HORIZON), (-1, HORIZON), (7, 7)])
def test_make_vec_takes_the_length_of_an_episode(asked: int | None, length: int) -> None:
    given = {} if asked is None else {"max_episode_steps": asked}
    env = gym.make_vec("clrobot/Reach-v0", num_envs=2, **given)
    env.reset(seed=0)
    ends = [env.step(actions)[3].tolist() for actions in _actions(2 * length, 2)]
    assert [t for t, end in enumerate(ends, 1) if end == [True, True]] == [length, 2 * length]
    assert sum(map(sum, ends)) == 4
    env.close()


@pytest.mark.parametrize("steps", [0, HORIZON + 1])
def test_a_length_that_it_cannot_have_is_one_sentence(steps: int) -> None:
    with pytest.raises(ValueError, match=rf"max_episode_steps {steps}; expected 1 to 100"):
        gym.make_vec("clrobot/Reach-v0", num_envs=2, max_episode_steps=steps)


def test_staggered_short_episodes_are_spread_evenly() -> None:
    env = TaskVectorEnv(Push(), 5, stagger=True, max_episode_steps=10)
    env.reset(seed=0)
    assert env.sim.elapsed.tolist() == [0, 2, 4, 6, 8]


def test_the_registered_length_changes_no_step() -> None:
    """Gymnasium's TimeLimit counts as the environment itself does."""
    limited, bare = gym.make("clrobot/Push-v0"), TaskEnv(Push())
    limited.reset(seed=4), bare.reset(seed=4)
    for action in _actions(HORIZON, 1)[:, 0]:
        found, expected = limited.step(action), bare.step(action)
        assert_array_equal(found[0], expected[0])
        assert found[1:] == expected[1:]
    assert found[3]


@pytest.mark.parametrize("mode", ["sync", "vector_entry_point"])
def test_each_way_to_make_many_shows_the_same(mode: str) -> None:
    kwargs = {"vector_kwargs": {"autoreset_mode": gym.vector.AutoresetMode.SAME_STEP}} if mode == "sync" else {}
    env = gym.make_vec("clrobot/Push-v0", num_envs=2, vectorization_mode=mode, **kwargs)
    reference = make_vector_env("push", 2)
    assert_array_equal(env.reset(seed=1)[0], reference.reset(seed=1)[0])
    for actions in _actions(HORIZON + 3, 2):
        for found, expected in zip(env.step(actions)[:4], reference.step(actions)[:4], strict=True):
            assert_array_equal(found, expected)
    env.close()


def test_a_mask_says_which_begin_anew() -> None:
    env, other = make_vector_env("push", 4), make_vector_env("push", 4)
    env.reset(seed=0), other.reset(seed=9)
    obs, *_ = env.step(_actions(1, 4)[0])
    found, _ = env.reset(seed=9, options={"reset_mask": np.array([False, True, False, True])})
    assert_array_equal(found[[0, 2]], obs[[0, 2]])
    assert_array_equal(found[[1, 3]], other.sim.observe()[[1, 3]])
    assert env.sim.elapsed.tolist() == [1, 0, 1, 0]
    with pytest.raises(ValueError, match=r"reset_mask of shape \(2,\); expected 4 of True or False"):
        env.reset(options={"reset_mask": np.array([True, False])})


# --- copies ------------------------------------------------------------------------------------------------------


@every_copy
@pytest.mark.parametrize("overrides", [{}, WORLD], ids=["as it is", "another world"])
def test_a_copy_goes_on_with_the_same_bits(copied: Callable[[Any], Any], overrides: dict[str, float]) -> None:
    env = gym.make("clrobot/Push-v0", overrides=overrides)
    env.reset(seed=6)
    actions = _actions(3 + 2 * HORIZON, 1)[:, 0]
    for action in actions[:3]:
        env.step(action)
    other = copied(env)
    for action in actions[3:]:
        found, expected = other.step(action), env.step(action)
        assert_array_equal(found[0], expected[0])
        assert found[1:] == expected[1:]
        if found[3]:  # the generators went along
            assert_array_equal(other.reset()[0], env.reset()[0])


@every_copy
def test_a_copy_is_its_own(copied: Callable[[Any], Any]) -> None:
    env = make_vector_env("push", 4)
    env.reset(seed=6)
    before = env.sim.get_state()
    other = copied(env)
    for actions in _actions(HORIZON, 4):
        other.step(actions)
    after = env.sim.get_state()
    assert after.generators == before.generators
    for name, array in before.arrays.items():
        assert_array_equal(after.arrays[name], array)


@every_copy
def test_a_copy_of_many_goes_on_with_the_same_bits(copied: Callable[[Any], Any]) -> None:
    env = TaskVectorEnv(Push(), 6, threads=2, stagger=True, overrides=WORLD)
    env.reset(seed=2)
    actions = _actions(30, 6)
    for action in actions[:15]:
        env.step(action)
    other = copied(env)
    for action in actions[15:]:
        for found, expected in zip(other.step(action)[:4], env.step(action)[:4], strict=True):
            assert_array_equal(found, expected)


@every_copy
def test_a_copy_draws_too(copied: Callable[[Any], Any]) -> None:
    env = gym.make("clrobot/Push-v0", render_mode="rgb_array", **SMALL)
    env.reset(seed=0)
    picture = env.render()
    other = copied(env)
    assert_array_equal(other.render(), picture)
    other.close()
    assert_array_equal(env.render(), picture)
    env.close()


# --- Gymnasium's wrappers ------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*Recorded episodes will not contain")
def test_record_video(clips: list[list[np.ndarray]], tmp_path: Path) -> None:
    one = gym.make("clrobot/Reach-v0", render_mode="rgb_array", **SMALL)
    one = gym.wrappers.RecordVideo(one, str(tmp_path / "one"), episode_trigger=lambda _: True)
    one.reset(seed=0)
    for action in _actions(HORIZON, 1)[:, 0]:
        one.step(action)
    one.close()
    assert len(clips.pop()) == HORIZON + 1
    many = gym.make_vec("clrobot/Reach-v0", num_envs=4, render_mode="rgb_array", max_episode_steps=5, **SMALL)
    many = gym.wrappers.vector.RecordVideo(many, str(tmp_path / "many"), episode_trigger=lambda _: True)
    many.reset(seed=0)
    for actions in _actions(7, 4):
        many.step(actions)
    many.close()
    assert [len(frames) for frames in clips] == [5, 3]
    assert {frame.shape for frames in clips for frame in frames} == {(48, 64, 3)}


def test_record_episode_statistics() -> None:
    one = gym.wrappers.RecordEpisodeStatistics(gym.make("clrobot/Reach-v0"))
    many = gym.wrappers.vector.RecordEpisodeStatistics(gym.make_vec("clrobot/Reach-v0", num_envs=2))
    one.reset(seed=1), many.reset(seed=0)
    rewards = np.zeros(2)
    for actions in _actions(HORIZON, 2):
        *_, info = one.step(actions[1])
        _, reward, _, _, infos = many.step(actions)
        rewards += reward
    assert info["episode"]["l"] == HORIZON
    assert infos["episode"]["l"].tolist() == [HORIZON] * 2
    np.testing.assert_allclose(infos["episode"]["r"], rewards, atol=1e-5)
    np.testing.assert_allclose(info["episode"]["r"], rewards[1], atol=1e-5)
    one.close()
    many.close()
