"""Networks that hold one output head (or one whole column) for each slot of a curriculum.

Every network takes observations whose last component is the slot's index and picks the head for each sample, so
that a batch of mixed tasks works and nothing depends on a hidden "current task". A slot that has no head yet acts
through the newest one.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import torch as th
from torch import nn

_HIDDEN_GAIN = math.sqrt(2)


def linear(inputs: int, outputs: int, gain: float) -> nn.Linear:
    """Return a layer with orthogonal weights of the given gain and zero biases (as Stable-Baselines3's PPO)."""
    layer = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(layer.weight, gain=gain)
    nn.init.zeros_(layer.bias)
    return layer


def slot_of(obs: th.Tensor, slots: int) -> th.Tensor:
    """Return the head index (B,) of each observation (B, d + 1): its last component, at most the newest head's."""
    return obs[:, -1].long().clamp(max=slots - 1)


class SlotNetwork(nn.Module, ABC):
    """A network with one output per slot.

    Args:
        inputs: the size of an observation without its slot index.
        widths: of the hidden layers.
        outputs: the size of a head's output.
        head_gain: the orthogonal gain of a new head.
    """

    def __init__(self, inputs: int, widths: Sequence[int], outputs: int, head_gain: float) -> None:
        super().__init__()
        self.inputs = inputs
        self.widths = tuple(widths)
        self.outputs = outputs
        self.head_gain = head_gain

    @property
    @abstractmethod
    def slots(self) -> int:
        """The number of heads."""

    @abstractmethod
    def add_slot(self) -> None:
        """Append a new head (or column), randomly initialised, and freeze what the earlier slots own alone."""

    @abstractmethod
    def forward_slot(self, x: th.Tensor, slot: int) -> th.Tensor:
        """Return the outputs (B, outputs) of one slot for x (B, inputs), without its index."""

    @abstractmethod
    def shared_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield the named parameters that several slots read and that a later slot's training changes."""

    def forward(self, obs: th.Tensor) -> th.Tensor:
        """Return the outputs (B, outputs) for observations (B, inputs + 1), each through its own slot."""
        index = slot_of(obs, self.slots)
        x = obs[:, :-1]
        first = int(index[0])
        if bool((index == first).all()):
            return self.forward_slot(x, first)
        out = x.new_zeros(len(x), self.outputs)
        for slot in sorted(set(index.tolist())):
            rows = (index == slot).nonzero().squeeze(1)
            out = out.index_copy(0, rows, self.forward_slot(x[rows], slot))
        return out


class MultiHeadNetwork(SlotNetwork):
    """One trunk that all slots share, and one linear head for each."""

    def __init__(self, inputs: int, widths: Sequence[int], outputs: int, head_gain: float) -> None:
        super().__init__(inputs, widths, outputs, head_gain)
        layers: list[nn.Module] = []
        size = inputs
        for width in self.widths:
            layers += [linear(size, width, _HIDDEN_GAIN), nn.Tanh()]
            size = width
        self.trunk = nn.Sequential(*layers)
        self.heads = nn.ModuleList()
        self.add_slot()

    @property
    def slots(self) -> int:  # noqa: D102
        return len(self.heads)

    def add_slot(self) -> None:  # noqa: D102
        self.heads.requires_grad_(False)
        head = linear(self.widths[-1], self.outputs, self.head_gain)
        self.heads.append(head.to(next(self.trunk.parameters()).device))

    def forward_slot(self, x: th.Tensor, slot: int) -> th.Tensor:  # noqa: D102
        out: th.Tensor = self.heads[slot](self.trunk(x))
        return out

    def shared_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:  # noqa: D102
        yield from self.trunk.named_parameters(prefix="trunk")


class Lateral(nn.Module):
    """The adapter from earlier columns into one layer of a new column (Rusu et al. 2016, equation 2).

        U tanh(V [α_1 h_1; …; α_{k-1} h_{k-1}])

    where h_j is column j's activation below the layer and α_j a learned scale for each source. The paper's random
    initialisation of U is kept, at a tenth of the layer's gain, so that old features are heard from the start.
    """

    def __init__(self, source: int, sources: int, outputs: int, gain: float) -> None:
        super().__init__()
        self.scales = nn.Parameter(th.full((sources,), 1.0 / math.sqrt(sources)))
        self.project = linear(source * sources, source, 1.0)
        self.out = linear(source, outputs, 0.1 * gain)

    def forward(self, sources: Sequence[th.Tensor]) -> th.Tensor:
        """Return (B, outputs) from the earlier columns' activations, each (B, source)."""
        scaled = th.cat([scale * h for scale, h in zip(self.scales.unbind(), sources, strict=True)], dim=1)
        out: th.Tensor = self.out(th.tanh(self.project(scaled)))
        return out


class Column(nn.Module):
    """One column: hidden layers and an output head, each with a lateral from the earlier columns.

    The first hidden layer reads the observation alone, as in the paper: below it all columns see the same.
    """

    def __init__(
        self, inputs: int, widths: Sequence[int], outputs: int, earlier: Sequence[Column], head_gain: float
    ) -> None:
        super().__init__()
        sizes = [inputs, *widths, outputs]
        gains = [_HIDDEN_GAIN] * len(widths) + [head_gain]
        self.layers = nn.ModuleList(
            linear(a, b, gain) for a, b, gain in zip(sizes[:-1], sizes[1:], gains, strict=True)
        )
        self.laterals = nn.ModuleList(
            Lateral(below, len(earlier), above, gain)
            for below, above, gain in zip(sizes[1:-1], sizes[2:], gains[1:], strict=True)
            if earlier
        )

    def forward(self, x: th.Tensor, earlier: Sequence[Sequence[th.Tensor]]) -> tuple[th.Tensor, ...]:
        """Return the activations of every layer, the output last.

        `earlier` holds the same of every earlier column.
        """
        activations: list[th.Tensor] = []
        below = x
        for i, layer in enumerate(self.layers):
            z = layer(below)
            if i > 0 and earlier:
                z = z + self.laterals[i - 1]([column[i - 1] for column in earlier])
            below = z if i == len(self.layers) - 1 else th.tanh(z)
            activations.append(below)
        return tuple(activations)


class ProgressiveNetwork(SlotNetwork):
    """One column for each slot; earlier columns are frozen and read through laterals (Rusu et al. 2016).

    Column k:  h_i = tanh(W_i h_{i-1} + U_i tanh(V_i α_i h_{i-1}^{(<k)})),  and the same without the outer tanh for
    the output head.
    """

    def __init__(self, inputs: int, widths: Sequence[int], outputs: int, head_gain: float) -> None:
        super().__init__(inputs, widths, outputs, head_gain)
        self.columns = nn.ModuleList()
        self.add_slot()

    @property
    def slots(self) -> int:  # noqa: D102
        return len(self.columns)

    def add_slot(self) -> None:  # noqa: D102
        self.columns.requires_grad_(False)
        earlier = list(self.columns)
        column = Column(self.inputs, self.widths, self.outputs, earlier, self.head_gain)  # type: ignore[arg-type]
        device = next(self.columns.parameters()).device if earlier else None
        self.columns.append(column.to(device))

    def forward_slot(self, x: th.Tensor, slot: int) -> th.Tensor:  # noqa: D102
        activations: list[tuple[th.Tensor, ...]] = []
        for k in range(slot + 1):
            activations.append(self.columns[k](x, activations))
        return activations[-1][-1]

    def shared_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield nothing: what an earlier slot reads is frozen."""
        yield from ()
