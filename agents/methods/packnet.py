"""PackNet: each task trains the free weights, keeps the largest of them and leaves the rest to later tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch as th
from pydantic import Field
from stable_baselines3.common.base_class import BaseAlgorithm

from clrobot.agents.method import Method, Phase
from clrobot.agents.networks import MultiHeadNetwork, SlotNetwork
from clrobot.agents.packed_network import PackedNetwork
from clrobot.agents.policies import ACTOR_OPTIMIZERS, SlotPolicy


def packed_network(model: BaseAlgorithm) -> PackedNetwork:
    """Return the model's actor."""
    assert isinstance(model.policy, SlotPolicy)
    assert isinstance(model.policy.actor_net, PackedNetwork)
    return model.policy.actor_net


class PackNet(Method):
    """PackNet (Mallya & Lazebnik 2018): train, prune by magnitude, retrain what was kept, freeze it.

    How many tasks will come is not known. Task k keeps of each layer's free weights the share

        keep / (1 + k · keep),   that is 1/c, 1/(c + 1), 1/(c + 2), …  with c = 1 / keep,

    so that after k tasks (c - 1) / (c - 1 + k) of all weights are free: the room falls as 1/k, where a constant share
    would use it up exponentially.

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
        train_share: float = Field(0.6, gt=0, lt=1)
        """Share of a stage's steps before pruning; the rest retrain what was kept."""

    settings: Settings

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._step: list[tuple[th.nn.Parameter, th.Tensor, th.Tensor]] = []  # parameter, frozen mask, values before

    def networks(self) -> dict[str, Callable[..., SlotNetwork]]:
        """Return a packed actor and an ordinary critic."""
        return {"network_class": PackedNetwork, "critic_class": MultiHeadNetwork}

    def phases(self, steps: int) -> list[Phase]:
        """Return training and retraining."""
        train = round(self.settings.train_share * steps)
        return [Phase("train", train), Phase("retrain", steps - train)]

    def before_phase(self, model: BaseAlgorithm, k: int, phase: str) -> None:
        """Prune before retraining."""
        if phase == "retrain":
            packed_network(model).pack(self.settings.keep / (1 + k * self.settings.keep))

    def adjust_gradients(self, model: BaseAlgorithm, optimizer_name: str) -> None:
        """Silence the gradients of what is frozen, and note its values."""
        if optimizer_name not in ACTOR_OPTIMIZERS:
            return
        self._step = []
        for parameter, mask in packed_network(model).trainable():
            if parameter.grad is not None:
                parameter.grad.mul_(mask)
            self._step.append((parameter, ~mask, parameter.detach().clone()))

    def after_update(self, model: BaseAlgorithm, optimizer_name: str) -> None:
        """Put frozen weights back: momentum from before they froze moves them without any gradient."""
        if optimizer_name not in ACTOR_OPTIMIZERS:
            return
        with th.no_grad():
            for parameter, frozen, before in self._step:
                parameter.copy_(th.where(frozen, before, parameter))
