"""Distillation: the policy as it was after each task teaches the policy that learns the next ones."""

from __future__ import annotations

from typing import ClassVar

import torch as th
from pydantic import Field
from stable_baselines3.common.base_class import BaseAlgorithm

from clrobot.agents.cloning import FLOAT_BYTES, Behaviour, behaviour, cloning_loss
from clrobot.agents.memory import GENERATOR_BYTES, Memory
from clrobot.agents.method import Collect, Method
from clrobot.agents.policies import ACTOR_OPTIMIZERS, SlotPolicy


class Distillation(Method):
    """Policy distillation (Rusu et al. 2015) from earlier tasks; in continual learning, Wołczyk et al. 2022.

    β · KL(π_then(·|s) ‖ π(·|s)),  s drawn from the states kept of all earlier tasks
    """

    name: ClassVar = "distillation"
    summary: ClassVar = "states of each task are kept with what the policy did there, and it goes on doing so"
    family: ClassVar = "distillation"
    composes: ClassVar = True

    class Settings(Method.Settings):
        """States of earlier tasks, in which the policy is held to what it did."""

        strength: float = Field(1.0, ge=0)
        """β, the divergence's weight; 0 is fine-tuning, to the bit."""
        states: int = Field(10_000, ge=1)
        """On-policy states kept of each task."""
        batch_size: int = Field(256, ge=1)
        """States of all earlier tasks together, drawn anew at every gradient step."""

    settings: Settings

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.memory = Memory(Behaviour)

    def before_task(self, model: BaseAlgorithm, k: int) -> None:
        """Have the memory where the networks are."""
        self.memory.to(model.device)

    def auxiliary_loss(self, model: BaseAlgorithm, optimizer_name: str) -> th.Tensor | None:
        """Return β times the divergence over a minibatch of earlier tasks."""
        if optimizer_name not in ACTOR_OPTIMIZERS or not len(self.memory) or self.settings.strength == 0:
            return None
        assert isinstance(model.policy, SlotPolicy)
        return self.settings.strength * cloning_loss(model.policy, self.memory.sample(self.settings.batch_size))

    def after_task(self, model: BaseAlgorithm, k: int, collect: Collect) -> None:
        """Keep states of task k, with what the finished policy does there."""
        assert isinstance(model.policy, SlotPolicy)
        if k == 0:
            self.memory.seed(model.seed or 0)
        self.memory.add(behaviour(model.policy, collect(self.settings.states).observations))

    def memory_bound(self, model: BaseAlgorithm, tasks: int) -> int:
        """Return the bytes of the states and outputs of all tasks."""
        return GENERATOR_BYTES + tasks * self.settings.states * FLOAT_BYTES * behaviour_size(model)

    def state_dict(self) -> dict[str, th.Tensor]:
        """Return the memory."""
        return self.memory.state_dict()

    def load_state_dict(self, state: dict[str, th.Tensor]) -> None:
        """Restore the memory."""
        self.memory.load_state_dict(state)


def behaviour_size(model: BaseAlgorithm) -> int:
    """Return the numbers in one row of `Behaviour`."""
    assert model.observation_space.shape is not None
    assert model.action_space.shape is not None
    return int(model.observation_space.shape[0]) + 2 * int(model.action_space.shape[0])
