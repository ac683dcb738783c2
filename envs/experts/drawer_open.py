"""Drawer-open, by hand."""

from __future__ import annotations

from typing import ClassVar

from clrobot.envs.arrays import Array, horizontal_distance
from clrobot.envs.experts.expert import Expert, above
from clrobot.envs.simulation.actions import CLOSED, MAX_STEP
from clrobot.envs.simulation.features import Features
from clrobot.envs.tasks.drawer_open import DrawerOpen

BEHIND = (0.030, 0.0, 0.010)  # m, from the handle to where the fingers hook behind it
PULL = (-0.06, 0.0, 0.0)  # m, from the hook to where the hand pulls towards
GENTLE = 0.01  # m, a stride that does not sink into the handle


class DrawerOpenExpert(Expert):
    """Closed fingers down between the handle and the front, then back. Phases: 0 over, 1 down, 2 pulling, 3 there."""

    task: ClassVar = DrawerOpen

    def act(self, f: Features) -> Array:  # noqa: D102
        assert f.joint is not None
        hand, hook = self.sim.hand, f.object + BEHIND
        self.advance(2, f.joint > 1.0)
        self.advance(1, hand[:, 2] - hook[:, 2] < 0.004)
        self.advance(0, horizontal_distance(hand, hook) < 0.006)
        point = self.by_phase(above(hook, 0.06), hook, hook + PULL, self.sim.delayed_target)
        return self.towards(point, CLOSED, self.by_phase(MAX_STEP, 2 * GENTLE, GENTLE))
