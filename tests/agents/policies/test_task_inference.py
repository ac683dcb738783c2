"""Inferring a task from its first states."""

from __future__ import annotations

import math

import pytest
import torch as th

import clrobot
from clrobot.agents.policies.task_inference import TaskInference
from clrobot.runs.folder import RunFolder


def gaussian(n: int, mean: list[float], std: list[float], seed: int) -> th.Tensor:
    generator = th.Generator().manual_seed(seed)
    return th.tensor(mean) + th.randn(n, len(mean), generator=generator) * th.tensor(std)


def test_the_likelihood_is_that_of_a_gaussian() -> None:
    task_inference = TaskInference(2, 1)
    x = gaussian(500, [1.0, -2.0], [0.5, 2.0], 0)
    task_inference.learn(0, x)
    covariance = th.cov(x.double().T, correction=0) + 0.02**2 * th.eye(2, dtype=th.float64)
    expected = th.distributions.MultivariateNormal(x.double().mean(0), covariance).log_prob(x.double())
    th.testing.assert_close(task_inference.log_likelihood(x)[:, 0].double(), expected, rtol=1e-4, atol=1e-4)


def test_states_are_told_apart_even_where_a_component_never_varies() -> None:
    task_inference = TaskInference(3, 1)
    task_inference.add_slot()
    task_inference.learn(0, gaussian(300, [0.0, 0.0, 1.0], [1.0, 1.0, 0.0], 0))
    task_inference.learn(1, gaussian(300, [0.0, 0.5, 0.5], [1.0, 1.0, 0.0], 1))
    assert task_inference.learned == 2
    first = task_inference.log_likelihood(gaussian(100, [0.0, 0.0, 1.0], [1.0, 1.0, 0.0], 2))
    second = task_inference.log_likelihood(gaussian(100, [0.0, 0.5, 0.5], [1.0, 1.0, 0.0], 3))
    assert (first.argmax(1) == 0).all()
    assert (second.argmax(1) == 1).all()


def test_a_slot_that_was_not_learned_is_never_the_answer() -> None:
    task_inference = TaskInference(2, 2)
    task_inference.learn(0, gaussian(50, [0.0, 0.0], [1.0, 1.0], 0))
    likelihood = task_inference.log_likelihood(gaussian(10, [9.0, 9.0], [1.0, 1.0], 1))
    assert likelihood[:, 1].tolist() == [-math.inf] * 10
    assert likelihood[:, 0].isfinite().all()


@pytest.mark.parametrize("slots", [1, 3])
def test_what_was_learned_is_saved_with_the_weights(slots: int) -> None:
    task_inference = TaskInference(2, slots)
    task_inference.learn(0, gaussian(50, [0.0, 1.0], [1.0, 0.1], 0))
    again = TaskInference(2, slots)
    again.load_state_dict(task_inference.state_dict())
    x = gaussian(10, [0.0, 1.0], [1.0, 1.0], 1)
    assert th.equal(again.log_likelihood(x), task_inference.log_likelihood(x))


def test_an_agent_without_a_label_is_measured_beside_one_with_it(tiny_run, cli) -> None:
    done = cli("evaluate", tiny_run, "--task-id", "none", "--episodes", "4")
    assert done.code == 0, done.err
    rows = [line for line in done.out.splitlines() if "drawer-open" in line or "button-press" in line]
    assert len(rows) == 2
    assert all(row.count(".") == 3 for row in rows)
    assert "no label" in done.out


def test_start_states_alone_tell_the_tasks_apart(tiny_run) -> None:
    """The agent of the tiny run has learned little, and yet its tasks look different."""
    agent = clrobot.load(tiny_run)
    evaluator = clrobot.Evaluator(RunFolder.open(tiny_run).config.curriculum, 0)
    for slot in range(3):
        _, inferred = evaluator.task_agnostic(agent.policy, slot, 20)
        assert (inferred == slot).mean() >= 0.9


def test_an_untrained_agent_knows_no_task(tiny_run, cli) -> None:
    done = cli("evaluate", tiny_run, "--task-id", "none", "--stage", "0")
    assert done.code == 2
    assert "knows none" in done.err
