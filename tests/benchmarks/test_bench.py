"""What `clrobot bench` compares does the same work."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest

from clrobot.benchmarks import bench
from clrobot.envs.scene.arm import SUBSTEPS
from clrobot.envs.simulation.actions import ACTION_SIZE
from clrobot.envs.simulation.simulation import HORIZON
from clrobot.envs.tasks.reach import Reach
from clrobot.envs.worlds.make import make_vector_env
from clrobot.terminal import LiteralConsole


@pytest.mark.parametrize("task", ["reach", "drawer-open"])
def test_the_bare_physics_goes_the_environments_way(task) -> None:
    env = make_vector_env(task, 3)
    actions = np.random.default_rng(0).uniform(-1.0, 1.0, (HORIZON, 3, ACTION_SIZE)).astype(np.float32)
    start, controls = bench._episode(env, actions)
    batch = make_vector_env(task, 3).sim.batch
    batch.state[:] = start
    batch.forward()
    for control in controls[:-1]:
        batch.bind("ctrl")[:] = control
        batch.step(nstep=SUBSTEPS)
    env.reset(seed=0)
    for action in actions[:-1]:
        env.step(action)
    np.testing.assert_array_equal(batch.state, env.sim.batch.state)


def test_bench_prints_and_writes_what_it_measured(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(bench, "TASKS_BY_ID", {"reach": Reach})
    monkeypatch.setattr(bench, "_ROUNDS", 1)
    out = io.StringIO()
    console = LiteralConsole(out, width=80)
    found = bench.run_bench(4, 0.01, "reach", None, tmp_path / "bench.json", console)
    assert json.loads((tmp_path / "bench.json").read_text()) == found
    speed, shares = found["tasks"]["reach"], found["ppo"]["shares"]
    assert min(speed.values()) > 0
    assert set(shares) == {"physics", "learning", "acting", "rest"}
    assert sum(shares.values()) == pytest.approx(1.0, abs=0.001)
    assert min(shares.values()) > 0
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.split()[:2] == ["reach", f"{speed['env_steps_per_second']:,}"] for line in lines)
