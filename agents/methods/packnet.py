"""PackNet: each task trains the free weights, keeps the largest of them and leaves the rest to later tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar, Literal

import torch as th
from pydantic import Field
from torch import nn
from typing_extensions import override

from clrobot.agents.algorithms.learner import Learner
from clrobot.agents.algorithms.role import Role
from clrobot.agents.methods.shared.method import Method, Phase
from clrobot.agents.networks.multi_head import MultiHeadNetwork
from clrobot.agents.networks.slot_network import HIDDEN_GAIN, SlotNetwork, linear

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

    @override
    def activations(self, x: th.Tensor, slot: int) -> tuple[th.Tensor, ...]:
        activations = []
        packed = int(self.packed)
        for i, layer in enumerate(self.trunk):
            assert isinstance(layer, nn.Linear)
            weight = layer.weight
            if packed:
                owners = self.owners(i)
                hidden = owners > owner_of(slot)
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

    @th.no_grad()
    def draw_free(self) -> None:
        """Give the free weights, which packing left at zero, new random ones in their place, as a new layer has."""
        for i, layer in enumerate(self.trunk):
            assert isinstance(layer, nn.Linear)
            fresh = linear(layer.in_features, layer.out_features, HIDDEN_GAIN).weight.to(layer.weight.device)
            layer.weight.copy_(th.where(self.owners(i) == FREE, fresh, layer.weight))

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


def packed_network(learner: Learner) -> PackedNetwork:
    """Return the learner's actor."""
    assert isinstance(learner.policy.actor_net, PackedNetwork)
    return learner.policy.actor_net


class PackNet(Method):
    """PackNet (Mallya & Lazebnik 2018): train, prune by magnitude, retrain what was kept, freeze it.

    Where it is not known how many tasks will come, task k keeps of each layer's free weights the share

        keep / (1 + k · keep),   that is 1/c, 1/(c + 1), 1/(c + 2), …  with c = 1 / keep,

    so that after k tasks (c - 1) / (c - 1 + k) of all weights are free: the room falls as 1/k, where a constant share
    would use it up exponentially. Where N tasks are known to come, task k keeps 1 / (N - k) of what is free: each
    owns 1/N of all weights, and the last one takes all that is left.

    What a task does right after pruning is no part of its learning: the learning curve goes from before it to the
    stage's end.

    Only the actor is packed. Acting never asks the critic, whose value of an old task is not needed again: it is an
    ordinary multi-head network, so that all of it goes on learning.
    """

    name: ClassVar = "packnet"
    summary: ClassVar = "each task keeps the weights it needs most, frozen, and leaves the others to later tasks"
    family: ClassVar = "architecture"
    network_class: ClassVar = PackedNetwork

    class Settings(Method.Settings):
        """How the weights are shared out."""

        keep: float = Field(0.3, gt=0, lt=1)
        """Share of the free weights that the first task keeps; task k (from 0) keeps keep / (1 + k keep)."""
        tasks: int = Field(0, ge=0)
        """N, how many tasks will come: each then keeps as many weights as another, and `keep` counts for nothing.
        0: not known."""
        free: Literal["zeros", "drawn"] = "zeros"
        """What the free weights are when a task begins: the zeros that pruning left, or drawn anew."""
        train_share: float = Field(0.6, gt=0, lt=1)
        """Share of a stage's steps before pruning; the rest retrain what was kept."""

    settings: Settings

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._step: list[tuple[th.nn.Parameter, th.Tensor, th.Tensor]] = []  # parameter, frozen mask, values before

    @classmethod
    @override
    def why_not_with(cls, other: type[Method]) -> str | None:
        return f"{cls.name} freezes the weights that a task acts with, so {other.name} has nothing to protect"

    @override
    def networks(self) -> dict[str, Callable[..., SlotNetwork]]:
        """Return a packed actor and an ordinary critic."""
        return {"network_class": PackedNetwork, "critic_class": MultiHeadNetwork}

    @override
    def why_not_here(self, algorithm: str, tasks: int) -> str | None:
        """Return that fewer tasks were announced than come."""
        announced = self.settings.tasks
        if 0 < announced < tasks:
            return (
                f"--packnet.tasks is {announced}, and the curriculum has {tasks} tasks; give {tasks}, or 0: not known"
            )
        return None

    @override
    def phases(self, steps: int) -> list[Phase]:
        """Return training and retraining."""
        train = round(self.settings.train_share * steps)
        return [Phase("train", train), Phase("retrain", steps - train, curve=False)]

    @override
    def before_task(self, learner: Learner, k: int) -> None:
        """Draw the free weights anew, if that is wanted; in the first task they are new."""
        if k > 0 and self.settings.free == "drawn":
            packed_network(learner).draw_free()

    @override
    def before_phase(self, learner: Learner, k: int, phase: str) -> None:
        """Prune before retraining."""
        if phase == "retrain":
            packed_network(learner).pack(self._share(k))

    def _share(self, k: int) -> float:
        """Return the share of the free weights that task k (from 0) keeps."""
        keep, tasks = self.settings.keep, self.settings.tasks
        return 1 / (tasks - k) if tasks else keep / (1 + k * keep)

    @override
    def adjust_gradients(self, learner: Learner, role: Role) -> None:
        """Set the gradients of what is frozen to zero, and note its values."""
        if Role.ACTOR not in role:
            return
        self._step = []
        for parameter, mask in packed_network(learner).trainable():
            if parameter.grad is not None:
                parameter.grad.mul_(mask)
            self._step.append((parameter, ~mask, parameter.detach().clone()))

    @override
    def after_update(self, learner: Learner, role: Role) -> None:
        """Put frozen weights back: momentum from before they froze moves them without any gradient."""
        if Role.ACTOR not in role:
            return
        with th.no_grad():
            for parameter, frozen, before in self._step:
                parameter.copy_(th.where(frozen, before, parameter))
