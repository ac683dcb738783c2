"""What the agent sees: one layout for every task, at fixed scales."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from typing import Final, NamedTuple

import numpy as np

from clrobot.envs.arrays import Array
from clrobot.envs.scene import arm
from clrobot.envs.simulation.features import Features
from clrobot.envs.simulation.state import SimState


class Part(NamedTuple):
    """Some neighbouring numbers of an observation; for x they show (x - offset) / scale, clipped to ±OBS_LIMIT."""

    name: str
    size: int
    offset: float | tuple[float, float, float]
    scale: float


CENTRE: Final = (0.5, 0.0, 0.15)  # m
OBS_LIMIT: Final = 5.0
OBS_LAYOUT: Final = (
    Part("hand position", 3, CENTRE, 0.2),
    Part("hand target - hand", 3, 0.0, 0.05),
    Part("finger opening", 1, arm.FINGER_TRAVEL / 2, arm.FINGER_TRAVEL / 2),
    Part("object position", 3, CENTRE, 0.2),
    Part("other object position", 3, CENTRE, 0.2),
    Part("mechanism position", 1, 0.0, 1.0),
    Part("goal position", 3, CENTRE, 0.2),
    Part("object - hand", 3, 0.0, 0.1),
    Part("goal - object", 3, 0.0, 0.1),
)
_ENDS = tuple(accumulate(part.size for part in OBS_LAYOUT))
OBS_SIZE: Final = _ENDS[-1]
COLUMNS: Final[Mapping[str, slice]] = {
    part.name: slice(end - part.size, end) for part, end in zip(OBS_LAYOUT, _ENDS, strict=True)
}
# Of each number, (OBS_SIZE,).
OFFSETS: Final[Array] = np.concatenate([np.broadcast_to(part.offset, part.size) for part in OBS_LAYOUT])
SCALES: Final[Array] = np.concatenate([np.broadcast_to(part.scale, part.size) for part in OBS_LAYOUT])


class Observation:
    """The observations of N simulations, before noise and clipping."""

    def __init__(self, n: int) -> None:
        # Written out for every simulation: numpy is slow where it repeats a short row.
        self._offsets, self._scales = np.tile(OFFSETS, (n, 1)), np.tile(SCALES, (n, 1))
        self._raw = self._offsets.copy()  # before scaling: what a task lacks stays at its offset
        self._parts = {name: self._raw[:, columns] for name, columns in COLUMNS.items()}

    def scaled(self, sim: SimState, features: Features) -> Array:
        """Return what is seen, (N, OBS_SIZE), scaled as OBS_LAYOUT says."""
        part, hand = self._parts, sim.hand
        part["hand position"][:] = hand
        np.subtract(sim.target, hand, out=part["hand target - hand"])
        part["finger opening"][:, 0] = sim.opening
        part["object position"][:] = features.object
        if features.other is not None:
            part["other object position"][:] = features.other
        if features.joint is not None:
            part["mechanism position"][:, 0] = features.joint
        part["goal position"][:] = features.goal
        np.subtract(features.object, hand, out=part["object - hand"])
        part["goal - object"][:] = features.displacement
        scaled: Array = self._raw - self._offsets
        scaled /= self._scales
        return scaled
