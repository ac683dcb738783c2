"""Replay: a sample of fixed size of all tasks, whose outputs actor and critic are trained to keep."""

from __future__ import annotations

import pytest
import torch as th
from stable_baselines3 import PPO
from support.models import collector, next_slot, tiny_ppo

from clrobot.agents.methods.replay import Replay
from clrobot.agents.methods.shared.distillation_loss import gaussian_kl


def after(tasks: int, **settings) -> tuple[PPO, Replay]:
    method = Replay(Replay.Settings(**({"memory": 60, "batch_size": 32} | settings)))
    model = tiny_ppo()
    for k in range(tasks):
        method.before_task(model, k)
        method.after_task(model, k, collector(model, k))
        next_slot(model, k + 1)
    method.before_task(model, tasks)
    return model, method


def test_what_is_kept_is_what_the_finished_policy_gave() -> None:
    model, method = after(2)
    rows = method.memory.rows
    mean, log_std = model.policy.gaussian(rows.observations)
    th.testing.assert_close(rows.mean, mean)
    assert th.equal(rows.log_std, log_std)
    th.testing.assert_close(rows.values, model.policy.values(rows.observations, rows.actions))
    assert rows.actions.shape == (60, 4)


def test_the_memory_does_not_grow_and_every_task_has_its_share() -> None:
    sizes = []
    for tasks in (1, 2, 3):
        model, method = after(tasks, memory=600)
        sizes.append(method.memory_bytes())
        shares = th.bincount(method.memory.rows.observations[:, -1].long(), minlength=tasks) / 600
        # Without replacement from tasks of 600 each: a deviation below √(⅓ · ⅔ / 600) = 0.02.
        assert shares.tolist() == pytest.approx([1 / tasks] * tasks, abs=0.08)
        assert method.memory_bytes() == method.memory_bound(model, tasks)
    assert len(set(sizes)) == 1


def perturb(model: PPO) -> None:
    with th.no_grad():
        model.policy.action_net.trunk[0].weight.mul_(1.5)
        model.policy.value_net.trunk[0].weight.mul_(1.5)


def test_the_loss_is_beta_times_policy_and_weighted_value_cloning() -> None:
    model, method = after(2, strength=2.0, value_weight=0.5, batch_size=5000)
    perturb(model)
    rows = method.memory.rows
    with th.no_grad():
        kl = gaussian_kl(rows.mean, rows.log_std, *model.policy.gaussian(rows.observations)).mean().item()
        value = (model.policy.values(rows.observations, rows.actions) - rows.values).square().mean().item()
    assert value > 0
    loss = method.auxiliary_loss(model, "policy.optimizer").item()
    assert loss == pytest.approx(2.0 * (kl + 0.5 * value), rel=0.1)  # of 5000 drawn from 60


def test_each_optimizer_is_given_its_own_networks_part() -> None:
    """As an algorithm with an optimizer for each network calls it."""
    model, method = after(1, value_weight=0.5)
    perturb(model)
    for optimizer, own, other in (
        ("actor.optimizer", model.policy.action_net, model.policy.value_net),
        ("critic.optimizer", model.policy.value_net, model.policy.action_net),
    ):
        model.policy.zero_grad()
        method.auxiliary_loss(model, optimizer).backward()
        assert own.trunk[0].weight.grad.any()
        assert other.trunk[0].weight.grad is None
    assert method.auxiliary_loss(model, "ent_coef_optimizer") is None


def test_without_a_weight_the_critic_is_let_go() -> None:
    model, method = after(1, value_weight=0.0)
    perturb(model)
    assert method.auxiliary_loss(model, "critic.optimizer") is None
    method.auxiliary_loss(model, "policy.optimizer").backward()
    assert model.policy.value_net.trunk[0].weight.grad is None


def test_nothing_is_replayed_in_the_first_task_or_at_strength_zero() -> None:
    model, method = after(0)
    assert method.auxiliary_loss(model, "policy.optimizer") is None
    model, method = after(1, strength=0.0)
    assert method.auxiliary_loss(model, "policy.optimizer") is None
