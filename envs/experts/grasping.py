"""How the experts that grasp begin, and how those that put an object down end."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Final

import numpy as np
from numpy.typing import ArrayLike
from typing_extensions import override

from clrobot.envs.arrays import Array, horizontal_distance
from clrobot.envs.experts.expert import Expert, above
from clrobot.envs.simulation.actions import CLOSED, MAX_STEP, OPEN
from clrobot.envs.simulation.features import Features

CLOSING: Final = 8  # control steps in which the fingers are commanded to close
SQUEEZING: Final = 10  # control steps until they hold
HOLDING: Final = 2 + SQUEEZING  # the phase from which the object is held
OVER: Final = 0.09  # m above the object, from where the open fingers come down
LEAD: Final = 2.0  # how far the hand's target leads the hand, of the object's displacement to where it should be
FAST, SLOW = 0.03, 0.015  # m, the farthest that it leads
DESCENT: Final = 0.012  # m, a stride that stops at the object without swinging through
UP = np.array([0.0, 0.0, 1.0])


class GraspExpert(Expert):
    """Over the object (phase 0), down (1), close (2 to HOLDING - 1); then what the task wants of it."""

    @override
    def act(self, f: Features) -> Array:
        carried = self.carry(f)
        self.phase[(self.phase >= 2) & (self.phase < HOLDING)] += 1
        self.advance(1, np.abs(self.sim.hand[:, 2] - f.object[:, 2]) < 0.006)
        self.advance(0, horizontal_distance(self.sim.hand, f.object) < 0.005)
        approach = self.by_phase(above(f.object, OVER), f.object)
        stride = self.by_phase(MAX_STEP, DESCENT)
        # Fingers commanded to close at once would hit the object at speed.
        closing = OPEN + (CLOSED - OPEN) * np.clip((self.phase - 1) / CLOSING, 0.0, 1.0)
        grasping = self.towards(approach, closing, stride)
        return np.where((self.phase >= HOLDING)[:, None], carried, grasping)

    @abstractmethod
    def carry(self, f: Features) -> Array:
        """Move on those in the phase HOLDING or later, and return their actions; the other rows are not used."""

    def bring(self, displacement: ArrayLike, fingers: ArrayLike, lead: ArrayLike = FAST) -> Array:
        """Return the actions that move a grasped object by the `displacement` (N, 3), m, to where it should be.

        The hand's speed is ten times its target's lead, for a stiffness of 1200 N/m and a damping of 120 N s/m.
        """
        ahead = np.clip(LEAD * np.asarray(displacement), -np.asarray(lead), lead)
        return self.towards(self.sim.hand + ahead, fingers)


class PlaceExpert(GraspExpert):
    """Then up (HOLDING), over the goal (+ 1), down (+ 2), let go (+ 3) and away (+ 4)."""

    travel: ClassVar[float] = 0.04  # m above the goal at which the object travels
    width: ClassVar[float]  # m, half the object's

    @override
    def carry(self, f: Features) -> Array:
        over = above(f.goal, self.travel)
        self.advance(HOLDING + 3, self.sim.opening > self.width * self.sim.object_size + 0.01)
        self.advance(HOLDING + 2, f.object[:, 2] < f.goal[:, 2] + 0.004)
        self.advance(HOLDING + 1, (np.linalg.norm(over - f.object, axis=1) < 0.006) & (self.sim.hand_speed < 0.1))
        self.advance(HOLDING, f.object[:, 2] > over[:, 2] - 0.01)
        to_over = over - f.object
        displacement = self.by_phase(to_over * UP, to_over, f.displacement, 0.0 * f.goal, UP, first=HOLDING)
        fingers = np.where(self.phase < HOLDING + 3, CLOSED, OPEN)
        return self.bring(displacement, fingers, self.by_phase(FAST, FAST, SLOW, first=HOLDING))
