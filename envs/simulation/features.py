"""What a task knows of its state at a step: the places that the observation is made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import TypeVar

from clrobot.envs.arrays import Array, length

Mask = NDArray[np.bool_]
Ids = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True)
class Features:
    """What the agent is shown of a task, beside the hand; positions (N, 3) in metres.

    `object` is what must reach `goal`: an object, a handle, or the hand itself. What a task lacks is None and is
    shown as zeros.
    """

    object: Array
    goal: Array
    other: Array | None = None  # a second object
    joint: Array | None = None  # (N,), a mechanism's position: 0 closed or released, 1 open or pressed

    @cached_property
    def displacement(self) -> Array:
        """From `object` to `goal`, (N, 3), m."""
        return self.goal - self.object

    @cached_property
    def distance(self) -> Array:
        """Between `object` and `goal`, (N,), m: reward and success both ask for it."""
        return length(self.displacement)


@dataclass(frozen=True, kw_only=True)
class MechanismFeatures(Features):
    """What the agent is shown of a task in which something moves from 0 to 1."""

    joint: Array  # (N,)


# The kind of features that a task has; `Task` alone means a task with any.
FeaturesT = TypeVar("FeaturesT", bound=Features, default=Any)
