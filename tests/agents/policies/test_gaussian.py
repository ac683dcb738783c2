"""The log-probabilities that PPO and SAC differentiate, and their written-out derivatives."""

from __future__ import annotations

import pytest
import torch as th
from stable_baselines3.common.distributions import SquashedDiagGaussianDistribution
from torch.distributions import Normal

from clrobot.agents.policies.gaussian import entropy, log_probability, squashed_sample


def numbers(*shape: int, seed: int, dtype: th.dtype = th.float64) -> th.Tensor:
    return th.randn(*shape, generator=th.Generator().manual_seed(seed), dtype=dtype)


COMMON, EACH = (4,), (9, 4)  # a log standard deviation for all rows, and one for each


@pytest.mark.parametrize("shape", [COMMON, EACH])
def test_the_log_probabilitys_derivatives_are_those_of_finite_differences(shape) -> None:
    mean, log_std = numbers(9, 4, seed=0).requires_grad_(), numbers(*shape, seed=1).requires_grad_()
    actions = numbers(9, 4, seed=2)
    assert th.autograd.gradcheck(lambda m, s: log_probability(m, s, actions), (mean, log_std))


@pytest.mark.parametrize("shape", [COMMON, EACH])
def test_log_probability_and_entropy_are_torchs_to_the_bit(shape) -> None:
    mean, log_std, actions = (numbers(*s, seed=i, dtype=th.float32) for i, s in enumerate(((9, 4), shape, (9, 4))))
    normal = Normal(mean, log_std.exp().expand_as(mean))
    expected = normal.log_prob(actions).sum(dim=1)
    assert th.equal(log_probability(mean, log_std, actions), expected)
    assert th.equal(log_probability(mean.requires_grad_(), log_std, actions), expected)
    assert th.allclose(entropy(log_std, 9), normal.entropy().sum(dim=1), rtol=1e-6)


def test_the_squashed_samples_derivatives_are_those_of_finite_differences() -> None:
    mean, log_std = numbers(9, 4, seed=0).requires_grad_(), numbers(9, 4, seed=1).requires_grad_()
    noise = numbers(9, 4, seed=2)
    assert th.autograd.gradcheck(lambda m, s: squashed_sample(m, s, noise), (mean, log_std))


def test_the_squashed_sample_is_stable_baselines3s() -> None:
    mean, log_std = (numbers(9, 4, seed=i, dtype=th.float32) for i in range(2))
    leaves = [tensor.clone().requires_grad_() for tensor in (mean, log_std, mean, log_std)]
    th.manual_seed(5)
    noise = th.randn_like(mean)
    th.manual_seed(5)
    theirs = SquashedDiagGaussianDistribution(4).log_prob_from_params(*leaves[:2])
    mine = squashed_sample(*leaves[2:], noise)
    for a, b in zip(mine, theirs, strict=True):
        assert th.allclose(a, b, rtol=1e-5, atol=1e-6)
    factors = numbers(9, 4, seed=7, dtype=th.float32)
    for action, total in (theirs, mine):
        ((action * factors).sum() + total.sum()).backward()
    for a, b in zip(leaves[2:], leaves[:2], strict=True):
        assert th.allclose(a.grad, b.grad, rtol=1e-4, atol=1e-5)
