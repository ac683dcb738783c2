"""Progressive networks: a column for each task, earlier ones frozen and read through laterals.

What a later column gains by it may be features that were learned, or merely more of them. The control tells them
apart: its columns read as many frozen columns of random weights.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from clrobot.agents.methods.shared.method import Method

if TYPE_CHECKING:
    from clrobot.agents.networks.progressive import ProgressiveNetwork
    from clrobot.agents.networks.slot_network import SlotNetwork


class Progressive(Method):
    """Progressive networks (Rusu et al. 2016; for robots, Rusu et al. 2017). All of it is in the policy."""

    name: ClassVar = "progressive"
    summary: ClassVar = "a frozen column for each task, read by the later ones; never forgets, and grows"
    family: ClassVar = "architecture"

    class Settings(Method.Settings):
        """How fast the network grows."""

        later_width: float = Field(1.0, gt=0, le=1)
        """Units in the hidden layers of every column after the first, as a share of the first one's."""

        reads: Literal["trained", "random"] = "trained"
        """What later columns read: the earlier tasks' columns, or as many of random weights, which is the control."""

    settings: Settings

    @classmethod
    @override
    def network_class(cls) -> type[ProgressiveNetwork]:
        from clrobot.agents.networks.progressive import ProgressiveNetwork

        return ProgressiveNetwork

    @classmethod
    @override
    def begins_warm(cls, settings: Any) -> bool:
        return bool(settings.later_width == 1)

    @override
    def why_no_warm_start(self) -> str | None:
        width = self.settings.later_width
        if width < 1:
            return f"with --progressive.later-width {width:g} later columns have other widths than the first"
        return super().why_no_warm_start()

    @classmethod
    @override
    def why_not_with(cls, other: type[Method]) -> str | None:
        return f"{cls.name} freezes each task's column, so {other.name} has nothing to protect"

    @override
    def networks(self) -> dict[str, Callable[..., SlotNetwork]]:
        """Return the columns of actor and critic, with the later ones' width."""
        network = self.network_class()
        if self.settings.reads == "random":
            from clrobot.agents.networks.randomly_reading import RandomlyReadingNetwork

            network = RandomlyReadingNetwork
        return {"network_class": partial(network, later_width=self.settings.later_width)}
