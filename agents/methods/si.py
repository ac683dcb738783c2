"""Synaptic intelligence: the quadratic penalty weighted by what each weight's displacement did to the loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from clrobot.agents.algorithms.role import Role
from clrobot.agents.deferred import th
from clrobot.agents.methods.shared.method import Collect, named
from clrobot.agents.methods.shared.quadratic import Importance, QuadraticMethod, protected_parameters
from clrobot.agents.tensors import check_numbers

if TYPE_CHECKING:
    from clrobot.agents.algorithms.learner import Learner


class SI(QuadraticMethod):
    """Synaptic intelligence (Zenke et al. 2017): importances add up around the newest solution.

        ω_j = Σ_t -g_j(t) Δθ_j(t)    over the updates t of a stage       (equation 3)
        Ω_j = max(0, ω_j) / (Δ_j² + ξ)   with Δ_j the displacement over the stage  (equation 5)

    g is the gradient of the algorithm's own loss, without this penalty, and before clipping: g·Δθ then is, to first
    order, what the update changed that loss by. Δθ is the optimizer's real displacement, with the penalty, clipping
    and Adam in it. A weight whose displacements raised the loss on the whole (ω < 0) has no importance.
    """

    name: ClassVar = "si"
    measures_updates: ClassVar = True
    summary: ClassVar = "synaptic intelligence: a penalty on moving weights that brought earlier tasks' losses down"

    class Settings(QuadraticMethod.Settings):
        """SI's penalty."""

        strength: float = Field(0.01, ge=0)
        """λ; 0 is fine-tuning, to the bit."""
        anchor: Literal["summed", "newest"] = "newest"
        """θ*: of the sum of all tasks' quadratics, or where the newest task ended."""
        damping: float = Field(0.01, gt=0)
        """ξ: keeps the importance of weights that hardly moved finite."""

    settings: Settings

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._path: dict[str, th.Tensor] = {}  # ω so far, by parameter name; empty before a stage's first update
        self._start: dict[str, th.Tensor] = {}  # θ before it
        self._step: dict[str, tuple[th.Tensor, th.Tensor]] = {}  # (g, θ) within an update

    @override
    def before_task(self, learner: Learner, k: int) -> None:
        """Pair the parameters with their weights and anchors, and go on with a resumed stage's sums."""
        super().before_task(learner, k)
        for name, parameter in protected_parameters(learner).items():
            for kept in (self._path, self._start):
                if name in kept:
                    check_numbers(name, kept[name], parameter.shape)
                    kept[name] = kept[name].to(parameter.device)

    @override
    def auxiliary_loss(self, learner: Learner, role: Role) -> None:
        """Note the gradient and the weights before the update; nothing has been added to the gradient yet."""
        if Role.ACTOR not in role:
            return
        self._step = {
            name: (p.grad.clone(), p.detach().clone())
            for name, p in protected_parameters(learner).items()
            if p.grad is not None
        }
        if not self._start:
            # A stage's first update: here rather than in `before_task`, which a resumed stage calls once more.
            self._start = {name: p.detach().clone() for name, p in protected_parameters(learner).items()}
            self._path = {name: th.zeros_like(p) for name, p in self._start.items()}

    @override
    def after_update(self, learner: Learner, role: Role) -> None:
        """Go on with the path integral: ω ← ω - g Δθ."""
        if Role.ACTOR not in role:
            return
        protected = protected_parameters(learner)
        for name, (gradient, before) in self._step.items():
            self._path[name] -= gradient * (protected[name].detach() - before)
        self._step = {}

    @override
    def importance(self, learner: Learner, k: int, collect: Collect) -> Importance:
        """Return Ω of the stage just finished, and forget its path integral."""
        found = {}
        for name, parameter in protected_parameters(learner).items():
            theta = parameter.detach()
            displacement = theta - self._start.get(name, theta)
            path = self._path.get(name, th.zeros_like(theta))
            found[name] = path.clamp_min(0) / (displacement.square() + self.settings.damping)
        self._path, self._start = {}, {}
        return found

    @override
    def memory_bound(self, learner: Learner, tasks: int) -> int:
        """Return the bytes of F, θ*, ω and the stage's start, however many tasks there are."""
        return 2 * super().memory_bound(learner, tasks)

    @override
    def state_dict(self) -> dict[str, th.Tensor]:
        """Return F and θ*, and within a stage ω and its start."""
        return (
            super().state_dict()
            | {f"path.{name}": w for name, w in self._path.items()}
            | {f"start.{name}": p for name, p in self._start.items()}
        )

    @override
    def load_state_dict(self, state: dict[str, th.Tensor]) -> None:
        """Restore all that; a resumed stage goes on with the same sums."""
        super().load_state_dict(state)
        self._path, self._start = named(state, "path"), named(state, "start")
