"""What the four numbers of an action mean."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from clrobot.envs.arrays import Array, clip
from clrobot.envs.scene import arm

ACTION_SIZE: Final = 4  # the hand's target along x, y and z, and the fingers; each in [-1, 1]
MAX_STEP: Final = 0.03  # m, the farthest one action moves the hand's target
FINGER_STEP: Final = arm.FINGER_SPEED * arm.CONTROL_STEP  # m, the farthest one action moves a finger's target
LEASH: Final = 0.08  # m, the farthest the target may lead the hand, along each axis
OPEN: Final = -1.0  # what the last number asks of the fingers
CLOSED: Final = 1.0


def checked_actions(actions: NDArray[Any], n: int) -> Array:
    """Return the actions of n simulations, (n, 4), clipped to [-1, 1].

    Raises:
        ValueError: they have another shape, or one is NaN or infinite.
    """
    a = np.asarray(actions, np.float64)
    if a.shape != (n, ACTION_SIZE):
        raise ValueError(f"actions of shape {a.shape}; expected {(n, ACTION_SIZE)}")
    if not np.isfinite(a).all():
        bad = int(np.flatnonzero(~np.isfinite(a).all(axis=1))[0])
        raise ValueError(
            f"action {a[bad].tolist()} of simulation {bad} is not finite; expected {ACTION_SIZE} numbers in [-1, 1]"
        )
    return clip(a, -1.0, 1.0)
