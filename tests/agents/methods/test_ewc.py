"""EWC's Fisher information against closed forms, numbers worked out by hand, and sampled scores."""

from __future__ import annotations

import math

import pytest
import torch as th
from stable_baselines3.common.distributions import SquashedDiagGaussianDistribution
from support.models import box_policy, one_unit, state_std_policy

from clrobot.agents.methods.ewc import fisher_diagonal


def states(n: int, inputs: int) -> th.Tensor:
    """Return made-up observations (n, inputs + 1) of slot 0."""
    return th.cat([th.randn(n, inputs, generator=th.Generator().manual_seed(1)), th.zeros(n, 1)], dim=1)


def column(*values: float) -> th.Tensor:
    """Return observations of one number each, of slot 0."""
    return th.tensor([[value, 0.0] for value in values])


def test_fisher_equals_its_closed_form_for_one_hidden_layer() -> None:
    """h = tanh(W x + b), μ = H h: ∂μ_i/∂W_jk = H_ij (1 - h_j²) x_k, F(W_jk) = E (1 - h_j²)² x_k² Σ_i H_ij² / σ_i²."""
    policy = box_policy(3, 2, widths=(4,))
    with th.no_grad():
        policy.log_stds[0].copy_(th.tensor([-0.5, 0.25]))
        policy.actor_net.heads[0].weight.mul_(100)  # a new head's are near zero
    obs = states(700, 3)
    x = obs[:, :-1]
    fisher = fisher_diagonal(policy, obs)
    trunk, head = policy.actor_net.trunk[0], policy.actor_net.heads[0].weight.detach()
    slope = 1 - th.tanh(x @ trunk.weight.T + trunk.bias).detach().square()
    by_unit = (head.square() / th.exp(th.tensor([-1.0, 0.5]))[:, None]).sum(0) * slope.square()
    th.testing.assert_close(fisher["trunk.0.bias"], by_unit.mean(0), rtol=1e-4, atol=0)
    th.testing.assert_close(fisher["trunk.0.weight"], by_unit.T @ x.square() / 700, rtol=1e-4, atol=0)


def test_fisher_of_numbers_worked_out_by_hand() -> None:
    """H = 3, σ = ½, x ∈ {1, 2}: ∂μ/∂W = 3 · 0.64 x, so F(W) = (1.92² · 4) (1 + 4) / 2 = 36.864; F(b) = 14.7456."""
    policy = one_unit(box_policy(1, 1, widths=(1,)), 3.0)
    with th.no_grad():
        policy.log_stds[0].fill_(math.log(0.5))
    fisher = fisher_diagonal(policy, column(1.0, 2.0))
    assert fisher["trunk.0.weight"].item() == pytest.approx(36.864, rel=1e-5)
    assert fisher["trunk.0.bias"].item() == pytest.approx(14.7456, rel=1e-5)


def test_fisher_of_a_state_dependent_deviation_worked_out_by_hand() -> None:
    """Head rows 3 (μ) and 0.5 (log σ = 0.3): F(W) = [(1.92 x)² e^-0.6 + 2 (0.32 x)²], over x ∈ {1, 2}.

    1.92² e^-0.6 = 3.6864 · 0.548812 = 2.023139 and 2 · 0.1024 = 0.2048, so F(b) = 2.227939 and F(W) = 2.5 F(b).
    """
    policy = one_unit(state_std_policy(1, 1, widths=(1,)), 3.0, 0.5)
    fisher = fisher_diagonal(policy, column(1.0, 2.0))
    assert fisher["trunk.0.bias"].item() == pytest.approx(2.227939, rel=1e-5)
    assert fisher["trunk.0.weight"].item() == pytest.approx(5.569848, rel=1e-5)


@pytest.mark.parametrize(("make", "layer_norm"), [(box_policy, False), (state_std_policy, True)])
def test_fisher_is_the_mean_of_squared_per_sample_scores(make, layer_norm: bool) -> None:
    """Against the definition, E_s E_a (∂ log π / ∂θ)², with sampled actions and a gradient for each of them.

    The density is that of the squashed action: its Jacobian has no gradient, as the closed form has it.
    """
    policy = make(3, 2, widths=(4, 4), layer_norm=layer_norm)
    with th.no_grad():
        policy.actor_net.heads[0].weight.copy_(0.5 * th.randn(policy.actor_net.heads[0].weight.shape))
    obs = states(2, 3)
    exact = fisher_diagonal(policy, obs)
    shared = [p for _, p in policy.actor_net.shared_parameters()]
    squashed = SquashedDiagGaussianDistribution(2)
    generator = th.Generator().manual_seed(2)
    total = {name: th.zeros_like(p) for name, p in exact.items()}
    draws, batch = 2000, 100
    for row in obs:
        mean, log_std = policy.gaussian(row[None])
        squashed.proba_distribution(mean, log_std)
        for _ in range(draws // batch):
            before = mean.detach() + th.exp(log_std.detach()) * th.randn(batch, 2, generator=generator)
            log_prob = squashed.log_prob(th.tanh(before), before)  # (batch,)
            scores = th.autograd.grad(log_prob, shared, th.eye(batch), is_grads_batched=True, retain_graph=True)
            for name, score in zip(total, scores, strict=True):
                total[name] += score.square().sum(0) / (draws * len(obs))
    for name, sampled in total.items():
        # 4,000 samples, of a squared Gaussian or of a heavier tail: standard errors of 2 to 5 %.
        assert sampled.sum().item() == pytest.approx(exact[name].sum().item(), rel=0.15)
        assert th.corrcoef(th.stack([sampled.flatten(), exact[name].flatten()]))[0, 1] > 0.97


def test_fisher_does_not_depend_on_the_batch() -> None:
    """Squaring a batch's mean gradient would: here 500 samples, in two chunks, are 5 samples a hundred times."""
    policy = box_policy(3, 2, widths=(4, 4))
    obs = states(5, 3)
    few, many = fisher_diagonal(policy, obs), fisher_diagonal(policy, obs.repeat(100, 1))
    for name in few:
        th.testing.assert_close(few[name], many[name], rtol=1e-4, atol=1e-10)


def test_fisher_goes_through_the_slots_own_head_and_leaves_the_policy_alone() -> None:
    """Head 1 is twice head 0, so its means' gradients are too, and F four times."""
    policy = box_policy(3, 2, widths=(4,))
    policy.add_slot()
    policy.add_slot()
    with th.no_grad():
        policy.actor_net.heads[1].weight.copy_(2 * policy.actor_net.heads[0].weight)
    first, second = states(50, 3), states(50, 3)
    second[:, -1] = 1.0
    expected, mean = fisher_diagonal(policy, first), policy.gaussian(second)[0]
    for name, f in fisher_diagonal(policy, second).items():
        th.testing.assert_close(f, 4 * expected[name])
    assert th.equal(policy.gaussian(second)[0], mean)
    assert not policy.actor_net._forward_hooks
    assert all(p.grad is None for p in policy.parameters())
