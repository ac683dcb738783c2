"""From scratch: a fresh network for each task. The reference that forward transfer is measured against."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from clrobot.agents.methods.shared.method import Method

if TYPE_CHECKING:
    from clrobot.agents.networks.slot_network import SlotNetwork


class Scratch(Method):
    """Train each task alone, actor and critic from fresh weights; what was learned is kept and never read again."""

    name: ClassVar = "scratch"
    family: ClassVar = "bound"
    summary: ClassVar = "each task alone from a fresh network: nothing is forgotten, and nothing carried over"

    @classmethod
    @override
    def network_class(cls) -> type[SlotNetwork]:
        from clrobot.agents.networks.progressive import IndependentNetwork

        return IndependentNetwork

    @override
    def why_no_warm_start(self) -> str | None:
        return f"{self.name} learns each task from fresh weights"

    @classmethod
    @override
    def why_not_with(cls, other: type[Method]) -> str | None:
        return f"{cls.name} gives every task a network of its own, so {other.name} has nothing to protect"
