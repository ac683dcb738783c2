"""A trained agent: the policy of one stage and the names of its slots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrobot.agents.policies.policy import SlotPolicy
from clrobot.errors import UserError, nearest


@dataclass(frozen=True)
class Agent:
    """What `clrobot.load` returns.

    Attributes:
        policy: the Stable-Baselines3 policy; its observations end with the slot's index.
        slots: the names of the curriculum's slots, trained or not.
        stage: the stage after which the weights were saved; 0 is untrained.
    """

    policy: SlotPolicy
    slots: tuple[str, ...]
    stage: int

    def slot_index(self, task: str) -> int:
        """Return the index (from 0) of the slot named `task`.

        Raises:
            UserError: the curriculum has no such slot.
        """
        if task not in self.slots:
            raise UserError(f"unknown task {task!r} in this run{nearest(task, self.slots)}")
        return self.slots.index(task)

    def predict(self, obs: NDArray[Any], task: str, *, deterministic: bool = True) -> NDArray[np.float32]:
        """Return the action (4,) for an observation (d,), or actions (B, 4) for observations (B, d).

        Args:
            obs: as the environments give them, without the slot's index.
            task: the slot's name; one without a head yet acts through the newest.
            deterministic: the mean action, rather than a sample.

        Raises:
            UserError: the curriculum has no such slot, or the observations are none of this agent's.
        """
        slot, given = self.slot_index(task), np.asarray(obs, np.float32)
        assert self.policy.observation_space.shape is not None
        size = self.policy.observation_space.shape[0] - 1  # the slot's index is appended here
        if given.ndim not in (1, 2) or given.shape[-1] != size or not len(given):
            raise UserError(f"observations of shape {given.shape}; expected ({size},), or (B, {size}) of one or more")
        with_slot = append_slot(given, slot)
        action, _ = self.policy.predict(with_slot, deterministic=deterministic)
        return np.asarray(action, np.float32)


def append_slot(obs: NDArray[np.float32], slot: int | NDArray[np.intp]) -> NDArray[np.float32]:
    """Return obs (…, d) with its slot's index as one more component, (…, d + 1); one for all, or one for each."""
    column = np.empty((*obs.shape[:-1], 1), np.float32)
    column[..., 0] = slot
    return np.concatenate([obs, column], axis=-1)
