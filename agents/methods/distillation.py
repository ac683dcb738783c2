"""Distillation: the policy as it was after each task teaches the policy that learns the next ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field
from typing_extensions import override

from clrobot.agents.algorithms.role import Role
from clrobot.agents.deferred import th
from clrobot.agents.methods.shared.distillation_loss import distillation_loss
from clrobot.agents.methods.shared.method import Method
from clrobot.agents.methods.shared.rehearsal import StateRehearsal, why_not_both_rehearse

if TYPE_CHECKING:
    from clrobot.agents.algorithms.learner import Learner


class Distillation(StateRehearsal):
    """Policy distillation (Rusu et al. 2015) from earlier tasks; in continual learning, Wołczyk et al. 2022.

        β · KL(π_old(·|s) ‖ π(·|s))

    with s drawn from the states kept of all earlier tasks.
    """

    name: ClassVar = "distillation"
    summary: ClassVar = "states of each task are kept with the policy's outputs there, from which it is distilled"
    family: ClassVar = "distillation"

    class Settings(StateRehearsal.Settings):
        """States of earlier tasks, in which the policy is trained to go on as it did."""

        strength: float = Field(1.0, ge=0)
        """β, the divergence's weight; 0 is fine-tuning, to the bit."""

    settings: Settings

    @classmethod
    @override
    def why_not_with(cls, other: type[Method]) -> str | None:
        return why_not_both_rehearse(cls, other)

    @override
    def auxiliary_loss(self, learner: Learner, role: Role) -> th.Tensor | None:
        """Return β times the divergence over a minibatch of earlier tasks."""
        if Role.ACTOR not in role or not len(self.memory) or self.settings.strength == 0:
            return None
        old = self.memory.sample(self.settings.batch_size)
        return self.settings.strength * distillation_loss(learner.policy, old)
