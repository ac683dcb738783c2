"""Push, by hand."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from clrobot.envs.arrays import Array, horizontal_distance
from clrobot.envs.experts.expert import Expert, above
from clrobot.envs.simulation.actions import OPEN
from clrobot.envs.simulation.features import Features
from clrobot.envs.tasks.push import CRADLE, Push

STANDOFF = [0.03, 0.0, 0.0]  # m, from where the fingers touch the puck
STEER = [0.0, 3.0, 2.0]  # of the hand's displacement to where the puck lies between both fingers
LEAD = 2.0  # of the displacement to the goal
ASIDE = 0.01  # m: farther from the line to the goal, the hand goes sideways more than ahead
LOW = [0.0, 0.0, 0.005]  # m, below the middle of its height, so that it does not tip
SLOW, FAST, MOST = 0.015, 0.025, 0.035  # m, how far the hand's target leads it while it pushes


class PushExpert(Expert):
    """Open fingers over the near side of the puck (phase 0), down (1), and with the puck between them to the goal."""

    task: ClassVar = Push

    def act(self, f: Features) -> Array:  # noqa: D102
        hand, cradle = self.sim.hand, f.object - CRADLE - LOW
        start = cradle - STANDOFF
        self.advance(1, hand[:, 2] < f.object[:, 2] + 0.01)
        self.advance(0, horizontal_distance(hand, start) < 0.01)
        # Sideways first: the puck lies between the fingers only while it is pushed ahead, too.
        ahead = np.clip(LEAD * f.displacement, -FAST, FAST)
        most_ahead = np.where(np.abs(f.displacement[:, 1]) > ASIDE, SLOW, FAST)
        ahead[:, 0] = np.clip(LEAD * f.displacement[:, 0], -FAST, most_ahead)
        ahead[:, 2] = 0.0
        push = hand + np.clip(ahead + STEER * (cradle - hand), -MOST, MOST)
        return self.towards(self.by_phase(above(start, 0.06), start, push), OPEN)
