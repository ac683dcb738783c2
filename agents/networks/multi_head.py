"""One trunk, and a head for each slot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import torch as th
from torch import nn
from typing_extensions import override

from clrobot.agents.networks.slot_network import HIDDEN_GAIN, SlotNetwork, copy_layer, linear
from clrobot.agents.networks.tanh_layers import Layer, tanh_layers


class MultiHeadNetwork(SlotNetwork):
    """One trunk that all slots share, and one linear head for each."""

    def __init__(
        self, inputs: int, widths: Sequence[int], outputs: int, head_gain: float, *, layer_norm: bool = False
    ) -> None:
        super().__init__(inputs, widths, outputs, head_gain, layer_norm=layer_norm)
        sizes = [inputs, *self.widths]
        self.trunk = nn.ModuleList(linear(a, b, HIDDEN_GAIN) for a, b in pairwise(sizes))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for width in self.widths if layer_norm)
        self.heads = nn.ModuleList()
        self.add_slot()

    @property
    @override
    def slots(self) -> int:
        return len(self.heads)

    @override
    def add_slot(self) -> None:
        self.heads.requires_grad_(False)
        head = linear(self.widths[-1], self.outputs, self.head_gain)
        self.heads.append(head.to(next(self.trunk.parameters()).device))

    @override
    def begin_as(self, source: int, outputs: int | None = None) -> None:
        heads: list[Any] = list(self.heads)
        copy_layer(heads[source], heads[self.newest], outputs)

    @override
    def activations(self, x: th.Tensor, slot: int) -> tuple[th.Tensor, ...]:
        hidden = []
        for i, layer in enumerate(self.trunk):
            x = layer(x)
            x = th.tanh(self.norms[i](x) if self.layer_norm else x)
            hidden.append(x)
        return *hidden, self.heads[slot](x)

    @override
    def layers(self, slot: int) -> list[nn.Linear]:
        return [*self.trunk, self.heads[slot]]

    @override
    def plain_layers(self, slot: int) -> list[Layer] | None:
        if self.layer_norm:
            return None
        return [(layer.weight, layer.bias) for layer in self.layers(slot)]

    @override
    def forward_mixed(self, x: th.Tensor, index: th.Tensor) -> th.Tensor:
        """Return the outputs (B, outputs): one pass through the trunk and its heads, of which each row takes its own.

        A subclass whose hidden layers depend on the slot has `activations` of its own, and takes the slots in turn.
        """
        if type(self).activations is not MultiHeadNetwork.activations:
            return super().forward_mixed(x, index)
        # Heads above the batch's highest slot are left out: among the rest none may need a gradient.
        heads: list[Any] = list(self.heads)[: int(index.max()) + 1]
        joint = th.cat([head.weight for head in heads]), th.cat([head.bias for head in heads])
        plain = self.plain_layers(0)
        if plain is None:
            outputs = nn.functional.linear(self.activations(x, 0)[-2], *joint)
        else:
            outputs = tanh_layers(x, [*plain[:-1], joint])
        every = outputs.view(len(x), len(heads), self.outputs)
        return every.gather(1, index[:, None, None].expand(-1, 1, self.outputs)).squeeze(1)

    @override
    def shared_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        yield from self.trunk.named_parameters(prefix="trunk")
        yield from self.norms.named_parameters(prefix="norms")
