"""One set of tests over every native task: whatever `TASKS` lists is tested."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from numpy.typing import NDArray

import clrobot  # noqa: F401 -- registers the tasks
from clrobot.envs.simulation.actions import ACTION_SIZE
from clrobot.envs.simulation.observation import COLUMNS, OBS_LAYOUT, OBS_LIMIT, OBS_SIZE
from clrobot.envs.simulation.simulation import HORIZON, Simulation
from clrobot.envs.simulation.task import Task
from clrobot.envs.tasks import TASKS, TASKS_BY_ID
from clrobot.envs.worlds.gym_env import TaskEnv
from clrobot.envs.worlds.vector_env import TaskVectorEnv

Array = NDArray[np.float64]
N = 64
# MuJoCo's joint limits are springs: a hand that slips off a fixture at full force can overrun one for a moment.
LIMIT_OVERRUN = 0.05  # rad
# Of each task, with random actions; a patient tester asks for more in the environment.
RANDOM_EPISODES = int(os.environ.get("CLROBOT_RANDOM_EPISODES", "100"))

# By the module's scope pytest runs all tests of a task together, and its reference is rolled in one process alone.
every_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.id, scope="module")


class Rollout(NamedTuple):
    """What N simulations did; T steps."""

    first_obs: NDArray[np.float32]  # (N, OBS_SIZE)
    obs: NDArray[np.float32]  # (T, N, OBS_SIZE)
    rewards: Array  # (T, N)
    terms: dict[str, Array]  # name -> (T, N)
    states: Array  # (T, N, nstate)
    joints: Array  # (T, N, 7), rad
    torques: Array  # (T, N, 7), N m
    solved_now: NDArray[np.bool_]  # (T, N)
    solved: NDArray[np.bool_]  # (T, N)


def _actions(n: int, steps: int = HORIZON) -> Array:
    """Restless actions (T, N, 4) that wander far: a direction for 20 steps, with noise; the same for every n."""
    rows = []
    for i in range(n):
        rng = np.random.default_rng([7, i])
        drift = np.repeat(rng.uniform(-1, 1, (-(-HORIZON // 20), ACTION_SIZE)), 20, axis=0)[:HORIZON]
        rows.append(np.clip(drift + rng.normal(0, 0.5, (HORIZON, ACTION_SIZE)), -1, 1))
    return np.stack(rows, axis=1)[:steps]


def _roll(task: type[Task], seeds: list[int], actions: Array, threads: int = 1) -> Rollout:
    sim = Simulation(task(), len(seeds), threads)
    sim.seed(seeds)
    sim.reset()
    torque = sim.batch.bind("qfrc_actuator")
    first = sim.observe()
    rows: list[tuple[Any, ...]] = []
    terms: dict[str, list[Array]] = defaultdict(list)
    for action in actions:
        features, rewards = sim.step(action)
        for name, value in sim.task.reward_terms(sim, features).items():
            terms[name].append(value.copy())
        rows.append(
            (
                sim.observe(features),
                rewards,
                np.array(sim.batch.state),
                sim.qpos[:, :7].copy(),
                torque[:, :7].copy(),
                sim.solved_now.copy(),
                sim.solved.copy(),
            )
        )
    obs, rewards, states, joints, torques, solved_now, solved = (
        np.array(column) for column in zip(*rows, strict=True)
    )
    stacked = {name: np.array(value) for name, value in terms.items()}
    return Rollout(first, obs, rewards, stacked, states, joints, torques, solved_now, solved)


@cache
def _reference(task: type[Task]) -> Rollout:
    """One whole episode of N simulations, seeds 0 to N - 1, on two threads."""
    return _roll(task, list(range(N)), _actions(N), threads=2)


# ------------------------------------------------------------------------------------------------------- the registry


def test_ids_are_unique_and_registered() -> None:
    assert len(TASKS_BY_ID) == len(TASKS) > 0
    assert len({task.gym_id() for task in TASKS}) == len(TASKS)
    for task in TASKS:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", task.id)
        assert task.gym_id() in gym.registry


def test_gymnasium_imports_clrobot_by_itself() -> None:
    code = (
        "import gymnasium as gym\n"
        "env = gym.make('clrobot:clrobot/Reach-v0')\n"
        "obs, _ = env.reset(seed=0)\n"
        "assert env.observation_space.contains(obs)\n"
        "import sys; assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)


@every_task
def test_docstring_states_goal_success_and_what_varies(task: type[Task]) -> None:
    doc = task.__doc__ or ""
    for word in ("Goal:", "Success:", "Varies:"):
        assert word in doc, f"{task.__name__}'s docstring has no {word!r}"
    success = doc.split("Success:")[1].split("Varies:")[0]
    assert re.search(r"\d", success), f"{task.__name__}'s docstring gives no success threshold: {success!r}"
    module = sys.modules[task.__module__]
    for name, value in vars(module).items():
        if name.startswith("SUCCESS") and isinstance(value, float):
            spellings = {f"{value:g}", f"{value:.2f}", f"{100 * value:g} %", f"{1000 * value:g} mm"}
            assert any(text in success for text in spellings), f"{name} = {value} is not in {success!r}"


@every_task
def test_weights_sum_to_one(task: type[Task]) -> None:
    assert sum(task.weights.values()) == pytest.approx(1.0, abs=1e-12)
    assert min(task.weights.values()) > 0


# -------------------------------------------------------------------------------------------- the two environments


@every_task
def test_gymnasium_accepts_the_environment(task: type[Task], monkeypatch: pytest.MonkeyPatch) -> None:
    # A window would need a screen; check_env opens every declared mode.
    monkeypatch.setitem(TaskEnv.metadata, "render_modes", ["rgb_array"])
    env = gym.make(task.gym_id(), width=64, height=64)
    check_env(env.unwrapped)
    env.close()


@every_task
def test_an_episode_lasts_the_horizon_and_is_truncated(task: type[Task]) -> None:
    env = gym.make(task.gym_id())
    env.reset(seed=3)
    ever = False
    for step in range(1, HORIZON + 1):
        _, reward, terminated, truncated, info = env.step(env.action_space.sample())
        assert isinstance(reward, float)
        assert not terminated
        assert truncated == (step == HORIZON)
        assert ("success_final" in info) == (step == HORIZON)
        ever |= info["success"]
        assert info["is_success"] == ever
    env.close()


@every_task
def test_make_vec_gives_the_vector_environment(task: type[Task]) -> None:
    env = gym.make_vec(task.gym_id(), num_envs=3)
    assert isinstance(env.unwrapped, TaskVectorEnv)
    obs, _ = env.reset(seed=5)
    assert obs in env.observation_space
    obs, rewards, terminated, truncated, _ = env.step(env.action_space.sample())
    assert obs in env.observation_space
    assert rewards.shape == terminated.shape == truncated.shape == (3,)
    env.close()


@every_task
def test_both_environments_show_the_same_simulation(task: type[Task]) -> None:
    """Simulation i of a batch seeded with s is the single environment seeded with s + i, to the bit."""
    many = TaskVectorEnv(task(), 5, threads=2)
    one = gym.make(task.gym_id())
    obs, _ = many.reset(seed=40)
    single, _ = one.reset(seed=43)
    np.testing.assert_array_equal(obs[3], single)
    for action in _actions(5, 10).astype(np.float32):
        obs, rewards, *_ = many.step(action)
        single, reward, *_ = one.step(action[3])
        np.testing.assert_array_equal(obs[3], single)
        assert rewards[3] == reward
    many.close()
    one.close()


# ---------------------------------------------------------------------------------------------- rewards, observations


@every_task
def test_rewards_are_weighted_terms_in_the_unit_interval(task: type[Task]) -> None:
    rollout = _reference(task)
    assert set(rollout.terms) == set(task.weights)
    for name, value in rollout.terms.items():
        assert value.shape == rollout.rewards.shape
        assert ((value >= 0) & (value <= 1)).all(), f"{name}: {value.min()} to {value.max()}"
        assert np.isfinite(value).all()
    total = sum(weight * rollout.terms[name] for name, weight in task.weights.items())
    np.testing.assert_allclose(rollout.rewards, total, rtol=1e-12)
    assert rollout.rewards.std() > 1e-3  # and it depends on what the robot does


@every_task
def test_observations_fill_their_space(task: type[Task]) -> None:
    rollout = _reference(task)
    for obs in (rollout.first_obs[None], rollout.obs):
        assert obs.dtype == np.float32
        assert obs.shape[1:] == (N, OBS_SIZE)
        assert np.isfinite(obs).all()
        assert np.abs(obs).max() <= OBS_LIMIT
    # Scales that clip hide the world from the agent.
    assert (np.abs(rollout.obs) == OBS_LIMIT).mean() < 0.01


@every_task
def test_the_layout_says_what_is_shown(task: type[Task]) -> None:
    sim = Simulation(task(), 4, threads=1)
    sim.seed(range(4))
    sim.reset()
    for action in _actions(4, 5):
        features, _ = sim.step(action)
    obs = sim.observe(features).astype(np.float64)
    expected = {
        "hand position": sim.hand,
        "hand target - hand": sim.batch.bind("ctrl")[:, :3] - sim.hand,
        "finger opening": sim.opening[:, None],
        "object position": features.object,
        "other object position": features.other,
        "mechanism position": None if features.joint is None else features.joint[:, None],
        "goal position": features.goal,
        "object - hand": features.object - sim.hand,
        "goal - object": features.goal - features.object,
    }
    assert expected.keys() == COLUMNS.keys()
    for part in OBS_LAYOUT:
        shown, value = obs[:, COLUMNS[part.name]], expected[part.name]
        if value is None:  # the task has no such thing
            np.testing.assert_array_equal(shown, 0.0, err_msg=part.name)
        else:
            np.testing.assert_allclose(shown * part.scale + part.offset, value, atol=1e-6, err_msg=part.name)


def test_an_agent_s_numbers_stay_where_they_are() -> None:
    """Whoever has trained or exported an agent counts on these columns."""
    assert {name: (columns.start, columns.stop) for name, columns in COLUMNS.items()} == {
        "hand position": (0, 3),
        "hand target - hand": (3, 6),
        "finger opening": (6, 7),
        "object position": (7, 10),
        "other object position": (10, 13),
        "mechanism position": (13, 14),
        "goal position": (14, 17),
        "object - hand": (17, 20),
        "goal - object": (20, 23),
    }


# ------------------------------------------------------------------------------------------------- starts and success


@every_task
def test_starts_vary_within_the_declared_boxes(task: type[Task], monkeypatch: pytest.MonkeyPatch) -> None:
    instance, draws = task(), []
    place = instance.place

    def spy(sim: Simulation, ids: NDArray[np.intp], drawn: Mapping[str, Array]) -> None:
        draws.append({name: value.copy() for name, value in drawn.items()})
        place(sim, ids, drawn)

    monkeypatch.setattr(instance, "place", spy)
    sim = Simulation(instance, 100, threads=1)
    sim.seed(range(100))
    sim.reset()
    first = np.array(sim.batch.state)
    sim.reset()
    assert len(task.varies) > 0
    varying = np.flatnonzero(np.ptp(first, axis=0) > 1e-6)
    for name, box in task.varies.items():
        low, high = np.array(box.low), np.array(box.high)
        assert (low < high).all()
        values = np.concatenate([draw[name] for draw in draws])
        assert values.shape == (200, len(low))
        assert ((values >= low) & (values <= high)).all()
        assert (np.ptp(values, axis=0) > 0.9 * (high - low)).all()
        # What is drawn is put into the scene.
        for k in range(len(low)):
            drawn = draws[0][name][:, k]
            link = max(abs(np.corrcoef(drawn, first[:, column])[0, 1]) for column in varying)
            assert link > 0.5, f"{name}[{k}] is drawn and changes nothing"
    assert len(np.unique(first, axis=0)) == 100
    assert (np.array(sim.batch.state) != first).any(axis=1).all()
    # The agent sees that the starts differ.
    assert len(np.unique(sim.observe(), axis=0)) == 100


@every_task
def test_nothing_is_solved_before_anything_is_done(task: type[Task]) -> None:
    sim = Simulation(task(), 200, threads=2)
    sim.seed(range(200))
    sim.reset()
    assert not sim.solved.any()
    assert sim.task.success(sim, sim.features()).mean() <= 0.01  # a goal may happen to lie at home
    for _ in range(25):
        sim.step(np.zeros((200, ACTION_SIZE)))
    assert sim.solved.mean() <= 0.01


@every_task
def test_success_is_remembered(task: type[Task]) -> None:
    rollout = _reference(task)
    np.testing.assert_array_equal(rollout.solved, np.logical_or.accumulate(rollout.solved_now, axis=0))


@every_task
def test_random_actions_break_nothing_and_solve_nothing(task: type[Task]) -> None:
    sim = Simulation(task(), RANDOM_EPISODES, threads=2)
    sim.seed(range(RANDOM_EPISODES))
    sim.reset()
    rng = np.random.default_rng(0)
    for _ in range(HORIZON):
        features, rewards = sim.step(rng.uniform(-1.0, 1.0, (RANDOM_EPISODES, ACTION_SIZE)))
        assert np.isfinite(sim.observe(features)).all()
        assert ((rewards >= 0) & (rewards <= 1)).all()
    assert np.isfinite(sim.batch.state).all()
    assert sim.divergences == 0
    assert sim.solved.mean() <= 0.05


@every_task
def test_success_cannot_be_had_by_wandering(task: type[Task]) -> None:
    assert _reference(task).solved[-1].mean() < 0.2


# -------------------------------------------------------------------------------------------------------- determinism


@every_task
def test_a_seed_is_a_trajectory(task: type[Task]) -> None:
    reference, steps = _reference(task), 40
    again = _roll(task, list(range(8)), _actions(8, steps))
    np.testing.assert_array_equal(again.first_obs, reference.first_obs[:8])
    np.testing.assert_array_equal(again.states, reference.states[:steps, :8])
    other = _roll(task, list(range(100, 108)), _actions(8, 2))
    assert (other.first_obs != again.first_obs).any(axis=1).all()
    assert (other.states[1] != again.states[1]).any(axis=1).all()


@every_task
def test_threads_do_not_change_a_bit(task: type[Task]) -> None:
    reference = _reference(task)  # two threads
    single = _roll(task, list(range(N)), _actions(N, 50), threads=1)
    np.testing.assert_array_equal(single.states, reference.states[:50])
    np.testing.assert_array_equal(single.obs, reference.obs[:50])
    np.testing.assert_array_equal(single.rewards, reference.rewards[:50])


@every_task
@pytest.mark.parametrize("i", [0, 37, 63])
def test_neighbours_do_not_change_a_bit(task: type[Task], i: int) -> None:
    """Simulation i alone is simulation i among 64."""
    reference = _reference(task)
    alone = _roll(task, [i], _actions(N)[:, i : i + 1])
    np.testing.assert_array_equal(alone.states[:, 0], reference.states[:, i])
    np.testing.assert_array_equal(alone.obs[:, 0], reference.obs[:, i])
    np.testing.assert_array_equal(alone.rewards[:, 0], reference.rewards[:, i])
    np.testing.assert_array_equal(alone.solved_now[:, 0], reference.solved_now[:, i])


# ------------------------------------------------------------------------------------------------- the robot's limits


@every_task
def test_limits_hold_under_restless_actions(task: type[Task]) -> None:
    rollout = _reference(task)
    model = Simulation(task(), 1, threads=1).model
    low, high = model.jnt_range[:7].T
    over = np.maximum(low - rollout.joints, rollout.joints - high)
    assert over.max() < LIMIT_OVERRUN
    assert (over > 0.005).mean() < 1e-3
    torque = model.jnt_actfrcrange[:7, 1]
    assert (np.abs(rollout.torques) <= torque + 1e-9).all()
    assert np.abs(rollout.torques).max() > 0.1 * torque.min()  # it did pull


def test_an_episode_that_diverges_has_a_last_info(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # MuJoCo writes its log here
    env = TaskEnv(TASKS_BY_ID["reach"]())
    env.reset(seed=0)
    env.sim.batch.bind("qvel")[0] = 1e30
    *_, terminated, truncated, info = env.step(np.zeros(4, np.float32))
    assert terminated
    assert not truncated
    assert info == {"success": False, "is_success": False, "success_final": False}
