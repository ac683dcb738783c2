"""EnvPool itself: what its tasks show and tell, beside its bare pools, and a training that is stopped in them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.outcomes import outcome, stopped_with
from support.trainings import TINY, quickly

from clrobot.envs.worlds.envpool_import import imported, why_nothing_is_drawn
from clrobot.envs.worlds.envpool_kind import EnvPoolKind, success_keys
from clrobot.envs.worlds.pool import DRIFTS
from clrobot.envs.worlds.spec import Measured, WorldSpec
from clrobot.experiment.config import make_config
from clrobot.experiment.curricula import CURRICULA
from clrobot.experiment.prepare import prepare
from clrobot.films.record import Film, record
from clrobot.runs.checkpoint import load_agent
from clrobot.runs.folder import RunFolder
from clrobot.training.observer import Silent
from clrobot.training.resuming import resume
from clrobot.training.training import train

pytestmark = pytest.mark.envpool
KIND = EnvPoolKind()
HORIZON = 15
FAMILIES = {"MetaWorld/Push-v3": (39, 4), "FetchPushDense-v4": (31, 4), "PandaPickCube-v1": (66, 8)}
TASKS = sorted({stage.task for name in ("cw10", "mw4", "fetch4", "panda3") for stage in CURRICULA[name].stages})


def spec(name: str, horizon: int | None = HORIZON) -> WorldSpec:
    """With a scale of 1, so that observations are EnvPool's own, as far as they are small."""
    sizes = FAMILIES[name]
    measured = Measured((0.0,) * sizes[0], (1.0,) * sizes[0], sizes[1], None)
    return WorldSpec(f"envpool:{name}", horizon=horizon, measured=measured)


def flat(obs: Any) -> Any:
    return np.concatenate([obs[name] for name in sorted(obs)], axis=1) if isinstance(obs, dict) else obs


@pytest.mark.parametrize("name", FAMILIES)
def test_what_is_seen_is_the_bare_pool_s_without_the_call_that_resets(name: str) -> None:
    envpool, n, steps = imported(), 3, 3 * HORIZON
    drawn = np.random.default_rng(0).uniform(-1.0, 1.0, (steps, n, FAMILIES[name][1])).astype(np.float32)
    hidden = {"partially_observable": False} if "MetaWorld" in name else {}
    bare = envpool.make(
        name, env_type="gymnasium", num_envs=n, num_threads=1, seed=9, max_episode_steps=HORIZON, **hidden
    )
    world = KIND.make(spec(name), n)
    obs, _ = world.reset(seed=9)
    np.testing.assert_array_equal(obs, flat(bare.reset()[0]).clip(-10, 10).astype(np.float32))
    for t, action in enumerate(drawn, 1):
        obs, rewards, terminated, truncated, infos = world.step(action)
        last, own, over, cut, _ = bare.step(action)
        np.testing.assert_array_equal(rewards, own.astype(np.float64))
        np.testing.assert_array_equal((terminated, truncated), (over, cut))
        assert (truncated == (t % HORIZON == 0)).all()
        if truncated.all():
            np.testing.assert_array_equal(infos["final_obs"], flat(last).clip(-10, 10).astype(np.float32))
            last = bare.step(action)[0]
        np.testing.assert_array_equal(obs, flat(last).clip(-10, 10).astype(np.float32))


@pytest.mark.parametrize("name", FAMILIES)
def test_the_same_seed_gives_the_same_steps_in_any_company(name: str) -> None:
    """Neither the threads, nor the other simulations, nor what came before them makes a difference."""
    drawn = np.random.default_rng(1).uniform(-1.0, 1.0, (2 * HORIZON, 1, FAMILIES[name][1]))
    found = []
    for n, threads in ((1, 1), (4, 2)):
        world = KIND.make(spec(name), n, threads=threads)
        for _ in range(2):
            seen = [world.reset(seed=[11, 12, 13, 14][:n])[0][0]]
            seen += [world.step(np.repeat(action, n, axis=0))[0][0] for action in drawn]
            found.append(np.stack(seen))
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])
    starts = KIND.make(spec(name), 4).reset(seed=0)[0]
    assert len(np.unique(starts, axis=0)) == 4


def test_goals_are_shown() -> None:
    world = KIND.make(spec("MetaWorld/Push-v3"), 8)
    goals = world.reset(seed=0)[0][:, 36:]
    assert len(np.unique(goals, axis=0)) == 8
    assert (np.abs(goals[:, 0]) <= 0.1).all()
    assert ((goals[:, 1] >= 0.8) & (goals[:, 1] <= 0.9)).all()


@pytest.mark.parametrize("task", TASKS)
def test_tasks_of_our_curricula_are_offered_with_what_tells_success(task: str) -> None:
    stage = next(stage for curriculum in CURRICULA.values() for stage in curriculum.stages if stage.task == task)
    measured = KIND.examine(stage.spec)
    expected = {"MetaWorld": "success", "Fetch": "is_success", "Panda": "reward_box_target"}
    assert measured.success == next(key for start, key in expected.items() if start in task)
    world = KIND.make(replace(stage.spec, measured=measured), 2)
    world.reset(seed=0)
    world.step(np.zeros(world.action_space.shape, np.float32))
    assert world.tells_success
    assert not world.solved_now.any()


def test_the_panda_s_success_is_told_in_one_task_alone() -> None:
    """The others have the key, and it stays 0: they are judged by a term of the reward."""
    told = [
        name
        for name in ("PickCube", "PickCubeCartesian", "OpenCabinet")
        if len(success_keys(f"envpool:Panda{name}-v1")) == 3
    ]
    assert told == ["PickCubeCartesian"]


THREE: dict[str, Any] = {
    "name": "three",
    "pad": True,
    "stages": [
        {"task": "envpool:MetaWorld/Reach-v3", "steps": 320, "horizon": 20},
        {"task": "gymnasium:Reacher-v5", "steps": 128, "success": {"return_above": -6.0}},
        {"task": "reach", "steps": 128},
        {"task": "envpool:FetchReachDense-v4", "steps": 192},
    ],
}


def test_a_stopped_training_in_all_three_kinds_of_world_goes_on_with_the_same_bits(tmp_path: Path) -> None:
    tiny = {name: value for name, value in TINY.items() if name not in ("curriculum", "steps", "checkpoint")}
    config = prepare(make_config(**tiny | {"curriculum": THREE, "method": "finetune", "checkpoint": {"steps": 128}}))
    with quickly():
        expected = outcome(train(config, tmp_path / "whole", Silent()).path)
        for boundary in (4, 16):
            run = stopped_with(config, tmp_path / f"run-{boundary}", boundary)
            resume(run)
            assert outcome(run) == expected
    if why_nothing_is_drawn() is None:
        path = tmp_path / "film.mp4"
        record(path, load_agent(RunFolder.open(tmp_path / "whole")), 0, Film("finetune", None), 1)
        assert path.stat().st_size > 1_000


@pytest.mark.parametrize("name", sorted(DRIFTS))
def test_goals_that_its_resets_move_stay_where_they_are(name: str) -> None:
    """And once EnvPool has mended them, they need no simulation of their own for each episode."""
    bare = imported().make(name, env_type="gymnasium", num_envs=1, num_threads=1, seed=1, partially_observable=False)
    moved = np.array([bare.reset()[0][0, -3:] for _ in range(3)])
    assert np.ptp(moved, axis=0).max() > 1.0
    plain = Measured((0.0,) * 39, (1.0,) * 39, 4, None)
    world = KIND.make(WorldSpec(f"envpool:{name}", horizon=HORIZON, measured=plain), 3, stagger=True)
    obs, _ = world.reset(seed=1)
    goals, rng = [obs[:, -3:]], np.random.default_rng(0)
    for _ in range(4 * HORIZON):
        obs, *_ = world.step(rng.uniform(-1.0, 1.0, (3, 4)).astype(np.float32))
        goals.append(obs[:, -3:])
    assert np.ptp(np.concatenate(goals), axis=0).max() < 0.25
