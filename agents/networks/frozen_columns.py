"""The frozen columns of a progressive network, computed side by side: what a new column's laterals read."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import torch as th

from clrobot.agents.networks.column import Column
from clrobot.agents.networks.tanh_layers import tanh_in_place


class _Part(NamedTuple):
    """A column's share of one hidden layer above the first."""

    own: slice  # of the layer below, and of the laterals' projections, its own units
    earlier: slice  # of the layer below, all earlier columns' units
    units: slice  # of this layer
    weight: th.Tensor  # (below, units)
    bias: th.Tensor  # (units,), of layer and lateral together
    project: tuple[th.Tensor, th.Tensor] | None  # V α, (earlier, below), and its bias; None of the first column
    out: th.Tensor | None  # U, (below, units)


class FrozenColumns:
    """Hidden layers of all columns before a slot, without their outputs, which no other column reads.

    A layer of all columns is computed before the next: the first with one product, since it reads the observation
    alone, and every tanh once for all. The weights are copies, with the scales α of the laterals multiplied in.

    Args:
        columns: in order, none of which trains any more, without layer norms.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self._copied = [(p, p._version) for column in columns for p in column.parameters()]
        widths = [column.widths for column in columns]  # (K, L)
        self.sizes = [sum(layer) for layer in zip(*widths, strict=True)]
        first: list[Any] = [column.layers[0] for column in columns]
        with th.no_grad():
            self._weight = th.cat([layer.weight for layer in first]).t().contiguous()
            self._bias = th.cat([layer.bias for layer in first])
            self._above = [self._parts(columns, i) for i in range(1, len(self.sizes))]

    def are_those_of(self, columns: Sequence[Column]) -> bool:
        """Return whether the columns' parameters are those that were copied, and have the same values still."""
        parameters = (p for column in columns for p in column.parameters())
        # By identity: `torch.func.functional_call` puts other tensors in their place.
        return all(p is q and p._version == version for p, (q, version) in zip(parameters, self._copied, strict=True))

    @staticmethod
    def _parts(columns: Sequence[Column], i: int) -> list[_Part]:
        below = list(pairwise(accumulate((column.widths[i - 1] for column in columns), initial=0)))
        units = list(pairwise(accumulate((column.widths[i] for column in columns), initial=0)))
        parts = []
        for column, (start, end), (first, last) in zip(columns, below, units, strict=True):
            layer: Any = column.layers[i]
            project = out = None
            bias = layer.bias.clone()
            if column.laterals:
                lateral: Any = column.laterals[i - 1]
                project = lateral.scaled().t().contiguous(), lateral.project.bias.clone()
                out = lateral.out.weight.t().contiguous()
                bias += lateral.out.bias
            parts.append(
                _Part(
                    own=slice(start, end),
                    earlier=slice(0, start),
                    units=slice(first, last),
                    weight=layer.weight.t().contiguous(),
                    bias=bias,
                    project=project,
                    out=out,
                )
            )
        return parts

    @th.no_grad()
    def hidden(self, x: th.Tensor) -> list[th.Tensor]:
        """Return for each hidden layer all columns' activations side by side, (B, the sum of their widths)."""
        below = tanh_in_place(th.addmm(self._bias, x, self._weight))
        layers = [below]
        for parts, size in zip(self._above, self.sizes[1:], strict=True):
            projected = below.new_zeros(below.shape)
            for part in parts:
                if part.project is not None:
                    weight, bias = part.project
                    projected[:, part.own] = th.addmm(bias, below[:, part.earlier], weight)
            tanh_in_place(projected)
            layer = below.new_empty(len(x), size)
            for part in parts:
                z = th.addmm(part.bias, below[:, part.own], part.weight)
                if part.out is not None:
                    z.addmm_(projected[:, part.own], part.out)
                layer[:, part.units] = z
            below = tanh_in_place(layer)
            layers.append(below)
        return layers
