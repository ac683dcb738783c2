"""Hammer, by hand."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from clrobot.envs.arrays import Array
from clrobot.envs.experts.expert import above
from clrobot.envs.experts.grasping import FAST, HOLDING, SLOW, UP, GraspExpert
from clrobot.envs.simulation.actions import CLOSED
from clrobot.envs.simulation.features import Features
from clrobot.envs.tasks.hammer import TRAVEL, Hammer

SWING = 0.03  # m above the nail, whence the head comes down


class HammerExpert(GraspExpert):
    """Up (phase HOLDING), the head over the nail (+ 1), and down (+ 2)."""

    task: ClassVar = Hammer

    def carry(self, f: Features) -> Array:  # noqa: D102
        over = above(f.goal, TRAVEL + SWING)
        displacement = over - f.object
        self.advance(HOLDING + 1, np.linalg.norm(displacement, axis=1) < 0.012)
        self.advance(HOLDING, displacement[:, 2] < 0.02)
        lead = self.by_phase(FAST, FAST, SLOW, first=HOLDING)
        return self.bring(self.by_phase(displacement * UP, displacement, f.displacement, first=HOLDING), CLOSED, lead)
