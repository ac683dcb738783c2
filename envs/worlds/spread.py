"""Actions in [-1, 1] as the numbers that somebody else's environment takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import ArrayLike, NDArray


def spread_over(box: gym.spaces.Box) -> Callable[[ArrayLike], NDArray[Any]]:
    """Return what makes actions in [-1, 1], (…, *shape of the box), numbers of the box; whole ones are rounded."""
    low, high = box.low.astype(np.float64), box.high.astype(np.float64)  # in a small type the sums would overflow
    middle, half = (high + low) / 2.0, (high - low) / 2.0
    whole = np.issubdtype(box.dtype, np.integer)

    def spread(actions: ArrayLike) -> NDArray[Any]:
        own: NDArray[Any] = np.clip(middle + half * np.clip(np.asarray(actions, np.float64), -1.0, 1.0), low, high)
        return (own.round() if whole else own).astype(box.dtype)

    return spread
