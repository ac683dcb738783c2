"""What tasks with a mechanism share: a joint, a handle on what it moves, and where the handle should come."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from typing_extensions import override

from clrobot.envs.arrays import Array, clip, distance
from clrobot.envs.rewards.tolerance import tolerance
from clrobot.envs.simulation.features import Ids, Mask, MechanismFeatures
from clrobot.envs.simulation.state import SimState
from clrobot.envs.simulation.task import Task


class MechanismTask(Task[MechanismFeatures]):
    """Bring a mechanism's joint to where it should be, with the hand at its handle.

    The reward has two terms, to which a task gives weights: `near`, the tolerance of the distance between hand and
    handle, and `moved`, how much of the joint's motion has been made.
    """

    fixture: ClassVar[str]  # the mocap body on which the mechanism stands; `varies["place"]` is where, (x, y), m
    joint: ClassVar[str]  # a slide (m) or hinge (rad) with 0 closed or released
    handle: ClassVar[str]  # the site on what moves that the hand should be at
    goal: ClassVar[str]  # the site where the handle should come
    full: ClassVar[float]  # m or rad: what the agent is shown as 1
    success_at: ClassVar[float]  # m or rad
    near_within: ClassVar[float] = 0.03  # m, between hand and handle, within which the reward for nearness is whole
    near_margin: ClassVar[float] = 0.15  # m beyond it, where that has fallen to a tenth

    @abstractmethod
    def moved(self, joint: Array) -> Array:
        """Return how much of the motion has been made, (N,) in [0, 1]; `joint` (N,) is in shares of `full`."""

    def position(self, sim: SimState) -> Array:
        """Return the joint's positions, (N,), m or rad."""
        return sim.joint_qpos(self.joint)[:, 0]

    @override
    def place(self, sim: SimState, ids: Ids, drawn: Mapping[str, Array]) -> None:
        sim.mocap_pos(self.fixture)[ids, :2] = drawn["place"]

    @override
    def features(self, sim: SimState) -> MechanismFeatures:
        share = self.position(sim) / self.full
        return MechanismFeatures(object=sim.site(self.handle), goal=sim.site(self.goal), joint=share)

    @override
    def reward_terms(self, sim: SimState, features: MechanismFeatures) -> dict[str, Array]:
        gap = distance(sim.hand, features.object)
        return {
            "near": tolerance(gap, within=self.near_within, margin=self.near_margin),
            "moved": self.moved(features.joint),
        }


class OpeningTask(MechanismTask):
    """Move the joint from 0 to `full`, to open, turn, pull or press something; solved at `success_at` or beyond."""

    @override
    def moved(self, joint: Array) -> Array:
        return clip(joint, 0.0, 1.0)

    @override
    def success(self, sim: SimState, features: MechanismFeatures) -> Mask:
        return self.position(sim) >= self.success_at


class ClosingTask(MechanismTask):
    """Move the joint from `varies["start"]`, (m or rad,), back to 0; solved below `success_at`."""

    @override
    def place(self, sim: SimState, ids: Ids, drawn: Mapping[str, Array]) -> None:
        super().place(sim, ids, drawn)
        sim.joint_qpos(self.joint)[ids] = drawn["start"]

    @override
    def moved(self, joint: Array) -> Array:
        return 1.0 - clip(joint, 0.0, 1.0)

    @override
    def success(self, sim: SimState, features: MechanismFeatures) -> Mask:
        return self.position(sim) < self.success_at
