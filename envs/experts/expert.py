"""What an expert is: a policy scripted for one task, which shows that the task can be solved.

An expert reads the simulation itself, not the observation. It works on batched arrays, as the tasks do: each of the
N simulations is in a phase of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clrobot.envs.arrays import Array
from clrobot.envs.simulation.actions import MAX_STEP
from clrobot.envs.simulation.features import FeaturesT, Mask
from clrobot.envs.simulation.state import SimState


class Expert(ABC, Generic[FeaturesT]):
    """A scripted policy for N simulations of one task.

    Attributes:
        sim: the simulations in which it acts.
        phase: where each simulation is in the script, (N,); 0 at the start of an episode.
    """

    def __init__(self, sim: SimState) -> None:
        """Act in `sim`, whose episodes have not begun or begin at their first step."""
        self.sim = sim
        self.phase: NDArray[np.int64] = np.zeros(sim.n, np.int64)

    def __call__(self, features: FeaturesT) -> Array:
        """Return the next actions (N, 4); `features` are what the task shows of the simulations as they are."""
        self.phase[self.sim.elapsed == 0] = 0
        return self.act(features)

    @abstractmethod
    def act(self, f: FeaturesT) -> Array:
        """Move the phases on and return the next actions (N, 4)."""

    # --- what scripts are written with -----------------------------------------------------------------------

    def advance(self, phase: int, done: Mask) -> None:
        """Move on those that are in `phase` and whose part of it is `done` (N,)."""
        self.phase[(self.phase == phase) & done] += 1

    def by_phase(self, *choices: ArrayLike, first: int = 0) -> Array:
        """Return row i of the choice of simulation i's phase; each (N, k) or (k,).

        The first choice is that of the phase `first` and of all before it, the last that of all later ones.
        """
        shape = np.broadcast_shapes(*(np.shape(choice) for choice in choices), (self.sim.n, 1))
        stacked = np.stack([np.broadcast_to(choice, shape) for choice in choices])
        chosen: Array = stacked[np.clip(self.phase - first, 0, len(choices) - 1), np.arange(self.sim.n)]
        return chosen

    def towards(self, point: ArrayLike, fingers: ArrayLike, stride: ArrayLike = MAX_STEP) -> Array:
        """Return the actions that bring the hand's target to `point` (N, 3), m, at most `stride` along each axis."""
        by = np.asarray(point) - self.sim.delayed_target
        return self.move(np.clip(by, -np.asarray(stride), stride), fingers)

    def move(self, by: ArrayLike, fingers: ArrayLike) -> Array:
        """Return the actions that move the hand's target `by` (N, 3), m, cut to what one action can do."""
        n = self.sim.n
        step = np.clip(np.broadcast_to(by, (n, 3)) / MAX_STEP, -1.0, 1.0)
        return np.column_stack([step, np.broadcast_to(fingers, n)])


def above(point: Array, height: float) -> Array:
    """Return the points `height` m above `point` (N, 3)."""
    raised: Array = point + np.array([0.0, 0.0, height])
    return raised
