"""What reward terms are built of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


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


def clip(x: Array, low: float | Array, high: float | Array) -> Array:
    """Return `x` with what is below `low` or above `high` replaced by that bound: `np.clip` in half its time."""
    clipped: Array = np.minimum(np.maximum(x, low), high)
    return clipped


def length(v: Array) -> Array:
    """Return the Euclidean lengths (N,) of the vectors v (N, k), in their unit."""
    lengths: Array = np.sqrt(np.einsum("ij,ij->i", v, v))
    return lengths


def distance(a: Array, b: Array) -> Array:
    """Return the Euclidean distances (N,) between the points a (N, k) and b (N, k), m."""
    return length(a - b)
