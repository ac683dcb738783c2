"""Frozen copies: fine-tuning that keeps the actor of every task. What every other method has to beat."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from clrobot.agents.methods.shared.method import Method

if TYPE_CHECKING:
    from clrobot.agents.networks.copied import CopiedNetwork
    from clrobot.agents.networks.slot_network import SlotNetwork


class FrozenCopies(Method):
    """Fine-tuning, with a frozen copy of the actor for each task. All of it is in the policy.

    It forgets exactly nothing, and where every skill begins anew it learns exactly as fine-tuning does (a warm start
    may copy an old skill, of which fine-tuning has what is left). So whoever has the room for a copy (24 kB of an
    actor of two layers of 64 units) needs another method only for what that gives beyond: transfer, or fewer bytes.
    The critic, which acting does not need, is not copied.
    """

    name: ClassVar = "frozen-copies"
    summary: ClassVar = "fine-tuning, and a frozen copy of the actor for each task: what a method has to beat"
    family: ClassVar = "bound"

    @classmethod
    @override
    def begins_warm(cls, settings: Any) -> bool:
        return True

    @classmethod
    @override
    def network_class(cls) -> type[CopiedNetwork]:
        from clrobot.agents.networks.copied import CopiedNetwork

        return CopiedNetwork

    @classmethod
    @override
    def why_not_with(cls, other: type[Method]) -> str | None:
        return f"{cls.name} keeps what every task acts with, so {other.name} has nothing to protect"

    @override
    def networks(self) -> dict[str, Callable[..., SlotNetwork]]:
        """Return an actor of copies and an ordinary critic."""
        return {"network_class": self.network_class(), "critic_class": super().network_class()}
