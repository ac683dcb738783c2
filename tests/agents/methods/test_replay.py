"""Replay: a sample of fixed size of all tasks, whose outputs actor and critic are trained to keep."""

from __future__ import annotations

import pytest
import torch as th
from support.models import collector, next_slot, tiny_learner

from clrobot.agents.algorithms.learner import Learner
from clrobot.agents.algorithms.role import Role
from clrobot.agents.methods.replay import Replay
from clrobot.agents.methods.shared.distillation_loss import gaussian_kl


def after(tasks: int, **settings) -> tuple[Learner, Replay]:
    method = Replay(Replay.Settings(**({"memory": 60, "batch_size": 32} | settings)))
    learner = tiny_learner()
    for k in range(tasks):
        method.before_task(learner, k)
        method.after_task(learner, k, collector(learner, k))
        next_slot(learner, k + 1)
    method.before_task(learner, tasks)
    return learner, method


def test_what_is_kept_is_what_the_finished_policy_gave() -> None:
    learner, method = after(2)
    rows = method.memory.rows
    mean, log_std = learner.policy.gaussian(rows.observations)
    th.testing.assert_close(rows.mean, mean)
    assert th.equal(rows.log_std, log_std)
    th.testing.assert_close(rows.values, learner.policy.values(rows.observations, rows.actions))
    assert rows.actions.shape == (60, 4)


def test_the_memory_does_not_grow_and_every_task_has_its_share() -> None:
    sizes = []
    for tasks in (1, 2, 3):
        learner, method = after(tasks, memory=600)
        sizes.append(method.memory_bytes())
        shares = th.bincount(method.memory.rows.observations[:, -1].long(), minlength=tasks) / 600
        # Without replacement from tasks of 600 each: a deviation below √(⅓ · ⅔ / 600) = 0.02.
        assert shares.tolist() == pytest.approx([1 / tasks] * tasks, abs=0.08)
        assert method.memory_bytes() == method.memory_bound(learner, tasks)
    assert len(set(sizes)) == 1


def perturb(learner: Learner) -> None:
    with th.no_grad():
        learner.policy.action_net.trunk[0].weight.mul_(1.5)
        learner.policy.value_net.trunk[0].weight.mul_(1.5)


def test_the_loss_is_beta_times_policy_and_weighted_value_cloning() -> None:
    learner, method = after(2, strength=2.0, value_weight=0.5, batch_size=5000)
    perturb(learner)
    rows = method.memory.rows
    with th.no_grad():
        kl = gaussian_kl(rows.mean, rows.log_std, *learner.policy.gaussian(rows.observations)).mean().item()
        value = (learner.policy.values(rows.observations, rows.actions) - rows.values).square().mean().item()
    assert value > 0
    loss = method.auxiliary_loss(learner, Role.ACTOR | Role.CRITIC).item()
    assert loss == pytest.approx(2.0 * (kl + 0.5 * value), rel=0.1)  # of 5000 drawn from 60


def test_each_optimizer_is_given_its_own_networks_part() -> None:
    """As an algorithm with an optimizer for each network calls it."""
    learner, method = after(1, value_weight=0.5)
    perturb(learner)
    for role, own, other in (
        (Role.ACTOR, learner.policy.action_net, learner.policy.value_net),
        (Role.CRITIC, learner.policy.value_net, learner.policy.action_net),
    ):
        learner.policy.zero_grad()
        method.auxiliary_loss(learner, role).backward()
        assert own.trunk[0].weight.grad.any()
        assert other.trunk[0].weight.grad is None
    assert method.auxiliary_loss(learner, Role.TEMPERATURE) is None


def test_without_a_weight_the_critic_is_let_go() -> None:
    learner, method = after(1, value_weight=0.0)
    perturb(learner)
    assert method.auxiliary_loss(learner, Role.CRITIC) is None
    method.auxiliary_loss(learner, Role.ACTOR | Role.CRITIC).backward()
    assert learner.policy.value_net.trunk[0].weight.grad is None


def test_nothing_is_replayed_in_the_first_task_or_at_strength_zero() -> None:
    learner, method = after(0)
    assert method.auxiliary_loss(learner, Role.ACTOR | Role.CRITIC) is None
    learner, method = after(1, strength=0.0)
    assert method.auxiliary_loss(learner, Role.ACTOR | Role.CRITIC) is None
