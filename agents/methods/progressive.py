"""Progressive networks: a column for each task, earlier ones frozen and read through laterals."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, ClassVar

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

    settings: Settings

    @classmethod
    @override
    def network_class(cls) -> type[ProgressiveNetwork]:
        from clrobot.agents.networks.progressive import ProgressiveNetwork

        return ProgressiveNetwork

    @classmethod
    @override
    def why_not_with(cls, other: type[Method]) -> str | None:
        return f"{cls.name} freezes each task's column, so {other.name} has nothing to protect"

    @override
    def networks(self) -> dict[str, Callable[..., SlotNetwork]]:
        """Return the columns of actor and critic, with the later ones' width."""
        return {"network_class": partial(self.network_class(), later_width=self.settings.later_width)}
