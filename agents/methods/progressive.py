"""Progressive networks: a column for each task, earlier ones frozen and read through laterals.

What a later column gains by it may be features that were learned, or merely more of them. The control tells them
apart: its columns read as many frozen columns of random weights.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar, Literal

import torch as th
from pydantic import Field
from torch import nn
from typing_extensions import override

from clrobot.agents.methods.shared.method import Method
from clrobot.agents.networks.progressive import Column, ProgressiveNetwork
from clrobot.agents.networks.slot_network import SlotNetwork


class RandomlyReadingNetwork(ProgressiveNetwork):
    """A progressive network whose columns read frozen random columns in the place of the earlier slots' trained ones.

    Slot k's column has the size and the laterals of a progressive one. When the next slot comes, its trained column
    is set aside, for slot k to act with, and a random one takes its place among those that later columns read.
    """

    def __init__(
        self,
        inputs: int,
        widths: Sequence[int],
        outputs: int,
        head_gain: float,
        *,
        layer_norm: bool = False,
        later_width: float = 1.0,
    ) -> None:
        super().__init__(inputs, widths, outputs, head_gain, layer_norm=layer_norm, later_width=later_width)
        self.trained = nn.ModuleList()
        """Of each slot but the newest, the column that it acts with."""

    @override
    def add_slot(self) -> None:
        if self.slots:  # not the first, which is added before there can be anything to set aside
            last = self.newest
            trained = self.columns[last]
            self.trained.append(trained.requires_grad_(False))
            earlier = [self._widths_of(k) for k in range(last)]
            sizes = self.inputs, self._widths_of(last), self.outputs, earlier, self.head_gain
            random = Column(*sizes, layer_norm=self.layer_norm)
            self.columns[last] = random.to(next(trained.parameters()).device)
        super().add_slot()

    @override
    def activations(self, x: th.Tensor, slot: int) -> tuple[th.Tensor, ...]:
        if slot == self.newest:
            return super().activations(x, slot)
        # The same network as it was in that slot's stage: its own column after the random ones.
        before = copy.copy(self)
        columns = nn.ModuleList([*list(self.columns)[:slot], self.trained[slot]])
        before.__dict__["_modules"] = {**self._modules, "columns": columns}
        return ProgressiveNetwork.activations(before, x, slot)

    @override
    def layers(self, slot: int) -> list[nn.Linear]:
        column = self.columns[slot] if slot == self.newest else self.trained[slot]
        return list(column.layers)  # type: ignore[arg-type]


class Progressive(Method):
    """Progressive networks (Rusu et al. 2016; for robots, Rusu et al. 2017). All of it is in the policy."""

    name: ClassVar = "progressive"
    summary: ClassVar = "a frozen column for each task, read by the later ones; never forgets, and grows"
    family: ClassVar = "architecture"
    network_class: ClassVar = ProgressiveNetwork

    class Settings(Method.Settings):
        """How fast the network grows."""

        later_width: float = Field(1.0, gt=0, le=1)
        """Units in the hidden layers of every column after the first, as a share of the first one's."""

        reads: Literal["trained", "random"] = "trained"
        """What later columns read: the earlier tasks' columns, or as many of random weights, which is the control."""

    settings: Settings

    @classmethod
    @override
    def why_not_with(cls, other: type[Method]) -> str | None:
        return f"{cls.name} freezes each task's column, so {other.name} has nothing to protect"

    @override
    def networks(self) -> dict[str, Callable[..., SlotNetwork]]:
        """Return the columns of actor and critic, with the later ones' width."""
        network = ProgressiveNetwork if self.settings.reads == "trained" else RandomlyReadingNetwork
        return {"network_class": partial(network, later_width=self.settings.later_width)}
