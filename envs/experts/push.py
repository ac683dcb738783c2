"""Push, by hand."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from clrobot.envs.expert import CLOSED, Expert, above, across
from clrobot.envs.rewards import Array
from clrobot.envs.task import Features
from clrobot.envs.tasks.push import BEHIND, Push

STANDOFF = 0.02  # m, behind where the hand touches the puck
ARRIVED = 0.015  # m, from the goal
STRIDE = 0.012  # m in a control step, at most, while it pushes


class PushExpert(Expert):
    """Over the far side of the puck (phase 0), down (1), and along the line to the goal (2); there it stays (3)."""

    task: ClassVar = Push

    def act(self, f: Features) -> Array:  # noqa: D102
        hand, puck = self.sim.hand, f.thing
        way = (f.goal - puck) * [1.0, 1.0, 0.0]
        length = np.linalg.norm(way, axis=1, keepdims=True)
        line = way / np.maximum(length, 1e-6)
        behind = puck - (BEHIND + STANDOFF) * line
        self.advance(2, length[:, 0] < ARRIVED)
        self.advance(1, hand[:, 2] < puck[:, 2] + 0.01)
        self.advance(0, across(hand, behind) < 0.01)
        off = puck - hand
        aside = (off - np.sum(off * line, axis=1, keepdims=True) * line) * [1.0, 1.0, 0.0]
        push = 0.5 * aside + np.minimum(STRIDE, 0.3 * length) * line
        gap = behind - self.sim.target
        return self.move(self.by_phase(above(gap, 0.06), gap, push, [0.0, 0.0, 0.0]), CLOSED)
