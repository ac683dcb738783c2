"""One column of a progressive network, with laterals from earlier ones (Rusu et al. 2016)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import torch as th
from torch import nn
from torch.autograd.function import once_differentiable

from clrobot.agents.networks.slot_network import HIDDEN_GAIN, copy_layer, linear
from clrobot.agents.networks.tanh_layers import tanh, tanh_in_place


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

    _source: th.Tensor

    def __init__(self, sources: Sequence[int], below: int, outputs: int, gain: float) -> None:
        super().__init__()
        self.register_buffer(
            "_source", th.arange(len(sources)).repeat_interleave(th.tensor(sources)), persistent=False
        )
        self.scales = nn.Parameter(th.full((len(sources),), 1.0 / math.sqrt(len(sources))))
        self.project = linear(sum(sources), below, 1.0)
        self.out = linear(below, outputs, 0.1 * gain)

    @th.no_grad()
    def begin_as(self, source: Lateral | None, outputs: int | None) -> None:
        """Do what `source`, whose sources are the first of these, does; None: add zeros. See `Column.begin_as`."""
        if source is None:
            self.out.weight[:outputs].zero_()
            self.out.bias[:outputs].zero_()
            return
        copy_layer(source.out, self.out, outputs)
        read = source.project.in_features
        self.project.weight[:, :read].copy_(source.project.weight)
        self.project.weight[:, read:].zero_()
        self.project.bias.copy_(source.project.bias)
        self.scales[: len(source.scales)].copy_(source.scales)

    def scaled(self) -> th.Tensor:
        """Return V α, (below, the sum of the sources' widths): the scales multiplied into the projection."""
        scaled: th.Tensor = self.project.weight * self.scales[self._source]
        return scaled

    def forward(self, sources: th.Tensor) -> th.Tensor:
        """Return (B, outputs) from the sources' activations, side by side: (B, the sum of their widths)."""
        projected = nn.functional.linear(sources, self.scaled(), self.project.bias)
        out: th.Tensor = self.out(th.tanh(projected))
        return out

    def of_frozen(self, sources: th.Tensor) -> th.Tensor:
        """Return what `forward` does, sooner; of the sources no gradient is taken. Not for `torch.func`."""
        parts = self.scales, self._source, self.project.weight, self.project.bias, self.out.weight, self.out.bias
        return _Lateral.apply(sources, *parts)  # type: ignore[no-any-return, no-untyped-call]


class _Lateral(th.autograd.Function):
    """U tanh(V α h + c) + d as one function of all but h, with p = tanh(V α h + c):

        ∂l/∂U = Σ_B δ pᵀ,    ε = (Uᵀ δ) ⊙ (1 - p²),    ∂l/∂(V α) = Σ_B ε hᵀ,
        ∂l/∂V = ∂l/∂(V α) α,    ∂l/∂α_j = Σ over the entries of source j of V ⊙ ∂l/∂(V α)

    (V α) h rather than V (α h): V has fewer rows than a minibatch.
    """

    @staticmethod
    def forward(
        ctx: Any,
        sources: th.Tensor,
        scales: th.Tensor,
        source: th.Tensor,
        project: th.Tensor,
        project_bias: th.Tensor,
        out: th.Tensor,
        out_bias: th.Tensor,
    ) -> th.Tensor:
        each = scales[source]
        projected = tanh_in_place(th.addmm(project_bias, sources, (project * each).t()))
        ctx.save_for_backward(sources, source, each, project, out, projected)
        ctx.count = len(scales)
        return th.addmm(out_bias, projected, out.t())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, delta: th.Tensor) -> tuple[th.Tensor | None, ...]:
        sources, source, each, project, out, projected = ctx.saved_tensors
        by_out = delta.t() @ projected
        epsilon = th.ops.aten.tanh_backward.default(delta @ out, projected)
        by_scaled = epsilon.t() @ sources
        by_source = (by_scaled * project).sum(0)
        by_scales = by_source.new_zeros(ctx.count).index_add_(0, source, by_source)
        return None, by_scales, None, by_scaled.mul_(each), epsilon.sum(0), by_out, delta.sum(0)


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
        self.widths = tuple(widths)
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

    @th.no_grad()
    def begin_as(self, source: Column, outputs: int | None = None) -> None:
        """Take the weights of an earlier column of the same widths, so that this one acts as that one does.

        It reads more sources: what the earlier column's laterals do not read is projected by zeros, and laterals that
        it has none of add zeros, until they learn.

        Args:
            source: the earlier column; its sources are the first of this one's.
            outputs: of the head, as in `SlotNetwork.begin_as`; below it everything is copied.
        """
        last = len(self.layers) - 1
        for i, (old, new) in enumerate(zip(source.layers, self.layers, strict=True)):
            copy_layer(old, new, outputs if i == last else None)  # type: ignore[arg-type]
        self.norms.load_state_dict(source.norms.state_dict())
        for i, lateral in enumerate(self.laterals):
            rows = outputs if i == last - 1 else None
            lateral.begin_as(source.laterals[i] if source.laterals else None, rows)  # type: ignore[operator]

    def forward(self, x: th.Tensor, sources: Sequence[th.Tensor]) -> tuple[th.Tensor, ...]:
        """Return the activations of every layer, the output last.

        Args:
            x: (B, inputs).
            sources: for each hidden layer the activations of all source columns, side by side; none for a column
                without laterals.
        """
        return tuple(self._activations(x, sources, th.tanh, Lateral.forward))

    def output(self, x: th.Tensor, sources: Sequence[th.Tensor]) -> th.Tensor:
        """Return the last of what `forward` does, sooner, but no gradient of the sources; not for `torch.func`."""
        *_, output = self._activations(x, sources, tanh, Lateral.of_frozen)
        return output

    def _activations(
        self,
        x: th.Tensor,
        sources: Sequence[th.Tensor],
        tanh: Callable[[th.Tensor], th.Tensor],
        lateral: Callable[[Lateral, th.Tensor], th.Tensor],
    ) -> Iterator[th.Tensor]:
        """Yield every layer's activations, by this tanh and this way through a lateral."""
        below = x
        for i, layer in enumerate(self.layers):
            z = layer(below)
            if i > 0 and self.laterals:
                z = z + lateral(self.laterals[i - 1], sources[i - 1])  # type: ignore[arg-type]
            if i < len(self.layers) - 1:
                z = tanh(self.norms[i](z) if self.norms else z)
            below = z
            yield below
