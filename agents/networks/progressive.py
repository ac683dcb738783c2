"""A column for each slot, with laterals from the earlier ones, as in progressive networks, or without any."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import ClassVar

import torch as th
from torch import nn
from typing_extensions import override

from clrobot.agents.networks.slot_network import HIDDEN_GAIN, SlotNetwork, linear


class Lateral(nn.Module):
    """The adapter from earlier columns into one layer of a new column (Rusu et al. 2016, equation 2).

        U tanh(V [α_1 h_1; …; α_{k-1} h_{k-1}])

    where h_j is column j's activation below the layer and α_j a learned scale for each source. V projects to as many
    units as the new column has below the layer. The paper's random initialisation of U is kept, at a tenth of the
    layer's gain, so that old features count from the start.

    Args:
        sources: the width of each source.
        below: the new column's width below the layer.
        outputs: the layer's width.
        gain: the layer's.
    """

    def __init__(self, sources: Sequence[int], below: int, outputs: int, gain: float) -> None:
        super().__init__()
        self.scales = nn.Parameter(th.full((len(sources),), 1.0 / math.sqrt(len(sources))))
        self.project = linear(sum(sources), below, 1.0)
        self.out = linear(below, outputs, 0.1 * gain)

    def forward(self, sources: Sequence[th.Tensor]) -> th.Tensor:
        """Return (B, outputs) from the sources' activations, each (B, its width)."""
        scaled = th.cat([scale * h for scale, h in zip(self.scales.unbind(), sources, strict=True)], dim=1)
        out: th.Tensor = self.out(th.tanh(self.project(scaled)))
        return out


class Column(nn.Module):
    """One column: hidden layers and an output head, each with a lateral from the source columns, if there are any.

    The first hidden layer reads the observation alone, as in the paper: below it all columns see the same.

    Args:
        inputs: the size of an observation without its slot index.
        widths: of the hidden layers.
        outputs: the size of the head's output.
        sources: the widths of the hidden layers of each source column; as many layers as its own.
        head_gain: the orthogonal gain of the head.
        layer_norm: normalise each hidden layer.
    """

    def __init__(
        self,
        inputs: int,
        widths: Sequence[int],
        outputs: int,
        sources: Sequence[Sequence[int]],
        head_gain: float,
        *,
        layer_norm: bool = False,
    ) -> None:
        super().__init__()
        self._sizes = (inputs, widths, outputs, sources, head_gain)
        sizes = [inputs, *widths, outputs]
        gains = [HIDDEN_GAIN] * len(widths) + [head_gain]
        self.layers = nn.ModuleList(linear(a, b, gain) for (a, b), gain in zip(pairwise(sizes), gains, strict=True))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for width in widths if layer_norm)
        self.laterals = nn.ModuleList(
            Lateral([source[i] for source in sources], below, above, gain)
            for i, (below, above, gain) in enumerate(zip(sizes[1:-1], sizes[2:], gains[1:], strict=True))
            if sources
        )

    def renew_head(self) -> None:
        """Give the output head, and the lateral into it, new random weights in the place of the old ones."""
        renewed = Column(*self._sizes, layer_norm=bool(self.norms))
        self.layers[-1].load_state_dict(renewed.layers[-1].state_dict())
        if self.laterals:
            self.laterals[-1].load_state_dict(renewed.laterals[-1].state_dict())

    def forward(self, x: th.Tensor, earlier: Sequence[Sequence[th.Tensor]]) -> tuple[th.Tensor, ...]:
        """Return the activations of every layer, the output last.

        `earlier` holds the same of every source column.
        """
        activations: list[th.Tensor] = []
        below = x
        for i, layer in enumerate(self.layers):
            z = layer(below)
            if i > 0 and earlier:
                z = z + self.laterals[i - 1]([column[i - 1] for column in earlier])
            if i < len(self.layers) - 1:
                z = th.tanh(self.norms[i](z) if self.norms else z)
            below = z
            activations.append(below)
        return tuple(activations)


class ProgressiveNetwork(SlotNetwork):
    """One column for each slot; earlier columns are frozen and read through laterals (Rusu et al. 2016).

    Column k:  h_i = tanh(W_i h_{i-1} + U_i tanh(V_i α_i h_{i-1}^{(<k)})),  and the same without the outer tanh for
    the output head.

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
        self.add_slot()

    @property
    @override
    def slots(self) -> int:
        return len(self.columns)

    @override
    def add_slot(self) -> None:
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

    def _widths_of(self, k: int) -> tuple[int, ...]:
        return self.later_widths if k else self.widths

    @override
    def activations(self, x: th.Tensor, slot: int) -> tuple[th.Tensor, ...]:
        columns: list[tuple[th.Tensor, ...]] = []
        for k in range(slot + 1) if self.has_laterals else [slot]:
            columns.append(self.columns[k](x, columns))
        return columns[-1]

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
