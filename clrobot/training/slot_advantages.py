"""Advantages of several tasks in one update, brought to one scale."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import RolloutBuffer

_LEAST_SPREAD = 1e-8  # Stable-Baselines3's


def normalise_by_slot(model: BaseAlgorithm) -> None:
    """Normalise the advantages of the rollout just collected within each slot; nothing for an off-policy algorithm.

    Stable-Baselines3 normalises a minibatch as a whole, in which a task of large rewards would drown the others. With

        A ← (A - mean_k A) / (std_k A + ε),   over the samples of slot k

    before it, what it finds has mean 0 and spread 1 already, but for the draw of the minibatch. Returns, which the
    critic learns, are computed before and stay as they are.
    """
    buffer = getattr(model, "rollout_buffer", None)
    if not isinstance(buffer, RolloutBuffer):
        return
    assert isinstance(buffer.observations, np.ndarray)
    slots: NDArray[np.float32] = buffer.observations[..., -1]  # (steps, simulations), as the advantages
    for slot in np.unique(slots):
        own = slots == slot
        advantages = buffer.advantages[own]
        buffer.advantages[own] = (advantages - advantages.mean()) / (advantages.std() + _LEAST_SPREAD)
