"""What every network here offers: outputs for the slot that an observation names."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import torch as th
from torch import nn

from clrobot.agents.networks.tanh_layers import Layer, tanh_layers

HIDDEN_GAIN = math.sqrt(2)


def linear(inputs: int, outputs: int, gain: float) -> nn.Linear:
    """Return a layer with orthogonal weights of the given gain and zero biases (as Stable-Baselines3's PPO)."""
    layer = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(layer.weight, gain=gain)
    nn.init.zeros_(layer.bias)
    return layer


def slot_of(obs: th.Tensor, slots: int) -> th.Tensor:
    """Return the head index (B,) of each observation (B, d + 1): its last component, at most the newest head's."""
    return obs[:, -1].long().clamp(max=slots - 1)


def common_slot(obs: th.Tensor, slots: int) -> int | None:
    """Return the head index that all observations (B, d + 1) have in common, or None."""
    low, high = obs[:, -1].aminmax()
    first, last = (min(int(index), slots - 1) for index in (low, high))
    return first if first == last else None


@th.no_grad()
def copy_layer(source: nn.Linear, target: nn.Linear, outputs: int | None = None) -> None:
    """Write the weights of `source` into `target` in place; of the first `outputs` outputs, or of all."""
    target.weight[:outputs].copy_(source.weight[:outputs])
    target.bias[:outputs].copy_(source.bias[:outputs])


class SlotNetwork(nn.Module, ABC):
    """A network with one output per slot.

    Args:
        inputs: the size of an observation without its slot index.
        widths: of the hidden layers.
        outputs: the size of a head's output.
        head_gain: the orthogonal gain of a new head.
        layer_norm: normalise each hidden layer before its tanh (Ba et al. 2016), which keeps units from saturating.
    """

    one_head: ClassVar[bool] = False  # whether all slots act through the same head
    begins_with_trunk: ClassVar[bool] = False  # whether a slot that begins as another takes that one's trunk as well

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # Shorter ways are those of the class's own `activations`: where these are written anew, they go with it.
        for name in ("plain_layers", "precompute", "forward_common") if "activations" in vars(cls) else ():
            if name not in vars(cls):
                setattr(cls, name, getattr(SlotNetwork, name))

    def __init__(
        self, inputs: int, widths: Sequence[int], outputs: int, head_gain: float, *, layer_norm: bool = False
    ) -> None:
        super().__init__()
        self.inputs = inputs
        self.widths = tuple(widths)
        self.outputs = outputs
        self.head_gain = head_gain
        self.layer_norm = layer_norm

    @property
    @abstractmethod
    def slots(self) -> int:
        """The number of heads."""

    @property
    def newest(self) -> int:
        """The index of the newest slot that has a head."""
        return self.slots - 1

    @abstractmethod
    def add_slot(self) -> None:
        """Append a new head (or column), randomly initialised, and freeze what the earlier slots own alone."""

    def drawn_anew(self) -> set[nn.Parameter]:
        """Return the parameters that the newest slot drew anew in the place of an earlier slot's."""
        return set()

    def begin_as(self, source: int, outputs: int | None = None) -> None:
        """Let the newest slot begin as a copy of slot `source`: what it owns alone takes that slot's weights.

        Args:
            source: an earlier slot, from 0; it stays as it is.
            outputs: how many of the outputs are copied, the first ones; None: all. The rest stay new.

        Raises:
            NotImplementedError: no slot of such a network can begin as another.
        """
        raise NotImplementedError

    @abstractmethod
    def activations(self, x: th.Tensor, slot: int) -> tuple[th.Tensor, ...]:
        """Return what each layer gives for one slot and x (B, inputs), without its index.

        The hidden layers' activations (B, width) come first, in order, and the outputs (B, outputs) last.
        """

    def forward_slot(self, x: th.Tensor, slot: int) -> th.Tensor:
        """Return the outputs (B, outputs) of one slot for x (B, inputs), without its index."""
        return self.activations(x, slot)[-1]

    @abstractmethod
    def layers(self, slot: int) -> list[nn.Linear]:
        """Return the linear layers that a slot's own path is made of: the hidden ones in order, then its head."""

    def plain_layers(self, slot: int) -> list[Layer] | None:
        """Return the weights and biases of a slot's path where it is linear layers with tanh between and no more.

        None where it has more, such as layer norms or laterals.
        """
        return None

    def precompute(self, x: th.Tensor, slot: int) -> th.Tensor | None:
        """Return what frozen parts make of x (B, inputs) on a slot's way, (B, F); None where nothing is gained.

        While they are frozen it does not change, however often the rest is trained on the same x.
        """
        return None

    def forward_precomputed(self, x: th.Tensor, slot: int, precomputed: th.Tensor) -> th.Tensor:
        """Return what `forward_slot` does, where `precompute` gave (B, F) for the same x and slot."""
        raise NotImplementedError

    @abstractmethod
    def shared_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield the named parameters that several slots read and that a later slot's training changes."""

    def frozen(self) -> int:
        """Return how many of the parameters that ask for gradients are frozen all the same, by a mask."""
        return 0

    def forward(self, obs: th.Tensor) -> th.Tensor:
        """Return the outputs (B, outputs) for observations (B, inputs + 1), each through its own slot."""
        slot = common_slot(obs, self.slots)
        if slot is None:
            return self.forward_mixed(obs[:, :-1], slot_of(obs, self.slots))
        return self.forward_common(obs[:, :-1], slot)

    def forward_common(self, x: th.Tensor, slot: int, *, constant: bool = False) -> th.Tensor:
        """Return what `forward_slot` does, sooner where the layers are plain; not for `torch.func`.

        Args:
            x: (B, inputs), without the slot's index.
            slot: of all rows.
            constant: the weights are constants of which no gradient is wanted, where that saves time.
        """
        layers = self.plain_layers(slot)
        if layers is None:
            return self.forward_slot(x, slot)
        return tanh_layers(x, layers, constant=constant)

    def forward_mixed(self, x: th.Tensor, index: th.Tensor) -> th.Tensor:
        """Return the outputs (B, outputs) for x (B, inputs), row i through slot index[i]."""
        out = x.new_zeros(len(x), self.outputs)
        for slot in sorted(set(index.tolist())):
            rows = (index == slot).nonzero().squeeze(1)
            out = out.index_copy(0, rows, self.forward_common(x[rows], slot))
        return out
