"""Dial-turn, by hand."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from clrobot.envs.arrays import Array, horizontal_distance
from clrobot.envs.experts.expert import Expert, above
from clrobot.envs.simulation.actions import MAX_STEP, OPEN
from clrobot.envs.simulation.features import Features
from clrobot.envs.tasks.dial_turn import GOAL_ANGLE, DialTurn, knob_at

LEAD = 0.5  # rad, how far ahead of the dial the hand is
GENTLE = 0.012  # m, the stride of a hand that holds the knob
GRIP = 0.5  # what the fingers are commanded: 20 mm, round a knob of 26
GRASPING = 10  # control steps in which the fingers close, gently


class DialTurnExpert(Expert):
    """Grasp the knob from above and go round with it. Phases: 0 over, 1 down, then steps since closing."""

    task: ClassVar = DialTurn

    def act(self, f: Features) -> Array:  # noqa: D102
        assert f.joint is not None
        hand, angle = self.sim.hand, f.joint * GOAL_ANGLE
        self.phase[self.phase >= 2] += 1
        self.advance(1, hand[:, 2] - f.object[:, 2] < 0.006)
        self.advance(0, horizontal_distance(hand, f.object) < 0.008)
        round_ = knob_at(np.minimum(angle + LEAD, 1.15 * GOAL_ANGLE)) - knob_at(angle)
        holding = self.phase[:, None] > 2 + GRASPING
        point = np.where(holding, f.object + round_, self.by_phase(above(f.object, 0.06), f.object))
        fingers = np.clip(OPEN + (GRIP - OPEN) * (self.phase - 1) / GRASPING, OPEN, GRIP)
        stride = np.where(holding, GENTLE, self.by_phase(MAX_STEP, 0.02))
        return self.towards(point, fingers, stride)
