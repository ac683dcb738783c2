"""Drawer-close, by hand."""

from __future__ import annotations

from typing import ClassVar

from clrobot.envs.arrays import Array, horizontal_distance
from clrobot.envs.experts.expert import Expert, above
from clrobot.envs.simulation.actions import CLOSED, MAX_STEP
from clrobot.envs.simulation.features import Features
from clrobot.envs.tasks.drawer_close import DrawerClose

BEFORE = (-0.030, 0.0, 0.0)  # m, from the handle to where the fingers go down before it
PUSH = (0.03, 0.0, 0.0)  # m, how far ahead of the hand its target is
GENTLE = 0.008  # m, a stride that does not sink into the handle


class DrawerCloseExpert(Expert):
    """Closed fingers down before the handle, then forward. Phases: 0 over, 1 down, 2 pushing, 3 there."""

    task: ClassVar = DrawerClose

    def act(self, f: Features) -> Array:  # noqa: D102
        assert f.joint is not None
        hand, before = self.sim.hand, f.object + BEFORE
        self.advance(2, f.joint < 0.02)
        self.advance(1, hand[:, 2] - before[:, 2] < 0.006)
        self.advance(0, horizontal_distance(hand, before) < 0.01)
        point = self.by_phase(above(before, 0.08), before, f.object + PUSH, self.sim.delayed_target)
        return self.towards(point, CLOSED, self.by_phase(MAX_STEP, 2 * GENTLE, GENTLE))
