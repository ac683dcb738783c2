"""A knowledge base of fixed size, and a column that reads it: the network of Progress & Compress."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch as th
from torch import nn
from typing_extensions import override

from clrobot.agents.networks.column import Column
from clrobot.agents.networks.multi_head import MultiHeadNetwork
from clrobot.agents.networks.slot_network import SlotNetwork


class ProgressNetwork(SlotNetwork):
    """A knowledge base with a head for each slot, and a column that reads it (Schwarz et al. 2018, section 3).

    Active column:  h_i = tanh(W_i h_{i-1} + U_i tanh(V_i α_i h_{i-1}^{KB})),  as in a progressive network of two
    columns, but of a size that does not grow. Slots that are compressed act with the knowledge base, through their
    own heads; the newest one acts with the active column until it is. The knowledge base requires no
    gradients but while a task is compressed.

    A new slot keeps the active column's hidden layers and gets a new head (and lateral into it), so that it starts
    with outputs near zero; or all of the column is new. The paper compares both: what is kept helps where tasks are
    alike, and a new column where they are not.

    Args:
        inputs: the size of an observation without its slot index.
        widths: of the hidden layers of both columns.
        outputs: the size of a head's output.
        head_gain: the orthogonal gain of a new head.
        layer_norm: normalise each hidden layer before its tanh.
        reset_column: whether a new slot begins with a new column.
    """

    compressed: th.Tensor  # (), the number of slots that are in the knowledge base; saved with the weights

    def __init__(
        self,
        inputs: int,
        widths: Sequence[int],
        outputs: int,
        head_gain: float,
        *,
        layer_norm: bool = False,
        reset_column: bool = False,
    ) -> None:
        super().__init__(inputs, widths, outputs, head_gain, layer_norm=layer_norm)
        self.reset_column = reset_column
        self.register_buffer("compressed", th.zeros((), dtype=th.int64))
        self.base = MultiHeadNetwork(inputs, widths, outputs, head_gain, layer_norm=layer_norm)
        self.base.requires_grad_(False)
        self.active = self._new_column()

    def _new_column(self) -> Column:
        sizes = self.inputs, self.widths, self.outputs, [self.widths], self.head_gain
        return Column(*sizes, layer_norm=self.layer_norm)

    @property
    @override
    def slots(self) -> int:
        return self.base.slots

    @override
    def add_slot(self) -> None:
        self.base.add_slot()
        self.base.requires_grad_(False)
        if self.reset_column:
            self.active.load_state_dict(self._new_column().state_dict())
        else:
            self.active.renew_head()

    @override
    def drawn_anew(self) -> set[nn.Parameter]:
        return {*self.active.parameters()} if self.reset_column else set()

    @override
    def activations(self, x: th.Tensor, slot: int) -> tuple[th.Tensor, ...]:
        knowledge = self.base.activations(x, slot)
        return knowledge if slot < int(self.compressed) else self.active(x, knowledge[:-1])

    @override
    def precompute(self, x: th.Tensor, slot: int) -> th.Tensor | None:
        if slot < int(self.compressed) or any(p.requires_grad for p in self.base.parameters()):
            return None
        return th.cat(self.base.activations(x, slot)[:-1], dim=1)

    @override
    def forward_precomputed(self, x: th.Tensor, slot: int, precomputed: th.Tensor) -> th.Tensor:
        return self.active.output(x, th.split(precomputed, list(self.widths), dim=1))

    @override
    def layers(self, slot: int) -> list[nn.Linear]:
        compressed = slot < int(self.compressed)
        return self.base.layers(slot) if compressed else list(self.active.layers)  # type: ignore[arg-type]

    @override
    def shared_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield the knowledge base's trunk: compressing a later slot changes it."""
        for name, parameter in self.base.shared_parameters():
            yield f"base.{name}", parameter

    def knowledge_of(self, slot: int) -> list[nn.Parameter]:
        """Return the parameters with which the knowledge base learns a slot: its trunk and the slot's head."""
        return [*(p for _, p in self.base.shared_parameters()), *self.base.heads[slot].parameters()]
