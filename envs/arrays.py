"""Small functions of arrays that tasks, rewards and the simulation share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


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


def horizontal_distance(a: Array, b: Array) -> Array:
    """Return the distances (N,) along the table between the points a (N, 3) and b (N, 3), m."""
    gap: Array = np.hypot(a[:, 0] - b[:, 0], a[:, 1] - b[:, 1])
    return gap
