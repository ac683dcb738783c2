"""PackNet: each task trains the free weights, keeps the largest of them and leaves the rest to later tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from clrobot.agents.algorithms.role import Role
from clrobot.agents.deferred import th
from clrobot.agents.methods.shared.method import Method, Phase

if TYPE_CHECKING:
    from clrobot.agents.algorithms.learner import Learner
    from clrobot.agents.networks.packed import PackedNetwork
    from clrobot.agents.networks.slot_network import SlotNetwork


def packed_network(learner: Learner) -> PackedNetwork:
    """Return the learner's actor."""
    from clrobot.agents.networks.packed import PackedNetwork

    assert isinstance(learner.policy.actor_net, PackedNetwork)
    return learner.policy.actor_net


class PackNet(Method):
    """PackNet (Mallya & Lazebnik 2018): train, prune by magnitude, retrain what was kept, freeze it.

    Where it is not known how many tasks will come, task k keeps of each layer's free weights the share

        keep / (1 + k · keep),   that is 1/c, 1/(c + 1), 1/(c + 2), …  with c = 1 / keep,

    so that after k tasks (c - 1) / (c - 1 + k) of all weights are free: the room falls as 1/k, where a constant share
    would use it up exponentially. Where N tasks are known to come, task k keeps 1 / (N - k) of what is free: each
    owns 1/N of all weights, and the last one takes all that is left.

    What a task does right after pruning is no part of its learning: the learning curve goes from before it to the
    stage's end.

    Only the actor is packed. Acting never asks the critic, whose value of an old task is not needed again: it is an
    ordinary multi-head network, so that all of it goes on learning.
    """

    name: ClassVar = "packnet"
    summary: ClassVar = "each task keeps the weights it needs most, frozen, and leaves the others to later tasks"
    family: ClassVar = "architecture"

    class Settings(Method.Settings):
        """How the weights are shared out."""

        keep: float = Field(0.3, gt=0, lt=1)
        """Share of the free weights that the first task keeps; task k (from 0) keeps keep / (1 + k keep)."""
        tasks: int = Field(0, ge=0)
        """N, how many tasks will come: each then keeps as many weights as another, and `keep` counts for nothing.
        0: not known."""
        free: Literal["zeros", "drawn"] = "zeros"
        """What the free weights are when a task begins: the zeros that pruning left, or drawn anew."""
        train_share: float = Field(0.6, gt=0, lt=1)
        """Share of a stage's steps before pruning; the rest retrain what was kept."""

    settings: Settings

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._step: list[tuple[th.nn.Parameter, th.Tensor, th.Tensor]] = []  # parameter, frozen mask, values before

    @classmethod
    @override
    def network_class(cls) -> type[PackedNetwork]:
        from clrobot.agents.networks.packed import PackedNetwork

        return PackedNetwork

    @override
    def why_no_warm_start(self) -> str | None:
        return f"a new task of {self.name} acts through every weight that was kept, an old one through fewer"

    @classmethod
    @override
    def why_not_with(cls, other: type[Method]) -> str | None:
        return f"{cls.name} freezes the weights that a task acts with, so {other.name} has nothing to protect"

    @override
    def networks(self) -> dict[str, Callable[..., SlotNetwork]]:
        """Return a packed actor and an ordinary critic."""
        return {"network_class": self.network_class(), "critic_class": super().network_class()}

    @override
    def why_not_here(self, algorithm: str, tasks: int) -> str | None:
        """Return that fewer tasks were announced than come."""
        announced = self.settings.tasks
        if 0 < announced < tasks:
            return (
                f"--packnet.tasks is {announced}, and the curriculum has {tasks} tasks; give {tasks}, or 0: not known"
            )
        return None

    @override
    def phases(self, steps: int) -> list[Phase]:
        """Return training and retraining."""
        train = round(self.settings.train_share * steps)
        return [Phase("train", train), Phase("retrain", steps - train, curve=False)]

    @override
    def before_task(self, learner: Learner, k: int) -> None:
        """Draw the free weights anew, if that is wanted; in the first task they are new."""
        if k > 0 and self.settings.free == "drawn":
            packed_network(learner).draw_free()

    @override
    def before_phase(self, learner: Learner, k: int, phase: str) -> None:
        """Prune before retraining."""
        if phase == "retrain":
            packed_network(learner).pack(self._share(k))

    def _share(self, k: int) -> float:
        """Return the share of the free weights that task k (from 0) keeps."""
        keep, tasks = self.settings.keep, self.settings.tasks
        return 1 / (tasks - k) if tasks else keep / (1 + k * keep)

    @override
    def adjust_gradients(self, learner: Learner, role: Role) -> None:
        """Set the gradients of what is frozen to zero, and note its values."""
        if Role.ACTOR not in role:
            return
        self._step = []
        for parameter, mask in packed_network(learner).trainable():
            if parameter.grad is not None:
                parameter.grad.mul_(mask)
            self._step.append((parameter, ~mask, parameter.detach().clone()))

    @override
    def after_update(self, learner: Learner, role: Role) -> None:
        """Put frozen weights back: momentum from before they froze moves them without any gradient."""
        if Role.ACTOR not in role:
            return
        with th.no_grad():
            for parameter, frozen, before in self._step:
                parameter.copy_(th.where(frozen, before, parameter))
