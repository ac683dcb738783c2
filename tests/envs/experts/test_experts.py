"""The scripted experts: every task can be solved, and its physics bears it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import mujoco
import numpy as np
import pytest
from numpy.typing import NDArray

from clrobot.envs.experts.episodes import ExpertEpisodes, expert_in, run_expert
from clrobot.envs.experts.grasping import HOLDING, GraspExpert
from clrobot.envs.scene.arm import FINGER_FORCE
from clrobot.envs.simulation.actions import CLOSED, OPEN
from clrobot.envs.simulation.simulation import HORIZON, Simulation
from clrobot.envs.simulation.task import Task
from clrobot.envs.tasks import TASKS
from clrobot.envs.tasks.drawer_close import DrawerClose
from clrobot.envs.tasks.pick_place import PickPlace
from clrobot.envs.tasks.reach import Reach

EPISODES = 200
PENETRATION = 0.003  # m, the deepest that two bodies may sink into each other
RANGE_OVERRUN = {  # beyond a mechanism's stops, which are stiff springs
    int(mujoco.mjtJoint.mjJNT_SLIDE): 0.003,  # m
    int(mujoco.mjtJoint.mjJNT_HINGE): 0.02,  # rad
}

SLIP = 0.015  # m, the farthest that an object may creep in the fingers
STROKE = 10  # control steps at full speed
WAY_OUT = {"peg-unplug": [-1.0, 0.0, 0.0]}  # of the stroke, where it is not up

every_grasp = pytest.mark.parametrize(
    "task", [task for task in TASKS if issubclass(task.expert, GraspExpert)], ids=lambda task: task.id
)


class Watched(NamedTuple):
    """The physics of N expert episodes; T steps."""

    episodes: ExpertEpisodes
    depth: NDArray[np.float64]  # the deepest contact, (T, N), m
    culprits: dict[tuple[str, str], float]  # the deepest of each pair of bodies, m
    overrun: float  # the farthest beyond a task's own joints' stops, of what is allowed
    finger_force: float  # N, the strongest
    divergences: int


@pytest.fixture(scope="module", params=TASKS, ids=lambda task: task.id)
def watched(request: pytest.FixtureRequest) -> Watched:
    """The expert's episodes of a task, run once for the tests of this task, which pytest then runs together."""
    task: type[Task] = request.param
    sim = Simulation(task(), EPISODES, threads=2)
    sim.seed(range(EPISODES))
    sim.reset()
    policy, features, returns = expert_in(sim), sim.features(), np.zeros(EPISODES)
    model, data = sim.model, mujoco.MjData(sim.model)
    ncon, force = sim.batch.bind("ncon"), sim.batch.bind("actuator_force")
    limited = [j for j in range(9, model.njnt) if model.jnt_limited[j]]
    columns = model.jnt_qposadr[limited]
    allowed = np.array([RANGE_OVERRUN[int(model.jnt_type[j])] for j in limited])
    depth, culprits = np.zeros((HORIZON, EPISODES)), {}
    overrun = finger_force = 0.0
    for t in range(HORIZON):
        features, rewards = sim.step(policy(features))
        returns += rewards
        for i in np.flatnonzero(ncon.ravel()):
            sim.batch.get_data(int(i), data)
            sunk = -np.array(data.contact.dist)
            depth[t, i] = sunk.max()
            if depth[t, i] > PENETRATION:
                bodies = model.geom_bodyid[data.contact.geom[sunk.argmax()]]
                a, b = sorted(model.body(int(body)).name for body in bodies)
                culprits[a, b] = max(culprits.get((a, b), 0.0), float(depth[t, i]))
        if limited:
            q, (low, high) = sim.qpos[:, columns], model.jnt_range[limited].T
            overrun = max(overrun, float((np.maximum(low - q, q - high) / allowed).max()))
        finger_force = max(finger_force, float(np.abs(force[:, 6:8]).max()))
    episodes = ExpertEpisodes(sim.solved.copy(), sim.solved_now.copy(), returns)
    return Watched(episodes, depth, culprits, overrun, finger_force, sim.divergences)


class Unscripted(Reach):
    """Reach without an expert, as a task from outside may be."""

    id = "unscripted"
    expert = None


def test_a_task_without_an_expert_is_a_task_but_has_none_to_run() -> None:
    sim = Simulation(Unscripted(), 2, threads=1)
    sim.reset()
    sim.step(np.zeros((2, 4)))
    with pytest.raises(ValueError, match="unscripted has no expert; give its class one as `expert`"):
        run_expert(Unscripted, 1)


def test_no_episodes_are_refused() -> None:
    with pytest.raises(ValueError, match="0 episodes; expected at least one"):
        run_expert(Reach, 0)


def test_run_expert_plays_the_seeds_it_says() -> None:
    some = run_expert(PickPlace, 3, seed=5, threads=2)
    one = run_expert(PickPlace, 1, seed=7, threads=1)
    assert some.returns[2] == one.returns[0]
    assert len(set(some.returns)) == 3


def test_an_episode_that_diverged_counts_no_further(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # MuJoCo writes its log here
    whole = run_expert(DrawerClose, 3, seed=5, threads=1)
    step, calls = Simulation.step, 0

    def push(sim: Simulation, actions: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            sim.batch.bind("qvel")[1] = 1e30  # MuJoCo takes it back to its defaults, where the drawer is shut
        return step(sim, actions)

    monkeypatch.setattr(Simulation, "step", push)
    found = run_expert(DrawerClose, 3, seed=5, threads=1)
    assert found.success.tolist() == found.success_final.tolist() == [True, False, True]
    np.testing.assert_array_equal(found.returns[[0, 2]], whole.returns[[0, 2]])
    assert found.returns[1] < 3.0  # of two steps, each at most 1


def test_phases_start_anew_with_an_episode() -> None:
    sim = Simulation(PickPlace(), 2, threads=1)
    sim.seed([0, 1])
    sim.reset()
    policy = expert_in(sim)
    for _ in range(60):
        sim.step(policy(sim.features()))
    assert (policy.phase > 0).all()
    sim.reset(np.array([1]))
    policy(sim.features())
    assert policy.phase[0] > 0
    assert policy.phase[1] == 0


def test_the_expert_succeeds(watched: Watched) -> None:
    assert watched.episodes.success.mean() >= 0.95
    assert watched.episodes.returns.mean() > 0.3 * HORIZON
    assert watched.divergences == 0


def test_bodies_hardly_sink_into_each_other(watched: Watched) -> None:
    assert watched.depth.max() <= PENETRATION, watched.culprits


def test_mechanisms_and_fingers_keep_their_limits(watched: Watched) -> None:
    assert watched.overrun <= 1.0
    assert watched.finger_force <= FINGER_FORCE + 1e-9


class Stroke(NamedTuple):
    """What became of a grasped object when the hand went away with it at full speed; N simulations."""

    shift: NDArray[np.float64]  # the farthest that it moved in the hand, (N,), m
    speed: NDArray[np.float64]  # the hand's highest, (N,), m/s


def _stroke(task: type[Task], fingers: float) -> Stroke:
    """Let the expert grasp, then move off with `fingers`."""
    sim = Simulation(task(), 32, threads=2)
    sim.seed(range(sim.n))
    sim.reset()
    policy, features = expert_in(sim), sim.features()
    away = np.array([*WAY_OUT.get(task.id, [0.0, 0.0, 1.0]), fingers])
    stroke, hold = np.zeros(sim.n, np.int64), np.zeros((sim.n, 3))
    shift, speed = np.zeros(sim.n), np.zeros(sim.n)
    while (stroke < STROKE).any() and sim.elapsed[0] < HORIZON:
        actions = policy(features)
        grasped = (policy.phase >= HOLDING)[:, None]
        hold = np.where(grasped & (stroke == 0)[:, None], features.object - sim.hand, hold)
        stroke += grasped[:, 0]
        features, _ = sim.step(np.where(grasped, away, actions))
        now = grasped[:, 0] & (stroke <= STROKE)
        shift = np.where(now, np.maximum(shift, np.linalg.norm(features.object - sim.hand - hold, axis=1)), shift)
        speed = np.where(now, np.maximum(speed, sim.hand_speed), speed)
    assert (stroke >= STROKE).all()
    return Stroke(shift, speed)


@every_grasp
def test_a_grasped_object_stays_grasped_through_a_fast_move(task: type[Task]) -> None:
    kept, lost = _stroke(task, CLOSED), _stroke(task, OPEN)
    assert np.median(kept.speed) > 0.5  # m/s
    assert kept.shift.max() < SLIP
    assert lost.shift.min() > 2 * SLIP  # it was the grasp that kept it
