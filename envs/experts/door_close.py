"""Door-close, by hand."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from clrobot.envs.arrays import Array, horizontal_distance
from clrobot.envs.experts.expert import Expert, above
from clrobot.envs.scene.mechanisms import door_handle
from clrobot.envs.simulation.actions import CLOSED, MAX_STEP
from clrobot.envs.simulation.features import Features
from clrobot.envs.tasks.door_close import FULL_ANGLE, DoorClose

STANDOFF = 0.035  # m, from the handle to where the fingers go down before it
LEAD = 0.15  # rad, how far ahead of the door the hand pushes
GENTLE = 0.008  # m, a stride that does not sink into the handle


class DoorCloseExpert(Expert):
    """Closed fingers down before the handle, then round with it. Phases: 0 over, 1 down, 2 pushing, 3 there."""

    task: ClassVar = DoorClose

    def act(self, f: Features) -> Array:  # noqa: D102
        assert f.joint is not None
        hand, angle = self.sim.hand, f.joint * FULL_ANGLE
        # The door's outward normal: from the door to its handle, and on to the hand.
        normal = np.column_stack([-np.cos(angle), np.sin(angle), np.zeros(self.sim.n)])
        before = f.object + STANDOFF * normal
        ahead = f.object + door_handle(angle - LEAD) - door_handle(angle)
        self.advance(2, f.joint < 0.02)
        self.advance(1, hand[:, 2] - before[:, 2] < 0.01)
        self.advance(0, horizontal_distance(hand, before) < 0.012)
        point = self.by_phase(above(before, 0.08), before, ahead, self.sim.delayed_target)
        return self.towards(point, CLOSED, self.by_phase(MAX_STEP, 0.012, GENTLE))
