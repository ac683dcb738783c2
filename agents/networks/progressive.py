"""A column for each slot, with laterals from the earlier ones, as in progressive networks, or without any."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import torch as th
from torch import nn
from typing_extensions import override

from clrobot.agents.networks.column import Column
from clrobot.agents.networks.frozen_columns import FrozenColumns
from clrobot.agents.networks.slot_network import SlotNetwork
from clrobot.agents.networks.tanh_layers import Layer


class ProgressiveNetwork(SlotNetwork):
    """One column for each slot; earlier columns are frozen and read through laterals (Rusu et al. 2016).

    Column k has

        h_i = tanh(W_i h_{i-1} + U_i tanh(V_i α_i h_{i-1}^{(<k)})),

    and the same without the outer tanh for the output head.

    Args:
        inputs: the size of an observation without its slot index.
        widths: of the first column's hidden layers.
        outputs: the size of a head's output.
        head_gain: the orthogonal gain of a new head.
        layer_norm: normalise each hidden layer before its tanh.
        later_width: the widths of every later column, as a share of the first one's.
    """

    has_laterals: ClassVar[bool] = True

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
        super().__init__(inputs, widths, outputs, head_gain, layer_norm=layer_norm)
        self.later_widths = tuple(max(1, round(later_width * width)) for width in self.widths)
        self.columns = nn.ModuleList()
        self._frozen: dict[int, FrozenColumns] = {}  # by slot, the columns before it
        self.add_slot()

    @property
    @override
    def slots(self) -> int:
        return len(self.columns)

    @override
    def add_slot(self) -> None:
        # What was copied of columns that have trained since: an optimizer over one flat tensor bumps no `_version`.
        self._frozen.clear()
        self.columns.requires_grad_(False)
        earlier = [self._widths_of(k) for k in range(self.slots)]
        column = Column(
            self.inputs,
            self._widths_of(self.slots),
            self.outputs,
            earlier if self.has_laterals else [],
            self.head_gain,
            layer_norm=self.layer_norm,
        )
        device = next(self.columns.parameters()).device if len(self.columns) else None
        self.columns.append(column.to(device))

    @override
    def begin_as(self, source: int, outputs: int | None = None) -> None:
        """Copy the layers of an earlier column, which has to be of the same widths."""
        newest: Any = self.columns[self.newest]
        newest.begin_as(self._column_of(source), outputs)

    def _column_of(self, slot: int) -> Column:
        """Return the column that a slot acts with."""
        column: Any = self.columns[slot]
        own: Column = column
        return own

    def _widths_of(self, k: int) -> tuple[int, ...]:
        return self.later_widths if k else self.widths

    @override
    def activations(self, x: th.Tensor, slot: int) -> tuple[th.Tensor, ...]:
        activations: tuple[th.Tensor, ...] = self.columns[slot](x, self._sources(x, slot))
        return activations

    def _sources(self, x: th.Tensor, slot: int) -> list[th.Tensor]:
        """Return what a slot's laterals read: of each hidden layer all earlier columns' activations, side by side."""
        sources: list[th.Tensor] = []
        for k in range(slot) if self.has_laterals else ():
            hidden = self.columns[k](x, sources)[:-1]
            sources = [th.cat(pair, dim=1) for pair in zip(sources, hidden, strict=True)] if sources else list(hidden)
        return sources

    def _frozen_sources(self, x: th.Tensor, slot: int) -> list[th.Tensor] | None:
        """Return what `_sources` does, sooner; None where an earlier column trains or is not made of plain layers."""
        earlier: list[Any] = list(self.columns)[:slot]
        if not slot or not self.has_laterals or self.layer_norm:
            return None
        if any(column.layers[0].weight.requires_grad for column in earlier):
            return None
        frozen = self._frozen.get(slot)
        if frozen is None or not frozen.are_those_of(earlier):
            frozen = self._frozen[slot] = FrozenColumns(earlier)
        return frozen.hidden(x)

    @override
    def forward_common(self, x: th.Tensor, slot: int, *, constant: bool = False) -> th.Tensor:
        # By x, as an action's value is differentiated by the action, the gradient goes through earlier columns too.
        by_x = th.is_grad_enabled() and x.requires_grad
        sources = None if by_x else self._frozen_sources(x, slot)
        if sources is None:
            return super().forward_common(x, slot, constant=constant)
        output: th.Tensor = self.columns[slot].output(x, sources)  # type: ignore[operator]
        return output

    @override
    def plain_layers(self, slot: int) -> list[Layer] | None:
        if self.layer_norm or (slot and self.has_laterals):
            return None
        return [(layer.weight, layer.bias) for layer in self.layers(slot)]

    @override
    def precompute(self, x: th.Tensor, slot: int) -> th.Tensor | None:
        sources = self._frozen_sources(x, slot)
        return None if sources is None else th.cat(sources, dim=1)

    @override
    def forward_precomputed(self, x: th.Tensor, slot: int, precomputed: th.Tensor) -> th.Tensor:
        widths = [sum(self._widths_of(k)[i] for k in range(slot)) for i in range(len(self.widths))]
        sources = th.split(precomputed, widths, dim=1)
        output: th.Tensor = self.columns[slot].output(x, sources)  # type: ignore[operator]
        return output

    @override
    def layers(self, slot: int) -> list[nn.Linear]:
        return list(self.columns[slot].layers)  # type: ignore[arg-type]

    @override
    def shared_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield nothing: what an earlier slot reads is frozen."""
        yield from ()


class IndependentNetwork(ProgressiveNetwork):
    """One column for each slot, without laterals: each task from scratch."""

    has_laterals = False
