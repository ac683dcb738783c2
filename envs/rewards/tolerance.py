"""The one function that turns a distance into a reward."""

from __future__ import annotations

import numpy as np

from clrobot.envs.arrays import Array


def tolerance(x: Array, *, within: float = 0.0, margin: float, at_margin: float = 0.1) -> Array:
    """Return 1 where ``x <= within``, falling smoothly towards 0 beyond.

    With u = (x - within) / margin, the value outside the bound is the long-tailed

        1 / (1 + (1 / at_margin - 1) u²)

    of dm_control's `rewards.tolerance` (Tassa et al. 2020): it still slopes far away, where a Gaussian is flat.

    Args:
        x: distances, any shape, in the unit of `within` and `margin`.
        within: the largest distance that earns the full value.
        margin: how far beyond `within` the value has fallen to `at_margin`.
        at_margin: the value at `within + margin`, in (0, 1).

    Returns:
        Values in (0, 1], in the shape of `x`.
    """
    u = np.maximum(x - within, 0.0) / margin
    value: Array = 1.0 / (1.0 + (1.0 / at_margin - 1.0) * u * u)
    return value
