"""Pick-place, by hand."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from clrobot.envs.arrays import Array, horizontal_distance
from clrobot.envs.experts.expert import Expert, above
from clrobot.envs.simulation.actions import CLOSED, MAX_STEP, OPEN
from clrobot.envs.simulation.features import Features
from clrobot.envs.tasks.pick_place import PickPlace

SQUEEZING = 5  # control steps until the fingers hold
DESCENT = 0.015  # m, a stride that stops at the cube without swinging through


class PickPlaceExpert(Expert):
    """Over the cube, down, close, then to the goal at full speed. Phases: 0 approaching, then steps since closing."""

    task: ClassVar = PickPlace

    def act(self, f: Features) -> Array:  # noqa: D102
        over = horizontal_distance(self.sim.hand, f.object) < 0.01
        around = over & (np.abs(self.sim.hand[:, 2] - f.object[:, 2]) < 0.012)
        self.phase[(self.phase > 0) | around] += 1
        closing, holding = self.phase[:, None] > 0, self.phase[:, None] > SQUEEZING
        approach = np.where(over[:, None], f.object, above(f.object, 0.10))
        point = np.where(holding, f.goal, np.where(closing, f.object, approach))
        stride = np.where(over[:, None] & ~holding, DESCENT, MAX_STEP)
        return self.towards(point, np.where(closing[:, 0], CLOSED, OPEN), stride)
