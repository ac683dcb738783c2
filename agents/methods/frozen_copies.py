"""Frozen copies: fine-tuning that keeps the actor of every task. What every other method has to beat."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any, ClassVar

import torch as th
from torch import nn
from typing_extensions import override

from clrobot.agents.methods.shared.method import Method
from clrobot.agents.networks.multi_head import MultiHeadNetwork
from clrobot.agents.networks.slot_network import SlotNetwork


class CopiedNetwork(MultiHeadNetwork):
    """A multi-head network that keeps, of each earlier slot, the trunk as it was when the next slot came.

    An earlier slot acts with its copy, through its own head, so that nothing changes it any more. The newest acts
    with the trunk that goes on training: it is a MultiHeadNetwork, to the bit.
    """

    def __init__(
        self, inputs: int, widths: Sequence[int], outputs: int, head_gain: float, *, layer_norm: bool = False
    ) -> None:
        super().__init__(inputs, widths, outputs, head_gain, layer_norm=layer_norm)
        self.copies = nn.ModuleList()
        """Of each slot but the newest, its layers and then their norms, if there are any."""

    @override
    def add_slot(self) -> None:
        if self.slots:  # not the first, which is added before there can be anything to copy
            kept = nn.ModuleList(copy.deepcopy(module) for module in chain(self.trunk, self.norms))
            self.copies.append(kept.requires_grad_(False))
        super().add_slot()

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

    @override
    def shared_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield the trunk, which a later slot goes on training, though no earlier one reads it any more."""
        yield from super().shared_parameters()


class FrozenCopies(Method):
    """Fine-tuning, with a frozen copy of the actor for each task. All of it is in the policy.

    It forgets exactly nothing and learns exactly as fine-tuning does. So whoever has the room for a copy (24 kB of an
    actor of two layers of 64 units) needs another method only for what that gives beyond: transfer, or fewer bytes.
    The critic, which acting does not need, is not copied.
    """

    name: ClassVar = "frozen-copies"
    summary: ClassVar = "fine-tuning, and a frozen copy of the actor for each task: what a method has to beat"
    family: ClassVar = "bound"
    network_class: ClassVar = CopiedNetwork

    @classmethod
    @override
    def why_not_with(cls, other: type[Method]) -> str | None:
        return f"{cls.name} keeps what every task acts with, so {other.name} has nothing to protect"

    @override
    def networks(self) -> dict[str, Callable[..., SlotNetwork]]:
        """Return an actor of copies and an ordinary critic."""
        return {"network_class": CopiedNetwork, "critic_class": MultiHeadNetwork}
