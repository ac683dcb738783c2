"""A diagonal Gaussian's log-probabilities, squashed or not, as autograd functions with their derivatives written out.

Unsquashed:

    log π(a) = Σ_i  -(a_i - μ_i)² / (2 σ_i²) - log σ_i - log √(2π)

    ∂ log π / ∂μ_i = (a_i - μ_i) / σ_i²,    ∂ log π / ∂ log σ_i = (a_i - μ_i)² / σ_i² - 1
"""

from __future__ import annotations

import math
from typing import Any

import torch as th
from torch.autograd.function import once_differentiable

_ROOM = 1e-6  # Stable-Baselines3's, against the logarithm of zero
_LOG_ROOT_2_PI = math.log(math.sqrt(2 * math.pi))


def _total(mean: th.Tensor, log_std: th.Tensor, actions: th.Tensor) -> tuple[th.Tensor, th.Tensor, th.Tensor]:
    """Return log π (B,), a - μ (B, A) and σ², (A,) or (B, A)."""
    std = log_std.exp()
    variance = std * std
    apart = actions - mean
    # Term by term as torch's Normal, which goes through the logarithm of σ: the same bits.
    terms = (apart.square().neg_()).div_(2 * variance).sub_(std.log()).sub_(_LOG_ROOT_2_PI)
    return terms.sum(dim=1), apart, variance


class _LogProbability(th.autograd.Function):
    @staticmethod
    def forward(ctx: Any, mean: th.Tensor, log_std: th.Tensor, actions: th.Tensor) -> th.Tensor:
        total, *saved = _total(mean, log_std, actions)
        ctx.save_for_backward(*saved)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, delta: th.Tensor) -> tuple[th.Tensor | None, ...]:
        apart, variance = ctx.saved_tensors
        delta = delta[:, None]
        slope = apart / variance  # ∂/∂μ
        by_log_std = None
        if ctx.needs_input_grad[1]:
            by_log_std = (slope * apart).sub_(1.0).mul_(delta)
            if variance.dim() == 1:
                by_log_std = by_log_std.sum(dim=0)
        by_mean = slope.mul_(delta) if ctx.needs_input_grad[0] else None
        return by_mean, by_log_std, None


def log_probability(mean: th.Tensor, log_std: th.Tensor, actions: th.Tensor) -> th.Tensor:
    """Return log π (B,) of actions (B, A), whose own gradient is not taken.

    Args:
        mean: μ, (B, A).
        log_std: log σ, (B, A), or (A,) where all rows have the same.
        actions: (B, A).
    """
    if not th.is_grad_enabled():
        return _total(mean, log_std, actions)[0]
    return _LogProbability.apply(mean, log_std, actions)  # type: ignore[no-any-return, no-untyped-call]


def entropy(log_std: th.Tensor, rows: int) -> th.Tensor:
    """Return the entropy (B,) of a diagonal Gaussian, B = `rows`:  Σ_i ½ + ½ log 2π + log σ_i.

    Args:
        log_std: log σ, (B, A), or (A,) where all rows have the same.
        rows: B.
    """
    return (0.5 + 0.5 * math.log(2 * math.pi) + log_std).sum(dim=-1).expand(rows)


class _SquashedSample(th.autograd.Function):
    @staticmethod
    def forward(ctx: Any, mean: th.Tensor, log_std: th.Tensor, noise: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
        std = log_std.exp()
        displacement = std * noise
        actions = (mean + displacement).tanh_()
        slope = 1.0 - actions.square()
        room = slope + _ROOM
        ctx.save_for_backward(actions, slope, room, displacement)
        terms = noise.square().mul_(-0.5).sub_(log_std).sub_(_LOG_ROOT_2_PI).sub_(room.log())
        return actions, terms.sum(dim=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_action: th.Tensor, by_total: th.Tensor) -> tuple[th.Tensor | None, ...]:
        actions, slope, room, displacement = ctx.saved_tensors
        by_total = by_total[:, None]
        by_sample = (actions / room).mul_(2.0).mul_(by_total).add_(by_action).mul_(slope)
        return by_sample, (by_sample * displacement).sub_(by_total), None


def squashed_sample(mean: th.Tensor, log_std: th.Tensor, noise: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
    """Return actions (B, A) of a squashed Gaussian and their log-probabilities (B,), both with their gradients.

    With ε the noise, u = μ + σ ε the sample and c = 10⁻⁶, which Stable-Baselines3 adds,

        a = tanh u,    log π(a) = Σ_i  -ε_i² / 2 - log σ_i - log √(2π) - log(1 - a_i² + c)

        ∂l/∂u = (1 - a²) (∂l/∂a + 2 a / (1 - a² + c) · ∂l/∂log π),
        ∂l/∂μ = ∂l/∂u,    ∂l/∂log σ = σ ε ∂l/∂u - ∂l/∂log π

    (Haarnoja et al. 2018, appendix C.)

    Args:
        mean: μ, (B, A).
        log_std: log σ, (B, A).
        noise: standard normal, (B, A).
    """
    return _SquashedSample.apply(mean, log_std, noise)  # type: ignore[no-any-return, no-untyped-call]
