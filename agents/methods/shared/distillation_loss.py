"""What a policy did in states of earlier tasks, and the divergence of what it does now from that."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from clrobot.agents.deferred import th

if TYPE_CHECKING:
    from clrobot.agents.policies.policy import SlotPolicy


class Behaviour(NamedTuple):
    """States of finished tasks, with the policy's outputs when they were finished."""

    observations: th.Tensor  # (n, d + 1), the slot's index last
    mean: th.Tensor  # (n, A)
    log_std: th.Tensor  # (n, A)


def behaviour(policy: SlotPolicy, observations: th.Tensor) -> Behaviour:
    """Return what `policy` does now in `observations` (n, d + 1), as constants."""
    with th.no_grad():
        mean, log_std = policy.gaussian(observations)
    return Behaviour(observations, mean, log_std)


def gaussian_kl(mean: th.Tensor, log_std: th.Tensor, new_mean: th.Tensor, new_log_std: th.Tensor) -> th.Tensor:
    """Return the divergence (n,) of diagonal Gaussians from old to new, from their parameters, each (n, A).

    KL(N(μ, σ²) ‖ N(μ', σ'²)) = Σ_i  log(σ'_i / σ_i) + ½ ((σ_i / σ'_i)² - 1) + ½ ((μ_i - μ'_i) / σ'_i)²
    """
    widening = new_log_std - log_std
    apart = (mean - new_mean) * th.exp(-new_log_std)
    # expm1 keeps the digits where the two are nearly equal.
    terms = widening + 0.5 * (th.expm1(-2.0 * widening) + apart.square())
    return terms.sum(1)


def distillation_loss(policy: SlotPolicy, old: Behaviour) -> th.Tensor:
    """Return the mean divergence from the policy as it was to the policy as it is, through each state's own head.

    (Policy distillation with the forward divergence, Rusu et al. 2015, equation 3, for Gaussians.)
    """
    return gaussian_kl(old.mean, old.log_std, *policy.gaussian(old.observations)).mean()
