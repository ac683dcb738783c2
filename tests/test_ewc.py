"""EWC's Fisher information against closed forms, and its quadratic against hand computation."""

from __future__ import annotations

import pytest
import torch as th
from helpers import collector, next_slot, tiny_ppo

from clrobot.agents.methods.ewc import EWC, fisher_diagonal
from clrobot.agents.networks import MultiHeadNetwork


def linear_gaussian() -> MultiHeadNetwork:
    """A network whose trunk is one linear layer: μ = W_head (W x + b) + b_head."""
    th.manual_seed(0)
    network = MultiHeadNetwork(3, (2,), 2, head_gain=1.0)
    network.trunk[1] = th.nn.Identity()
    return network


def test_fisher_equals_its_closed_form_for_a_linear_policy() -> None:
    """∂μ_i/∂W_jk = H_ij x_k, so F(W_jk) = Σ_i H_ij² / σ_i² · mean x_k², and F(b_j) the same without x."""
    network = linear_gaussian()
    x = th.randn(700, 3, generator=th.Generator().manual_seed(1))
    log_std = th.tensor([-0.5, 0.25])
    fisher = fisher_diagonal(network, 0, x, log_std)
    head = network.heads[0].weight.detach()
    by_unit = (head.square() / th.exp(2 * log_std)[:, None]).sum(0)
    th.testing.assert_close(fisher["trunk.0.bias"], by_unit, rtol=1e-5, atol=0)
    expected = by_unit[:, None] * x.square().mean(0)[None]
    th.testing.assert_close(fisher["trunk.0.weight"], expected, rtol=1e-5, atol=0)


def test_fisher_of_numbers_worked_out_by_hand() -> None:
    """One input, one unit, one action: W = 2, H = 3, σ = ½, x ∈ {1, 2}: F(W) = 9 · 4 · (1 + 4) / 2 = 90."""
    network = MultiHeadNetwork(1, (1,), 1, head_gain=1.0)
    network.trunk[1] = th.nn.Identity()
    with th.no_grad():
        network.trunk[0].weight.fill_(2.0)
        network.heads[0].weight.fill_(3.0)
    fisher = fisher_diagonal(network, 0, th.tensor([[1.0], [2.0]]), th.log(th.tensor([0.5])))
    assert fisher["trunk.0.weight"].item() == pytest.approx(90.0)
    assert fisher["trunk.0.bias"].item() == pytest.approx(36.0)


def test_fisher_is_the_mean_of_squared_per_sample_scores() -> None:
    """Against the definition, E_s E_a (∂ log π / ∂θ)², with sampled actions and one backward pass a sample."""
    th.manual_seed(0)
    network = MultiHeadNetwork(3, (4, 4), 2, head_gain=1.0)
    log_std = th.tensor([-0.3, 0.4])
    x = th.randn(4, 3, generator=th.Generator().manual_seed(1))
    exact = fisher_diagonal(network, 0, x, log_std)
    generator = th.Generator().manual_seed(2)
    draws = 600
    total = {name: th.zeros_like(p) for name, p in network.shared_parameters()}
    for _ in range(draws):
        for row in x:
            mean = network.forward_slot(row[None], 0)[0]
            action = mean.detach() + th.exp(log_std) * th.randn(2, generator=generator)
            log_prob = -0.5 * ((action - mean) / th.exp(log_std)).square().sum()
            grads = th.autograd.grad(log_prob, [p for _, p in network.shared_parameters()])
            for name, g in zip(total, grads, strict=True):
                total[name] += g.square() / (draws * len(x))
    for name, sampled in total.items():
        # 2,400 samples of a squared Gaussian: a standard error of 3 %; the sum over a tensor is tighter.
        assert sampled.sum().item() == pytest.approx(exact[name].sum().item(), rel=0.1)
        assert th.corrcoef(th.stack([sampled.flatten(), exact[name].flatten()]))[0, 1] > 0.98


def test_fisher_does_not_depend_on_the_batch() -> None:
    """Squaring a batch's mean gradient would: here 500 samples, in two chunks, are 5 samples a hundred times."""
    network = linear_gaussian()
    x = th.randn(5, 3, generator=th.Generator().manual_seed(1))
    log_std = th.zeros(2)
    few, many = fisher_diagonal(network, 0, x, log_std), fisher_diagonal(network, 0, x.repeat(100, 1), log_std)
    for name in few:
        th.testing.assert_close(few[name], many[name], rtol=1e-4, atol=1e-6)


def test_importance_has_mean_one_after_one_task_and_two_after_two() -> None:
    model = tiny_ppo()
    method = EWC(EWC.Settings(states=60))
    for k in (0, 1):
        method.after_task(model, k, collector(model, k))
        state = method.state_dict()
        values = th.cat([t.flatten() for name, t in state.items() if name.startswith("importance.")])
        assert values.mean().item() == pytest.approx(k + 1, rel=1e-4)
        assert values.min() >= 0
        next_slot(model, k + 1)


def test_the_merged_quadratic_has_the_gradient_of_the_sum() -> None:
    """Σ_k F_k (θ - θ*_k) from the two tasks' own F and θ*, kept aside, against the method's one F and θ*."""
    model = tiny_ppo()
    method = EWC(EWC.Settings(states=60, strength=2.0))
    tasks = []
    protected = dict(model.policy.action_net.shared_parameters())
    for k in (0, 1):
        alone = EWC(EWC.Settings(states=60))
        alone.after_task(model, k, collector(model, k))
        state = alone.state_dict()
        tasks.append({n: (state[f"importance.{n}"], state[f"anchor.{n}"]) for n in protected})
        method.after_task(model, k, collector(model, k))
        with th.no_grad():
            for p in protected.values():
                p.add_(0.1 * th.randn(p.shape, generator=th.Generator().manual_seed(k)))
        next_slot(model, k + 1)
    method.before_task(model, 2)
    for p in protected.values():
        p.grad = th.zeros_like(p)
    method.adjust_gradients(model, "policy.optimizer")
    for name, p in protected.items():
        expected = sum(2.0 * f * (p.detach() - anchor) for f, anchor in (task[name] for task in tasks))
        th.testing.assert_close(p.grad, expected, rtol=1e-4, atol=1e-6)


def test_the_memory_does_not_grow_with_the_tasks() -> None:
    model = tiny_ppo()
    method = EWC(EWC.Settings(states=20))
    sizes = []
    for k in range(3):
        method.after_task(model, k, collector(model, k))
        sizes.append(method.memory_bytes())
        next_slot(model, k + 1)
    protected = sum(p.numel() for _, p in model.policy.action_net.shared_parameters())
    assert sizes == [2 * 4 * protected] * 3
