"""A multi-head network whose trunk weights belong to one slot each, or are free: PackNet's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch as th
from torch import nn
from typing_extensions import override

from clrobot.agents.networks.multi_head import MultiHeadNetwork
from clrobot.agents.networks.tanh_layers import Layer

FREE = 0  # in a table of owners: a weight that no slot owns


def owner_of(slot: int) -> int:
    """Return how a table of owners writes a slot (from 0): by one more than its index, since 0 says FREE."""
    return slot + 1


class PackedNetwork(MultiHeadNetwork):
    """A multi-head network in which every trunk weight is owned by one slot or free (Mallya & Lazebnik 2018).

    Slot k, once packed, acts with the weights of slots 0 … k and with no free one:

        h_i = tanh((W_i ⊙ [owner_i ∈ {0, …, k}]) h_{i-1} + b_i)

    so nothing that a later slot trains reaches it. The newest slot, until it is packed, acts with the free weights
    as well. Before anything is packed this is a MultiHeadNetwork, to the bit. The owners are buffers, so that they
    are saved with the weights.
    """

    packed: th.Tensor  # (), the number of slots that are packed

    def __init__(
        self, inputs: int, widths: Sequence[int], outputs: int, head_gain: float, *, layer_norm: bool = False
    ) -> None:
        super().__init__(inputs, widths, outputs, head_gain, layer_norm=layer_norm)
        self.register_buffer("packed", th.zeros((), dtype=th.int64))
        for i, layer in enumerate(self.trunk):
            assert isinstance(layer, nn.Linear)
            self.register_buffer(f"owners_{i}", th.zeros(layer.weight.shape, dtype=th.int16))

    def owners(self, layer: int) -> th.Tensor:
        """Return who owns each weight of a trunk layer, in the weight's shape: FREE, or a slot by `owner_of`."""
        return self.get_buffer(f"owners_{layer}")

    def _weight(self, layer: int, slot: int) -> th.Tensor:
        """Return a trunk layer's weight with which a slot acts: zero where it may not look."""
        weight: th.Tensor = self.trunk[layer].weight  # type: ignore[assignment]
        packed = int(self.packed)
        if not packed:
            return weight
        owners = self.owners(layer)
        hidden = owners > owner_of(slot)
        if slot < packed:
            hidden = hidden | (owners == FREE)
        return weight.masked_fill(hidden, 0.0)

    @override
    def plain_layers(self, slot: int) -> list[Layer] | None:
        if self.layer_norm:
            return None
        trunk: list[Layer] = [(self._weight(i, slot), layer.bias) for i, layer in enumerate(self.trunk)]  # type: ignore[misc]
        return [*trunk, (self.heads[slot].weight, self.heads[slot].bias)]  # type: ignore[list-item]

    @override
    def activations(self, x: th.Tensor, slot: int) -> tuple[th.Tensor, ...]:
        activations = []
        for i, layer in enumerate(self.trunk):
            assert isinstance(layer, nn.Linear)
            x = nn.functional.linear(x, self._weight(i, slot), layer.bias)
            x = th.tanh(self.norms[i](x) if self.layer_norm else x)
            activations.append(x)
        return *activations, self.heads[slot](x)

    @th.no_grad()
    def pack(self, keep: float) -> None:
        """Give the newest slot the largest of each layer's free weights, round(keep · free) of them; zero the others.

        As in the paper, magnitudes are compared within a layer.
        """
        slot = self.newest
        for i, layer in enumerate(self.trunk):
            assert isinstance(layer, nn.Linear)
            weight, owners = layer.weight.view(-1), self.owners(i).view(-1)
            free = (owners == FREE).nonzero().squeeze(1)
            order = weight[free].abs().argsort(descending=True, stable=True)
            kept = round(keep * len(free))
            owners[free[order[:kept]]] = owner_of(slot)
            weight[free[order[kept:]]] = 0.0
        self.packed.fill_(self.slots)

    @override
    def shared_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield nothing: what an earlier slot reads no later one changes."""
        yield from ()

    def trainable(self) -> list[tuple[nn.Parameter, th.Tensor]]:
        """Return each trunk parameter with the mask, in its shape, of what the newest slot may change.

        It trains the free weights, and once it is packed its own. Biases and layer norms, which every slot reads,
        are the first slot's. (They are masked rather than frozen because whether they are is part of the weights:
        what an optimizer holds must follow from the number of slots alone.)
        """
        packed = int(self.packed)
        mine = owner_of(self.newest) if packed == self.slots else FREE
        masks = {f"trunk.{i}.weight": self.owners(i) == mine for i in range(len(self.trunk))}
        first = self.newest == 0 or packed == 0
        return [
            (p, masks[name] if name in masks else th.full_like(p, first, dtype=th.bool))
            for name, p in super().shared_parameters()
        ]

    @override
    def frozen(self) -> int:
        return sum(int((~mask).sum()) for _, mask in self.trainable())
