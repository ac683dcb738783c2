"""A-GEM: a step for the new task may not, to first order, make the policy worse at what it did in earlier ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from clrobot.agents.algorithms.role import Role
from clrobot.agents.deferred import th
from clrobot.agents.methods.shared.distillation_loss import distillation_loss
from clrobot.agents.methods.shared.method import Method
from clrobot.agents.methods.shared.rehearsal import StateRehearsal

if TYPE_CHECKING:
    from clrobot.agents.algorithms.learner import Learner


def projected(gradient: th.Tensor, reference: th.Tensor) -> th.Tensor:
    """Return the vector nearest to `gradient` along which the reference loss does not grow (equation 11).

        g - (g·g_ref / ‖g_ref‖²) g_ref  where g·g_ref < 0, otherwise g

    Both are gradients of losses to be descended, (P,); of the parameters that both move against them, a negative
    product is a conflict. Computed in double precision: in single, a quarter of the results are in conflict still.
    """
    g, r = gradient.double(), reference.double()
    product, square = g @ r, r @ r
    # The distillation loss and its gradient are zero when a stage begins: there is no conflict yet.
    if not (product < 0 and square > 0):
        return gradient
    return (g - (product / square) * r).to(gradient.dtype)


class AGEM(StateRehearsal):
    """Averaged gradient episodic memory (Chaudhry et al. 2019) of the distillation loss on old states."""

    name: ClassVar = "a-gem"
    summary: ClassVar = "gradients are projected so that, to first order, no step undoes what earlier tasks need"
    family: ClassVar = "replay"

    @classmethod
    @override
    def why_not_with(cls, other: type[Method]) -> str | None:
        return f"{cls.name} projects the whole gradient, and may undo part of what {other.name} adds to it"

    @override
    def adjust_gradients(self, learner: Learner, role: Role) -> None:
        """Project the gradient of all parameters that the optimizer steps, taken as one vector."""
        if Role.ACTOR not in role or not len(self.memory):
            return
        policy = learner.policy
        optimizer = learner.optimizer(role)
        # What has no gradient is not stepped.
        stepped = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        loss = distillation_loss(policy, self.memory.sample(self.settings.batch_size))
        reference = th.autograd.grad(loss, stepped, materialize_grads=True)
        gradients = [p.grad for p in stepped if p.grad is not None]
        result = projected(_flat(gradients), _flat(reference))
        for gradient, part in zip(gradients, th.split(result, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))


def _flat(tensors: list[th.Tensor] | tuple[th.Tensor, ...]) -> th.Tensor:
    return th.cat([t.flatten() for t in tensors])
