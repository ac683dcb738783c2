"""Memory-aware synapses: the quadratic penalty weighted by how sensitive the policy's output is to each weight."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from clrobot.agents.deferred import th
from clrobot.agents.methods.shared.quadratic import Importance, QuadraticMethod

if TYPE_CHECKING:
    from clrobot.agents.algorithms.learner import Learner
    from clrobot.agents.methods.shared.method import Collect
    from clrobot.agents.policies.policy import SlotPolicy


def sensitivity(policy: SlotPolicy, obs: th.Tensor) -> Importance:
    """Return how sensitive the squared length of the mean action is to each shared parameter.

        Ω = E_s |∂‖μ(s)‖² / ∂θ|,  the absolute value per sample (Aljundi et al. 2018, equations 3 and 5)

    μ is the mean action before any squashing, which would hide the weights of saturated actions.

    Args:
        policy: whose mean action is the paper's output.
        obs: on-policy states of one slot (n, d + 1), the slot's index last.

    Returns:
        For each of the actor's shared parameters, by name, a tensor of its shape.
    """
    from clrobot.agents.methods.shared.per_sample import per_sample_gradients

    total = {name: th.zeros_like(p) for name, p in policy.actor_net.shared_parameters()}
    for chunk in per_sample_gradients(policy, obs, lambda mean, _: mean.square().sum(1, keepdim=True)):
        for name, gradients in chunk.items():  # (chunk, 1, *shape)
            total[name] += gradients.abs().sum(dim=(0, 1))
    return {name: f / len(obs) for name, f in total.items()}


class MAS(QuadraticMethod):
    """Memory-aware synapses (Aljundi et al. 2018): importances add up around the newest solution."""

    name: ClassVar = "mas"
    summary: ClassVar = "memory-aware synapses: a penalty on moving weights that earlier actions are sensitive to"

    class Settings(QuadraticMethod.Settings):
        """MAS's penalty."""

        strength: float = Field(0.04, ge=0)
        """λ; 0 is fine-tuning, to the bit."""
        anchor: Literal["summed", "newest"] = "newest"
        """θ*: of the sum of all tasks' quadratics, or where the newest task ended."""
        states: int = Field(2000, ge=1)
        """On-policy states over which a task's sensitivities are averaged."""

    settings: Settings

    @override
    def importance(self, learner: Learner, k: int, collect: Collect) -> Importance:
        """Return task k's sensitivities."""
        return sensitivity(learner.policy, collect(self.settings.states).observations)
