"""The batched simulation: starts, actions, episodes, and whether hand-written policies can work the physics."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from clrobot.envs.experts.episodes import expert_in
from clrobot.envs.scene import arm
from clrobot.envs.simulation.actions import CLOSED, LEASH, MAX_STEP, OPEN
from clrobot.envs.simulation.observation import COLUMNS
from clrobot.envs.simulation.simulation import HORIZON, Simulation
from clrobot.envs.simulation.task import Task
from clrobot.envs.tasks.button_press import ButtonPress
from clrobot.envs.tasks.pick_place import CUBE_HALF, SQUEEZING, PickPlace, PickPlaceExpert
from clrobot.envs.tasks.reach import SUCCESS_DISTANCE, Reach
from clrobot.envs.worlds.vector_env import TaskVectorEnv

Array = NDArray[np.float64]


def _simulation(task: Task, n: int, seed: int = 0) -> Simulation:
    sim = Simulation(task, n, threads=2)
    sim.seed(range(seed, seed + n))
    sim.reset()
    return sim


def _towards(sim: Simulation, point: Array, fingers: Any) -> Array:
    """The action that moves the hand's target to `point` (N, 3), m."""
    move = np.clip((point - sim.target) / MAX_STEP, -1, 1)
    return np.column_stack([move, np.broadcast_to(fingers, sim.n)])


# ------------------------------------------------------------------------------------------------------------- starts


def test_simulations_start_apart() -> None:
    sim = Simulation(PickPlace(), 50, threads=2)
    sim.reset()  # never seeded: fresh entropy
    features = sim.features()
    assert len(np.unique(features.object, axis=0)) == 50
    assert len(np.unique(features.goal, axis=0)) == 50
    np.testing.assert_allclose(sim.hand, np.tile(arm.HOME, (50, 1)), atol=1e-4)


def test_resetting_some_leaves_the_others() -> None:
    sim = _simulation(PickPlace(), 6)
    for _ in range(3):
        sim.step(np.ones((6, 4)))
    before, elapsed = np.array(sim.batch.state), sim.elapsed.copy()
    sim.reset(np.array([1, 4]))
    changed = (np.array(sim.batch.state) != before).any(axis=1)
    np.testing.assert_array_equal(changed, [False, True, False, False, True, False])
    np.testing.assert_array_equal(sim.elapsed, [3, 0, 3, 3, 0, 3])
    assert (elapsed == 3).all()


def test_seeds_of_a_list_and_of_an_integer_agree() -> None:
    env = TaskVectorEnv(Reach(), 3)
    by_integer, _ = env.reset(seed=7)
    by_list, _ = env.reset(seed=[7, 8, 9])
    np.testing.assert_array_equal(by_integer, by_list)


def test_a_none_among_the_seeds_means_fresh_entropy() -> None:
    env = TaskVectorEnv(Reach(), 3)
    first, _ = env.reset(seed=[7, None, 9])
    second, _ = env.reset(seed=[7, None, 9])
    np.testing.assert_array_equal((first == second).all(axis=1), [True, False, True])


def test_too_few_seeds_are_refused() -> None:
    with pytest.raises(ValueError, match="seed"):
        TaskVectorEnv(Reach(), 3).reset(seed=[1, 2])


# ------------------------------------------------------------------------------------------------------------ actions


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_actions_that_are_not_finite_are_refused(bad: float) -> None:
    sim = _simulation(Reach(), 3)
    actions = np.zeros((3, 4))
    actions[1, 2] = bad
    before = np.array(sim.batch.state)
    with pytest.raises(ValueError, match=r"simulation 1 is not finite; expected 4 numbers in \[-1, 1\]"):
        sim.step(actions)
    np.testing.assert_array_equal(sim.batch.state, before)
    assert (sim.elapsed == 0).all()


@pytest.mark.parametrize("shape", [(4,), (1, 4), (2, 4), (3, 3), (3, 5)])
def test_actions_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    sim = _simulation(Reach(), 3)
    before = np.array(sim.batch.state)
    with pytest.raises(ValueError, match=r"\(3, 4\)"):
        sim.step(np.full(shape, 0.5))
    np.testing.assert_array_equal(sim.batch.state, before)


def test_actions_beyond_one_count_as_one() -> None:
    one, more = _simulation(Reach(), 2), _simulation(Reach(), 2)
    for _ in range(5):
        one.step(np.array([[1.0, -1.0, 1.0, -1.0]] * 2))
        more.step(np.array([[7.0, -7.0, 7.0, -7.0]] * 2))
    np.testing.assert_array_equal(one.batch.state, more.batch.state)


def test_an_action_moves_the_target_by_its_step() -> None:
    sim = _simulation(Reach(), 1)
    sim.step(np.array([[0.5, -1.0, 0.25, 0.0]]))
    np.testing.assert_allclose(sim.target[0], arm.HOME + MAX_STEP * np.array([0.5, -1.0, 0.25]), atol=1e-12)


def test_leash_and_workspace_bound_the_target() -> None:
    sim = _simulation(Reach(), 32)
    rng = np.random.default_rng(0)
    direction, leashed, clipped = np.zeros((32, 3)), 0, 0
    for step in range(HORIZON):
        if step % 20 == 0:
            direction = rng.choice([-1.0, 1.0], (32, 3))
        hand = sim.hand.copy()
        sim.step(np.column_stack([direction, np.zeros(32)]))
        target = sim.target
        assert (target >= arm.WORKSPACE_LOW).all()
        assert (target <= arm.WORKSPACE_HIGH).all()
        lead = np.abs(target - hand)
        assert lead.max() <= LEASH + 1e-12
        leashed += int((lead > LEASH - 1e-9).sum())
        clipped += int(((target == arm.WORKSPACE_LOW) | (target == arm.WORKSPACE_HIGH)).sum())
    assert leashed > 0
    assert clipped > 0


def test_the_fingers_close_and_open() -> None:
    sim = _simulation(Reach(), 2)
    for fingers, opening in ((CLOSED, 0.0), (OPEN, arm.FINGER_TRAVEL), (0.0, arm.FINGER_TRAVEL / 2)):
        for _ in range(8):
            sim.step(np.array([[0.0, 0.0, 0.0, fingers]] * 2))
        np.testing.assert_allclose(sim.opening, opening, atol=1e-3)


def test_the_hand_comes_to_rest_at_its_target() -> None:
    """Within 4 mm around home and 15 mm wherever reach has goals: the elbow's spring pulls a little towards home."""
    rng = np.random.default_rng(0)
    near = rng.uniform(arm.HOME - 0.06, arm.HOME + 0.06, (32, 3))
    box = Reach.varies["goal"]
    far = rng.uniform(box.low, box.high, (32, 3))
    for points, worst in ((near, 0.004), (far, 0.015)):
        sim = _simulation(Reach(), 32)
        for _ in range(75):
            sim.step(_towards(sim, points, OPEN))
        assert np.linalg.norm(sim.hand - points, axis=1).max() < worst
        assert np.abs(sim.batch.bind("qvel")).max() < 0.02
        # and the fingers still point down, opening along y
        turned = sim.batch.bind("site_xmat")[:, sim.model.site("pinch").id].reshape(32, 3, 3)
        assert np.degrees(np.arccos(-turned[:, 2, 2].max())) < 5.0
        assert np.degrees(np.arccos(turned[:, 0, 0].min())) < 5.0


# ----------------------------------------------------------------------------------------------------------- episodes


def test_success_at_any_step_outlives_the_success() -> None:
    sim = _simulation(Reach(), 8)
    goal = sim.features().goal.copy()
    for _ in range(50):
        sim.step(_towards(sim, goal, OPEN))
    assert sim.solved_now.all()
    away = np.where(goal[:, 1:2] > 0, [0.45, -0.2, 0.2], [0.45, 0.2, 0.2])
    for _ in range(25):
        sim.step(_towards(sim, away, OPEN))
    assert np.linalg.norm(sim.hand - goal, axis=1).min() > SUCCESS_DISTANCE
    assert not sim.solved_now.any()
    assert sim.solved.all()
    sim.reset()
    assert not sim.solved.any()


def test_finished_simulations_return_at_a_new_start_in_the_same_step() -> None:
    env = TaskVectorEnv(PickPlace(), 4, threads=2)
    start, _ = env.reset(seed=0)
    last = start
    for step in range(1, HORIZON + 1):
        obs, _, terminated, truncated, infos = env.step(np.full((4, 4), 0.3))
        assert not terminated.any()
        assert truncated.all() == truncated.any() == (step == HORIZON)
        assert bool(infos) == (step == HORIZON)
        last, before = obs, last
    final = infos["final_obs"]
    assert infos["_final_obs"].all()
    assert infos["_final_info"].all()
    assert (final != last).any(axis=1).all()
    np.testing.assert_allclose(final, before, atol=0.5)  # the end of the motion
    hand, cube = COLUMNS["hand position"], COLUMNS["object position"]
    assert (np.abs(last[:, hand] - start[:, hand]) < 1e-5).all()  # the hand is home again
    assert (last[:, cube] != start[:, cube]).any(axis=1).all()  # the cube is not where it was
    for key in ("is_success", "success_final"):
        assert infos["final_info"][key].shape == (4,)
        assert infos["final_info"][key].dtype == np.bool_
    assert (env.sim.elapsed == 0).all()


def test_final_info_tells_any_success_from_the_last() -> None:
    """Reach, then leave: the first half of the simulations leaves, the second stays."""
    env = TaskVectorEnv(Reach(), 8)
    env.reset(seed=0)
    goal = env.sim.features().goal.copy()
    leaves = np.arange(8) < 4
    away = np.where(goal[:, 1:2] > 0, [0.45, -0.2, 0.2], [0.45, 0.2, 0.2])
    for step in range(HORIZON):
        point = np.where(leaves[:, None] & (step >= 60), away, goal)
        *_, infos = env.step(_towards(env.sim, point, OPEN))
    np.testing.assert_array_equal(infos["final_info"]["is_success"], np.ones(8, bool))
    np.testing.assert_array_equal(infos["final_info"]["success_final"], ~leaves)


@pytest.mark.parametrize("before", [0, 3])
@pytest.mark.parametrize(("field", "value"), [("qvel", 1e30), ("qpos", np.nan), ("qfrc_applied", 1e30)])
def test_a_simulation_that_diverges_is_seen_once(
    before: int, field: str, value: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # MuJoCo writes its log here
    sim = Simulation(Reach(), 3, threads=1)
    sim.seed(range(3))
    sim.reset()
    for _ in range(before):
        sim.step(np.zeros((3, 4)))
        assert not sim.diverged.any()
    sim.batch.bind(field)[1] = value
    _, rewards = sim.step(np.zeros((3, 4)))
    assert sim.diverged.tolist() == [False, True, False]
    assert rewards[1] == 0.0
    sim.step(np.zeros((3, 4)))
    assert sim.diverged.tolist() == [False, True, False]  # until its reset, and counted once
    before_reset = sim.diverged
    sim.reset(np.array([1]))
    assert not sim.diverged.any()
    assert before_reset.tolist() == [False, True, False]  # the caller's own
    sim.step(np.zeros((3, 4)))
    assert not sim.diverged.any()
    assert sim.divergences == 1


def test_nothing_has_diverged_before_the_first_reset() -> None:
    sim = Simulation(Reach(), 4, threads=1)
    sim.step(np.zeros((4, 4)))
    assert not sim.diverged.any()
    assert sim.divergences == 0
    np.testing.assert_array_equal(sim.hand, sim.hand[:1].repeat(4, axis=0))  # all stand at home


def test_staggering_spreads_the_phases() -> None:
    env = TaskVectorEnv(Reach(), 50, stagger=True)
    env.reset(seed=0)
    ends = np.zeros(HORIZON, int)
    for step in range(HORIZON):
        *_, truncated, infos = env.step(np.zeros((50, 4)))
        ends[step] = truncated.sum()
        if truncated.any():
            np.testing.assert_array_equal(infos["_final_obs"], truncated)
    # Each once in a horizon; two start again together, every four steps.
    np.testing.assert_array_equal(ends, [0, 0, 0, 2] * (HORIZON // 4))


def test_few_staggered_simulations_have_phases_of_their_own() -> None:
    env = TaskVectorEnv(Reach(), 7, stagger=True)
    env.reset(seed=0)
    phases = np.sort(env.sim.elapsed)
    assert phases[0] == 0
    assert set(np.diff(np.append(phases, HORIZON))) <= {12, 16}  # about a seventh of an episode


def test_window_without_a_screen_is_an_error_that_can_be_caught(tmp_path: Path) -> None:
    code = (
        "import gymnasium as gym, clrobot\n"
        "try:\n"
        "    gym.make('clrobot/Reach-v0', render_mode='human').reset(seed=0)\n"
        "except Exception as error:\n"
        "    print('caught', error)\n"
    )
    env = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "screen" in done.stdout


# ------------------------------------------------------------------------------------------- policies written by hand

N = 32


def _play(task: type[Task], change: Callable[[Simulation, Array], Array] = lambda _, actions: actions) -> Simulation:
    """Play one episode of N simulations; `change` may alter the expert's actions."""
    sim = _simulation(task(), N, seed=1000)
    policy = expert_in(sim)
    for _ in range(HORIZON):
        sim.step(change(sim, policy(sim.features())))
    return sim


def test_a_cube_can_be_grasped_and_carried() -> None:
    sim = _simulation(PickPlace(), N, seed=1000)
    policy = PickPlaceExpert(sim)
    features = sim.features()
    hold, slip, lift = np.zeros((N, 3)), np.zeros(N), np.zeros(N)
    for _ in range(HORIZON):
        height = sim.hand[:, 2].copy()
        features, _ = sim.step(policy(features))
        offset = features.object - sim.hand
        hold = np.where(policy.phase[:, None] > SQUEEZING, hold, offset)  # as it was when the fingers had closed
        slip = np.maximum(slip, np.linalg.norm(offset - hold, axis=1))
        lift = np.maximum(lift, (sim.hand[:, 2] - height) / arm.CONTROL_STEP)
    assert sim.solved.mean() >= 0.95
    assert sim.solved_now.mean() >= 0.95
    assert np.median(lift) > 0.3  # m/s: it was lifted fast
    assert (slip < 0.015).mean() >= 0.95
    np.testing.assert_allclose(np.median(sim.opening), CUBE_HALF, atol=0.002)


def test_a_grasped_cube_survives_a_shake() -> None:
    """A second of full-speed strokes in all directions: the cube creeps in the fingers, and stays between them."""
    sim = _simulation(PickPlace(), N, seed=1000)
    policy = PickPlaceExpert(sim)
    for _ in range(45):
        sim.step(policy(sim.features()))
    cube = sim.site("cube")
    assert (cube[:, 2] > 0.06).all()
    hold = (cube - sim.hand).copy()
    rng = np.random.default_rng(0)
    for _ in range(5):
        stroke = rng.choice([-1.0, 1.0], (N, 3))
        stroke[:, 2] = np.where(sim.hand[:, 2] < 0.15, 1.0, stroke[:, 2])  # not into the table
        for _ in range(5):
            sim.step(np.column_stack([stroke, np.full(N, CLOSED)]))
    slip = np.linalg.norm(cube - sim.hand - hold, axis=1)
    assert np.median(slip) < 0.015
    assert (slip < 0.03).mean() >= 0.95


def test_an_open_hand_does_not_carry_the_cube() -> None:
    def ungrasped(sim: Simulation, actions: Array) -> Array:
        return np.column_stack([actions[:, :3], np.full(sim.n, OPEN)])

    assert _play(PickPlace, ungrasped).solved.mean() == 0.0


def test_the_button_springs_back() -> None:
    def leave(sim: Simulation, actions: Array) -> Array:
        actions[sim.elapsed > 70, 2] = 1.0
        return actions

    sim = _play(ButtonPress, leave)
    assert sim.solved.mean() >= 0.95
    assert not sim.solved_now.any()
    np.testing.assert_allclose(sim.joint_qpos("button"), 0.0, atol=1e-3)


def test_every_goal_can_be_reached() -> None:
    assert _play(Reach).solved_now.all()
