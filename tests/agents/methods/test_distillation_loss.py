"""The divergence between Gaussian policies against closed forms, and distillation through old heads."""

from __future__ import annotations

import pytest
import torch as th
from support.models import collector, next_slot, same_bits, snapshot, tiny_learner
from torch.distributions import Independent, Normal, kl_divergence

from clrobot.agents.algorithms.learner import Learner
from clrobot.agents.algorithms.role import Role
from clrobot.agents.methods.distillation import Distillation
from clrobot.agents.methods.shared.distillation_loss import Behaviour, behaviour, distillation_loss, gaussian_kl
from clrobot.agents.methods.shared.gradient_hooks import gradient_hooks
from clrobot.agents.methods.shared.memory import generator_bytes


def test_the_divergence_of_numbers_worked_out_by_hand() -> None:
    """From N(1, 1) to N(3, 2²): log 2 + ½ (¼ - 1) + ½ (2 / 2)² = log 2 + ⅛ = 0.818147; two such actions: twice."""
    one = [th.tensor([[value]]) for value in (1.0, 0.0, 3.0, 0.6931471805599453)]
    assert gaussian_kl(*one).tolist() == pytest.approx([0.8181471805599453], rel=1e-6)
    assert gaussian_kl(*(t.repeat(1, 2) for t in one)).tolist() == pytest.approx([1.6362943611198906], rel=1e-6)


def test_the_divergence_is_that_of_torch_and_looks_forward() -> None:
    generator = th.Generator().manual_seed(0)
    mean, log_std, new_mean, new_log_std = th.randn(4, 50, 3, generator=generator, dtype=th.float64)
    old, new = Normal(mean, log_std.exp()), Normal(new_mean, new_log_std.exp())
    ours = gaussian_kl(mean, log_std, new_mean, new_log_std)
    th.testing.assert_close(ours, kl_divergence(Independent(old, 1), Independent(new, 1)))
    assert not th.allclose(ours, kl_divergence(Independent(new, 1), Independent(old, 1)))


def test_the_divergence_of_nearly_equal_policies_keeps_its_digits() -> None:
    """For σ' = e^ε σ it is ε² to first order; 1e-8 would drown beside 1 in single precision."""
    zero = th.zeros(1, 1)
    assert gaussian_kl(zero, zero, zero, zero).item() == 0
    assert gaussian_kl(zero, zero, zero, th.tensor([[1e-4]])).item() == pytest.approx(1e-8, rel=0.05)


def two_tasks_done(method: Distillation) -> Learner:
    """A learner in its third slot, whose first two tasks the method remembers."""
    learner = tiny_learner()
    for k in (0, 1):
        method.before_task(learner, k)
        with th.no_grad():
            learner.policy.action_net.heads[k].weight.mul_(100)  # from a new head's gain, 0.01, to a trained one's
        method.after_task(learner, k, collector(learner, k))
        next_slot(learner, k + 1)
    method.before_task(learner, 2)
    return learner


def small_distillation(**settings) -> Distillation:
    return Distillation(Distillation.Settings(**({"states": 40, "batch_size": 64} | settings)))


def shift(learner: Learner, by: float = 0.1) -> None:
    with th.no_grad():
        for _, p in learner.policy.action_net.shared_parameters():
            p.add_(by * th.randn(p.shape, generator=th.Generator().manual_seed(p.numel())))


def test_the_loss_is_the_mean_divergence_through_each_states_own_head() -> None:
    learner = tiny_learner()
    next_slot(learner, 1)
    states = [collector(learner, k)(30).observations for k in (0, 1)]
    then = [behaviour(learner.policy, obs) for obs in states]
    shift(learner)
    each = []
    for k, (obs, b) in enumerate(zip(states, then, strict=True)):
        new = Normal(learner.policy.action_net.forward_slot(obs[:, :-1], k), learner.policy.log_stds[k].exp())
        each.append(kl_divergence(Normal(b.mean, b.log_std.exp()), new).sum(1))
    mixed = Behaviour(*(th.cat(parts) for parts in zip(*then, strict=True)))
    th.testing.assert_close(distillation_loss(learner.policy, mixed), th.cat(each).mean())


def test_the_weight_is_beta_and_a_loss_at_rest_is_zero() -> None:
    losses = []
    for strength in (1.0, 3.0):
        method = small_distillation(strength=strength)
        learner = two_tasks_done(method)
        at_rest = method.auxiliary_loss(learner, Role.ACTOR | Role.CRITIC)
        assert at_rest.item() == pytest.approx(0, abs=1e-9)
        shift(learner)
        losses.append(method.auxiliary_loss(learner, Role.ACTOR | Role.CRITIC).item())
    assert losses[0] > 0.01
    assert losses[1] == pytest.approx(3 * losses[0], rel=1e-5)


def test_it_shapes_the_actors_trunk_alone() -> None:
    method = small_distillation()
    learner = two_tasks_done(method)
    shift(learner)
    method.auxiliary_loss(learner, Role.ACTOR | Role.CRITIC).backward()
    moved = {name for name, p in learner.policy.named_parameters() if p.grad is not None and p.grad.any()}
    assert moved == {f"action_net.{name}" for name, _ in learner.policy.action_net.shared_parameters()}


def test_it_has_nothing_to_say_to_a_critic_or_in_the_first_task() -> None:
    method = small_distillation()
    assert method.auxiliary_loss(tiny_learner(), Role.ACTOR | Role.CRITIC) is None
    learner = two_tasks_done(method)
    assert method.auxiliary_loss(learner, Role.CRITIC) is None
    assert method.auxiliary_loss(learner, Role.TEMPERATURE) is None


def test_outputs_are_frozen_when_a_task_ends() -> None:
    method = small_distillation()
    learner = two_tasks_done(method)
    before = {name: t.clone() for name, t in method.state_dict().items()}
    shift(learner, 1.0)
    with gradient_hooks(learner, method):
        learner.model.learn(128, reset_num_timesteps=False)
    after = method.state_dict()
    changed = {name for name in before if not th.equal(before[name], after[name])}
    assert changed == {"generator"}


def test_it_keeps_old_actions_where_fine_tuning_does_not() -> None:
    drift = []
    for strength in (0.0, 30.0):
        method = small_distillation(strength=strength)
        learner = two_tasks_done(method)
        obs = method.memory.rows.observations
        before = learner.policy.gaussian(obs)[0].detach()
        with gradient_hooks(learner, method):
            learner.model.learn(256, reset_num_timesteps=False)
        drift.append((learner.policy.gaussian(obs)[0] - before).square().mean().sqrt().item())
    assert drift[1] < 0.5 * drift[0]


def test_a_minibatch_is_spread_over_the_tasks_and_fresh_each_time() -> None:
    method = small_distillation(batch_size=2000)
    two_tasks_done(method)
    first, second = method.memory.sample(2000), method.memory.sample(2000)
    share = first.observations[:, -1].mean().item()
    assert share == pytest.approx(0.5, abs=0.05)
    assert not th.equal(first.observations, second.observations)


def test_its_memory_is_what_it_says_and_within_its_bound() -> None:
    method = small_distillation(states=40)
    learner = two_tasks_done(method)
    assert method.memory_bytes() == 2 * 40 * 4 * (24 + 4 + 4) + generator_bytes()
    assert method.memory_bytes() == method.memory_bound(learner, 2)


def test_strength_zero_draws_nothing_and_changes_nothing() -> None:
    weights = []
    for method in (small_distillation(strength=0.0), small_distillation(strength=1e-12)):
        learner = two_tasks_done(method)
        generator = method.state_dict()["generator"]
        with gradient_hooks(learner, method):
            learner.model.learn(128, reset_num_timesteps=False)
        weights.append(snapshot(learner.policy))
        assert th.equal(generator, method.state_dict()["generator"]) == (method.settings.strength == 0)
    plain = two_tasks_done(small_distillation())
    plain.model.learn(128, reset_num_timesteps=False)
    assert same_bits(weights[0], snapshot(plain.policy))
