"""Elastic weight consolidation: the quadratic penalty weighted by the policy's Fisher information."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field
from typing_extensions import override

from clrobot.agents.deferred import th
from clrobot.agents.methods.shared.quadratic import Importance, QuadraticMethod

if TYPE_CHECKING:
    from clrobot.agents.algorithms.learner import Learner
    from clrobot.agents.methods.shared.method import Collect
    from clrobot.agents.policies.policy import SlotPolicy


def fisher_diagonal(policy: SlotPolicy, obs: th.Tensor) -> Importance:
    """Return the diagonal of the Fisher information of a Gaussian policy's shared parameters.

        F = E_s E_{a~π(s)} [(∂ log π(a|s) / ∂θ)²],  per sample, then averaged
          = E_s Σ_i [ (∂μ_i(s)/∂θ)² / σ_i(s)² + 2 (∂ log σ_i(s)/∂θ)² ]

    The second line takes the expectation over actions exactly. With ε = (a - μ) / σ the score is

        ∂ log π / ∂θ = Σ_i [ (ε_i / σ_i) ∂μ_i/∂θ + (ε_i² - 1) ∂ log σ_i/∂θ ],

    and ε_i and ε_i² - 1 have mean 0, variances 1 and 2, and covariance E ε_i³ = 0. Squashing the action by a tanh
    adds to log π a term of the action alone, so F is that of the Gaussian before it. (Squaring a batch's mean
    gradient instead would make F far too small, and dependent on the batch's size.)

    Args:
        policy: with a diagonal Gaussian, whose σ may depend on the state and on θ.
        obs: on-policy states of one slot (n, d + 1), the slot's index last.

    Returns:
        For each of the actor's shared parameters, by name, a tensor of its shape.
    """
    from clrobot.agents.methods.shared.per_sample import per_sample_gradients

    total = {name: th.zeros_like(p) for name, p in policy.actor_net.shared_parameters()}
    for chunk in per_sample_gradients(policy, obs, _roots):
        for name, gradients in chunk.items():  # (chunk, 2A, *shape)
            total[name] += gradients.square().sum(dim=(0, 1))
    return {name: f / len(obs) for name, f in total.items()}


def _roots(mean: th.Tensor, log_std: th.Tensor) -> th.Tensor:
    """Return μ_i / σ_i with that σ a constant, and √2 log σ_i, (B, 2A): their squared gradients are F's terms."""
    return th.cat([mean * th.exp(-log_std.detach()), math.sqrt(2) * log_std], dim=1)


class EWC(QuadraticMethod):
    """Elastic weight consolidation (Kirkpatrick et al. 2017) of the actor's trunk."""

    name: ClassVar = "ewc"
    summary: ClassVar = "elastic weight consolidation: a penalty on moving weights that earlier tasks need"

    class Settings(QuadraticMethod.Settings):
        """EWC's penalty."""

        strength: float = Field(0.05, ge=0)
        """λ; 0 is fine-tuning, to the bit."""
        states: int = Field(2000, ge=1)
        """On-policy states over which a task's Fisher information is averaged."""

    settings: Settings

    @override
    def importance(self, learner: Learner, k: int, collect: Collect) -> Importance:
        """Return task k's Fisher diagonal."""
        return fisher_diagonal(learner.policy, collect(self.settings.states).observations)
