"""Stable-Baselines3's SAC with a temperature for each slot."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch as th
from stable_baselines3 import SAC
from stable_baselines3.common.noise import ActionNoise
from typing_extensions import override

from clrobot.agents.algorithms.mixed_replay_buffer import MixedReplayBuffer


class SlotSAC(SAC):
    """Stable-Baselines3's SAC with one temperature for each slot (as Continual World's): of a batch, each row's own.

    Where a batch is of the stage's slot alone, that is Stable-Baselines3's SAC, to the bit. Where it holds
    transitions of several slots, each is learned at its slot's temperature: one that the stage trains, or of a slot
    whose transitions are mixed in, the constant at which that slot's stage ended. (At the stage's own, a finished
    skill would be made as random again as one that has just begun.)

    Attributes:
        log_temperatures: of the slots that the stage trains, logs, (T,); they are learned.
        explores_by_itself: whether the policy acts from the stage's first step on, in the place of random actions.
    """

    log_temperatures: th.Tensor | None
    explores_by_itself = False
    first_trained = 0  # the first of the slots that the stage trains

    @override
    def _sample_action(
        self, learning_starts: int, action_noise: ActionNoise | None = None, n_envs: int = 1
    ) -> tuple[np.ndarray, np.ndarray]:
        return super()._sample_action(0 if self.explores_by_itself else learning_starts, action_noise, n_envs)

    @property
    def log_ent_coef(self) -> th.Tensor | None:
        """What Stable-Baselines3 takes for the log of the temperature: of the newest batch, (1,) or (B, 1)."""
        own, buffer = self.log_temperatures, self.replay_buffer
        if own is None or not isinstance(buffer, MixedReplayBuffer) or buffer.slots is None:
            return own
        earlier = buffer.log_temperatures
        if len(own) == 1 and earlier is None:
            return own
        # Those of earlier slots come before the stage's own; without them the first is of the first that is trained.
        every, first = (own, self.first_trained) if earlier is None else (th.cat([earlier, own]), 0)
        return every.index_select(0, buffer.slots - first)[:, None].as_subclass(_OfRows)

    @log_ent_coef.setter
    def log_ent_coef(self, value: th.Tensor | None) -> None:
        self.log_temperatures = value

    @override
    def _get_torch_save_params(self) -> tuple[list[str], list[str]]:
        state_dicts, _ = super()._get_torch_save_params()
        return state_dicts, ["log_temperatures"]


class _OfRows(th.Tensor):
    """Temperatures of a batch's rows, (B, 1), where Stable-Baselines3 reckons with a single one."""

    @override
    def item(self) -> float:
        """Return the mean: what is logged."""
        return float(self.as_subclass(th.Tensor).mean())

    @override
    def __mul__(self, other: Any) -> th.Tensor:
        product: th.Tensor = self.as_subclass(th.Tensor) * other
        return product
