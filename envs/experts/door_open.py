"""Door-open, by hand."""

from __future__ import annotations

from typing import ClassVar

from clrobot.envs.arrays import Array, horizontal_distance
from clrobot.envs.experts.expert import Expert, above
from clrobot.envs.scene.mechanisms import door_handle
from clrobot.envs.simulation.actions import CLOSED, MAX_STEP
from clrobot.envs.simulation.features import Features
from clrobot.envs.tasks.door_open import GOAL_ANGLE, DoorOpen

BEHIND = (0.026, 0.0, 0.004)  # m, from the handle to where the fingers hook behind it
LEAD = 0.5  # rad, how far ahead of the door the hand pulls
GENTLE = 0.012  # m, a stride that does not sink into the handle


class DoorOpenExpert(Expert):
    """Closed fingers down between handle and door, then round with it. Phases: 0 over, 1 down, 2 pulling, 3 there."""

    task: ClassVar = DoorOpen

    def act(self, f: Features) -> Array:  # noqa: D102
        assert f.joint is not None
        hand, hook = self.sim.hand, f.object + BEHIND
        angle = f.joint * GOAL_ANGLE
        ahead = f.object + door_handle(angle + LEAD) - door_handle(angle)
        self.advance(2, f.joint > 1.0)
        self.advance(1, hand[:, 2] - hook[:, 2] < 0.006)
        self.advance(0, horizontal_distance(hand, hook) < 0.008)
        point = self.by_phase(above(hook, 0.06), hook, ahead, self.sim.delayed_target)
        return self.towards(point, CLOSED, self.by_phase(MAX_STEP, 2 * GENTLE, GENTLE))
