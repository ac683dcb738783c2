"""Lever-pull, by hand."""

from __future__ import annotations

from typing import ClassVar

from clrobot.envs.arrays import Array, horizontal_distance
from clrobot.envs.experts.expert import Expert, above
from clrobot.envs.simulation.actions import CLOSED, MAX_STEP
from clrobot.envs.simulation.features import Features
from clrobot.envs.tasks.lever_pull import LeverPull

BEHIND = (0.040, 0.0, -0.005)  # m, from the ball to where the fingers go down behind it
PULL = (-0.03, 0.0, -0.01)  # m, from the ball to where the hand pulls towards
GENTLE = 0.01  # m, a stride that does not sink into the ball


class LeverPullExpert(Expert):
    """Closed fingers down behind the ball, then back. Phases: 0 over, 1 down, 2 pulling, 3 there."""

    task: ClassVar = LeverPull

    def act(self, f: Features) -> Array:  # noqa: D102
        assert f.joint is not None
        hand, behind = self.sim.hand, f.object + BEHIND
        self.advance(2, f.joint > 1.0)
        self.advance(1, hand[:, 2] - behind[:, 2] < 0.006)
        self.advance(0, horizontal_distance(hand, behind) < 0.01)
        point = self.by_phase(above(behind, 0.07), behind, f.object + PULL, self.sim.delayed_target)
        return self.towards(point, CLOSED, self.by_phase(MAX_STEP, 2 * GENTLE, GENTLE))
