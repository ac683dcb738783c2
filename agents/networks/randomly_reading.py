"""A column for each slot, with laterals from random columns: the control of progressive networks."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch as th
from torch import nn
from typing_extensions import override

from clrobot.agents.networks.column import Column
from clrobot.agents.networks.progressive import ProgressiveNetwork


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
    def _column_of(self, slot: int) -> Column:
        column: Any = self.columns[slot] if slot == self.newest else self.trained[slot]
        own: Column = column
        return own

    @override
    def layers(self, slot: int) -> list[nn.Linear]:
        return list(self._column_of(slot).layers)  # type: ignore[arg-type]
