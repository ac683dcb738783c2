"""What an algorithm is here: a stock Stable-Baselines3 learner, how it is made, and how it moves to the next slot.

Adding an algorithm is one file and one line in `algorithms.py`; its settings become flags (`--sac.gamma`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch as th
from pydantic import Field
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from clrobot.agents.policies.policy import SlotPolicy
from clrobot.agents.settings import FrozenSettings


class AlgorithmSettings(FrozenSettings):
    """What every algorithm has."""

    num_envs: int = Field(64, ge=1, le=65_536)
    """Simulations stepped together."""
    learning_rate: float = Field(1e-3, gt=0)
    """Adam's step size."""


class Algorithm(ABC):
    """One learner with its settings; it holds no state, which is all in the Stable-Baselines3 model."""

    name: ClassVar[str]
    policy_class: ClassVar[type[SlotPolicy]]
    Settings: ClassVar[type[AlgorithmSettings]]
    settings: AlgorithmSettings

    def __init__(self, settings: AlgorithmSettings) -> None:
        self.settings = settings

    @property
    @abstractmethod
    def iteration(self) -> int:
        """Control steps from one update to the next, over all simulations."""

    @abstractmethod
    def make(self, env: VecEnv, network: Mapping[str, Any], seed: int, device: str) -> BaseAlgorithm:
        """Return an untrained model with one slot. Seeds torch's, numpy's and Python's global generators.

        `network` is what the policy takes of it: `network_class`, `critic_class`, `widths`, `layer_norm`.
        """

    def begin_slot(
        self,
        model: BaseAlgorithm,
        slots: int,
        env: VecEnv,
        steps: int,
        *,
        train_all: bool = False,
        keep_moments: bool = False,
    ) -> None:
        """Move `model` to `env` for `steps` steps with `slots` heads: fresh optimizers, schedules and buffers.

        The newest head trains, and the earlier ones are frozen unless `train_all`.
        """
        policy = model.policy
        assert isinstance(policy, SlotPolicy)
        while policy.slots < slots:
            policy.add_slot()
        if train_all:
            policy.unfreeze()
        policy.rebuild_optimizers(self.settings.learning_rate, keep_moments=keep_moments)
        model.policy_kwargs["slots"] = policy.slots
        model.set_env(env, force_reset=True)
        # These mix the tasks' episodes unless they start anew.
        model.ep_info_buffer = model.ep_success_buffer = None
        self._begin_steps(model, steps)

    @abstractmethod
    def _begin_steps(self, model: BaseAlgorithm, steps: int) -> None:
        """Begin a slot's `steps` steps: what only this algorithm carries from one task to the next starts anew."""

    def whole_iterations(self, steps: int) -> int:
        """Return `steps` rounded up to whole iterations."""
        return -(-steps // self.iteration) * self.iteration

    def tensors(self, model: BaseAlgorithm) -> dict[str, th.Tensor]:
        """Return what the model holds beside weights and optimizers, and an exact resume needs."""
        return {}

    def load_tensors(self, model: BaseAlgorithm, tensors: Mapping[str, th.Tensor]) -> None:  # noqa: B027
        """Restore what `tensors` returned."""
