"""Several methods as one: a regulariser with a memory (`ewc+replay`), and the plasticity options with any."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from clrobot.agents.algorithms.role import Role
from clrobot.agents.deferred import th
from clrobot.agents.methods.shared.method import Collect, Family, Method, Phase

if TYPE_CHECKING:
    from clrobot.agents.algorithms.learner import Learner
    from clrobot.agents.networks.slot_network import SlotNetwork


class Composite(Method):
    """Calls each part's verbs in order; auxiliary losses add up.

    The parts' states are kept apart by the parts' names. At most one part may choose a network, phases and the
    slots that a stage trains: the last one.
    """

    name: ClassVar = "composite"
    summary: ClassVar = "several methods as one"
    family: ClassVar[Family] = "bound"

    def __init__(self, parts: Sequence[Method]) -> None:
        super().__init__(Method.Settings())
        self.parts = tuple(parts)
        # What looks at the optimizer's step comes before what writes weights itself, such as ReDo.
        self._after_update = sorted(self.parts, key=lambda part: not part.measures_updates)

    @override
    def uses(self, verb: str) -> bool:
        return any(part.uses(verb) for part in self.parts)

    @override
    def why_not_here(self, algorithm: str, tasks: int) -> str | None:
        return next(filter(None, (part.why_not_here(algorithm, tasks) for part in self.parts)), None)

    @override
    def networks(self) -> dict[str, Callable[..., SlotNetwork]]:
        return self.parts[-1].networks()

    @override
    def why_no_warm_start(self) -> str | None:
        return self.parts[-1].why_no_warm_start()

    @override
    def only_adds(self) -> bool:
        return all(part.only_adds() for part in self.parts)

    @override
    def learns_old_rewards_by(self) -> str | None:
        return next(filter(None, (part.learns_old_rewards_by() for part in self.parts)), None)

    @override
    def trained_slots(self, k: int, n: int) -> range:
        return self.parts[-1].trained_slots(k, n)

    @override
    def phases(self, steps: int) -> list[Phase]:
        return self.parts[-1].phases(steps)

    @override
    def before_start(self, learner: Learner, k: int) -> None:
        for part in self.parts:
            part.before_start(learner, k)

    @override
    def before_task(self, learner: Learner, k: int) -> None:
        for part in self.parts:
            part.before_task(learner, k)

    @override
    def before_phase(self, learner: Learner, k: int, phase: str) -> None:
        for part in self.parts:
            part.before_phase(learner, k, phase)

    @override
    def auxiliary_loss(self, learner: Learner, role: Role) -> th.Tensor | None:
        losses = [part.auxiliary_loss(learner, role) for part in self.parts if part.uses("auxiliary_loss")]
        given = [loss for loss in losses if loss is not None]
        return th.stack(given).sum() if given else None

    @override
    def adjust_gradients(self, learner: Learner, role: Role) -> None:
        for part in self.parts:
            if part.uses("adjust_gradients"):
                part.adjust_gradients(learner, role)

    @override
    def after_update(self, learner: Learner, role: Role) -> None:
        for part in self._after_update:
            if part.uses("after_update"):
                part.after_update(learner, role)

    @override
    def after_task(self, learner: Learner, k: int, collect: Collect) -> None:
        for part in self.parts:
            part.after_task(learner, k, collect)

    @override
    def state_dict(self) -> dict[str, th.Tensor]:
        return {f"{part.name}/{key}": t for part in self.parts for key, t in part.state_dict().items()}

    @override
    def load_state_dict(self, state: dict[str, th.Tensor]) -> None:
        for part in self.parts:
            prefix = f"{part.name}/"
            own = {key.removeprefix(prefix): t for key, t in state.items() if key.startswith(prefix)}
            part.load_state_dict(own)

    @override
    def memory_bound(self, learner: Learner, tasks: int) -> int:
        return sum(part.memory_bound(learner, tasks) for part in self.parts)


def why_not_together(first: type[Method], second: type[Method]) -> str | None:
    """Return why `first+second` makes no method, as a clause, in the words of the first part that objects."""
    return first.why_not_with(second) or second.why_not_with(first)
