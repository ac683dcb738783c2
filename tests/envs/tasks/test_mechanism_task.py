"""What the tasks with a mechanism share, at joint positions for which it can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from clrobot.envs.simulation.simulation import Simulation
from clrobot.envs.tasks import TASKS
from clrobot.envs.tasks.button_press import SUCCESS_PRESS, ButtonPress
from clrobot.envs.tasks.mechanism_task import ClosingTask, MechanismTask, OpeningTask

every_mechanism = pytest.mark.parametrize(
    "task", [task for task in TASKS if issubclass(task, MechanismTask)], ids=lambda task: task.id
)


def _at(task: type[MechanismTask], positions: NDArray[np.float64]) -> Simulation:
    """Simulations whose joint is at these positions, m or rad."""
    sim = Simulation(task(), len(positions), threads=1)
    sim.seed(range(len(positions)))
    sim.reset()
    sim.joint_qpos(task.joint)[:, 0] = positions
    sim.forward()
    return sim


@every_mechanism
def test_the_handle_is_at_the_goal_where_the_joint_is(task: type[MechanismTask]) -> None:
    end = task.full if issubclass(task, OpeningTask) else 0.0
    features = _at(task, np.full(4, end)).features()
    np.testing.assert_allclose(features.object, features.goal, atol=1e-12)


@every_mechanism
def test_success_begins_where_the_bound_says(task: type[MechanismTask]) -> None:
    bound = task.success_at
    sim = _at(task, np.array([np.nextafter(bound, -1.0), bound, np.nextafter(bound, 9.0)]))
    expected = [False, True, True] if issubclass(task, OpeningTask) else [True, False, False]
    assert sim.task.success(sim, sim.features()).tolist() == expected


@every_mechanism
def test_the_motion_earns_its_share(task: type[MechanismTask]) -> None:
    shares = np.array([0.0, 0.2, 0.5, 1.0, 1.05])
    sim = _at(task, shares * task.full)
    terms = sim.task.reward_terms(sim, sim.features())
    expected = {
        ClosingTask: [1.0, 0.8, 0.5, 0.0, 0.0],
        ButtonPress: [0.0, 0.2 / SUCCESS_PRESS, 0.5 / SUCCESS_PRESS, 1.0, 1.0],
        OpeningTask: [0.0, 0.2, 0.5, 1.0, 1.0],
    }
    moved = next(values for base, values in expected.items() if issubclass(task, base))
    np.testing.assert_allclose(terms["moved"], moved, atol=1e-12)


@every_mechanism
def test_nearness_is_whole_at_the_handle_and_a_tenth_at_the_margin(task: type[MechanismTask]) -> None:
    sim = _at(task, np.zeros(3))
    features = sim.features()
    away = np.array([0.0, task.near_within, task.near_within + task.near_margin])
    features.object[:] = sim.hand + away[:, None] * [0.0, 0.6, 0.8]
    np.testing.assert_allclose(sim.task.reward_terms(sim, features)["near"], [1.0, 1.0, 0.1], rtol=1e-9)


@pytest.mark.parametrize("task", [t for t in TASKS if issubclass(t, ClosingTask)], ids=lambda task: task.id)
def test_what_is_to_be_closed_starts_as_far_open_as_was_drawn(task: type[ClosingTask]) -> None:
    sim = Simulation(task(), 50, threads=1)
    sim.seed(range(50))
    sim.reset()
    (low,), (high,) = task.varies["start"]
    start = sim.joint_qpos(task.joint)[:, 0]
    assert ((start >= low) & (start <= high)).all()
    assert np.ptp(start) > 0.8 * (high - low)
