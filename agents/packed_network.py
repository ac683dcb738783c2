"""A multi-head network whose trunk is shared out, weight by weight, over the slots (PackNet)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch as th
from torch import nn

from clrobot.agents.networks import MultiHeadNetwork

FREE = 0  # the owner of a weight that no slot owns; slot k is written k + 1


class PackedNetwork(MultiHeadNetwork):
    """A multi-head network in which every trunk weight is owned by one slot or free (Mallya & Lazebnik 2018).

    Slot k, once packed, acts with the weights of slots 0 … k and with no free one:

        h_i = tanh((W_i ⊙ [1 ≤ owner_i ≤ k + 1]) h_{i-1} + b_i)

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
        """Return who owns each weight of a trunk layer, in the weight's shape: FREE, or k + 1 for slot k."""
        return self.get_buffer(f"owners_{layer}")

    def activations(self, x: th.Tensor, slot: int) -> tuple[th.Tensor, ...]:  # noqa: D102
        activations = []
        packed = int(self.packed)
        for i, layer in enumerate(self.trunk):
            assert isinstance(layer, nn.Linear)
            weight = layer.weight
            if packed:
                owners = self.owners(i)
                hidden = owners > slot + 1
                if slot < packed:
                    hidden = hidden | (owners == FREE)
                weight = weight.masked_fill(hidden, 0.0)
            x = nn.functional.linear(x, weight, layer.bias)
            x = th.tanh(self.norms[i](x) if self.layer_norm else x)
            activations.append(x)
        return *activations, self.heads[slot](x)

    @th.no_grad()
    def pack(self, keep: float) -> None:
        """Give the newest slot the largest of each layer's free weights, round(keep · free) of them; zero the others.

        As in the paper, magnitudes are compared within a layer.
        """
        slot = self.slots - 1
        for i, layer in enumerate(self.trunk):
            assert isinstance(layer, nn.Linear)
            weight, owners = layer.weight.view(-1), self.owners(i).view(-1)
            free = (owners == FREE).nonzero().squeeze(1)
            order = weight[free].abs().argsort(descending=True, stable=True)
            kept = round(keep * len(free))
            owners[free[order[:kept]]] = slot + 1
            weight[free[order[kept:]]] = 0.0
        self.packed.fill_(slot + 1)

    def shared_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield nothing: what an earlier slot reads no later one changes."""
        yield from ()

    def trainable(self) -> list[tuple[nn.Parameter, th.Tensor]]:
        """Return each trunk parameter with the mask, in its shape, of what the newest slot may change.

        It trains the free weights, and once it is packed its own. Biases and layer norms, which every slot reads,
        are the first slot's. (They are masked rather than frozen because whether they are is part of the weights:
        what an optimizer holds must follow from the number of slots alone.)
        """
        newest, packed = self.slots - 1, int(self.packed)
        mine = newest + 1 if packed > newest else FREE
        masks = {f"trunk.{i}.weight": self.owners(i) == mine for i in range(len(self.trunk))}
        first = newest == 0 or packed == 0
        return [
            (p, masks[name] if name in masks else th.full_like(p, first, dtype=th.bool))
            for name, p in super().shared_parameters()
        ]

    def held(self) -> int:  # noqa: D102
        return sum(int((~mask).sum()) for _, mask in self.trainable())
