"""A multi-head network that keeps each slot's trunk as it was."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import chain
from typing import Any, ClassVar

import torch as th
from torch import nn
from typing_extensions import override

from clrobot.agents.networks.multi_head import MultiHeadNetwork


class CopiedNetwork(MultiHeadNetwork):
    """A multi-head network that keeps, of each earlier slot, the trunk as it was when the next slot came.

    An earlier slot acts with its copy, through its own head, so that nothing changes it any more. The newest acts
    with the trunk that goes on training: until a slot begins as an earlier one it is a MultiHeadNetwork, to the bit.
    """

    def __init__(
        self, inputs: int, widths: Sequence[int], outputs: int, head_gain: float, *, layer_norm: bool = False
    ) -> None:
        super().__init__(inputs, widths, outputs, head_gain, layer_norm=layer_norm)
        self.copies = nn.ModuleList()
        """Of each slot but the newest, its layers and then their norms, if there are any."""

    begins_with_trunk: ClassVar[bool] = True

    @override
    def add_slot(self) -> None:
        if self.slots:  # not the first, which is added before there can be anything to copy
            kept = nn.ModuleList(copy.deepcopy(module) for module in chain(self.trunk, self.norms))
            self.copies.append(kept.requires_grad_(False))
        super().add_slot()

    @override
    @th.no_grad()
    def begin_as(self, source: int, outputs: int | None = None) -> None:
        # The trunk too: the newest slot's is its own, and the head fits the trunk that its task ended with.
        own: list[Any] = self._hidden(self.newest)
        for kept, mine in zip(self._hidden(source), own, strict=True):
            for old, new in zip(kept.parameters(), mine.parameters(), strict=True):
                new.copy_(old)
        super().begin_as(source, outputs)

    def _hidden(self, slot: int) -> list[Any]:
        """Return a slot's hidden layers, and then their norms, if there are any."""
        own = self.copies[slot] if slot < self.newest else chain(self.trunk, self.norms)
        return list(own)  # type: ignore[arg-type]

    @override
    def activations(self, x: th.Tensor, slot: int) -> tuple[th.Tensor, ...]:
        modules, activations = self._hidden(slot), []
        layers, norms = modules[: len(self.widths)], modules[len(self.widths) :]
        for i, layer in enumerate(layers):
            x = layer(x)
            x = th.tanh(norms[i](x) if norms else x)
            activations.append(x)
        return *activations, self.heads[slot](x)

    @override
    def layers(self, slot: int) -> list[nn.Linear]:
        return [*self._hidden(slot)[: len(self.widths)], self.heads[slot]]

    plain_layers = MultiHeadNetwork.plain_layers  # by `layers`, above: it goes with these activations too
