"""What a task is: objects on the shared scene, a start distribution, a reward and a success.

A task is written once, on batched arrays, and holds no state: all that changes lives in the simulation's rows.
The class docstring is the task's manual page: goal, success threshold, what varies.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, NamedTuple, Protocol

import numpy as np

from clrobot.envs.arrays import Array
from clrobot.envs.deferred import mujoco
from clrobot.envs.simulation.features import FeaturesT, Ids, Mask
from clrobot.envs.simulation.state import SimState


class Box(NamedTuple):
    """The axis-aligned box from which a start value is drawn uniformly."""

    low: tuple[float, ...]
    high: tuple[float, ...]


class ScriptedPolicy(Protocol):
    """What acts in the simulations for which it is made, by rules."""

    def __init__(self, sim: SimState) -> None: ...

    def __call__(self, features: Any) -> Array:
        """Return the next actions (N, 4); `features` are what the task shows of the simulations as they are."""


class Task(ABC, Generic[FeaturesT]):
    """One manipulation skill: a class of these attributes and five methods, all on N simulations at once.

    One of the user's own is given to `clrobot.register_task`, which tries it in two simulations.
    """

    id: ClassVar[str]
    varies: ClassVar[Mapping[str, Box]]  # drawn at every reset, by name; `place` receives the draws
    weights: ClassVar[Mapping[str, float]]  # of the reward terms; they sum to 1
    refuses: ClassVar[Mapping[str, str]] = {}  # names in `OVERRIDES` that its scene cannot bear, and why
    # Of overrides that its scene bears in part only: the least and the greatest value.
    override_ranges: ClassVar[Mapping[str, tuple[float, float]]] = {}
    # Sites where an object belongs, on what is no object: by name, the part of the site's place that is the object's
    # own lengths (m, in the site's body), which `object.size` changes.
    size_offsets: ClassVar[Mapping[str, tuple[float, float, float]]] = {}
    # What shows that it can be solved: a subclass of `clrobot.envs.experts.expert.Expert`, or None.
    expert: ClassVar[type[ScriptedPolicy] | None] = None

    @abstractmethod
    def build(self, spec: mujoco.MjSpec) -> None:
        """Add the task's objects to the scene with the arm."""

    @abstractmethod
    def place(self, sim: SimState, ids: Ids, drawn: Mapping[str, Array]) -> None:
        """Write the start states of the simulations `ids` (n,); `drawn` maps each name of `varies` to (n, k).

        The arm is already at home, and everything else at the model's defaults.
        """

    @abstractmethod
    def features(self, sim: SimState) -> FeaturesT:
        """Return what the agent is shown, of every simulation."""

    @abstractmethod
    def reward_terms(self, sim: SimState, features: FeaturesT) -> dict[str, Array]:
        """Return the named reward terms, each (N,) in [0, 1], for the names in `weights`."""

    @abstractmethod
    def success(self, sim: SimState, features: FeaturesT) -> Mask:
        """Return where the task is solved at this moment, (N,)."""

    def reward(self, sim: SimState, features: FeaturesT) -> Array:
        """Return the reward (N,) in [0, 1]: the weighted sum of the terms."""
        terms = self.reward_terms(sim, features)
        total = np.zeros(sim.n)
        for name, weight in self.weights.items():
            total += weight * terms[name]
        return total

    @classmethod
    def gym_id(cls) -> str:
        """Return the Gymnasium id: `drawer-open` is `clrobot/DrawerOpen-v0`."""
        return gym_id(cls.id)


def gym_id(task: str) -> str:
    """Return the Gymnasium id of the task of that id."""
    return f"clrobot/{''.join(word.capitalize() for word in task.split('-'))}-v0"
