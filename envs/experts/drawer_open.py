"""Drawer-open, by hand."""

from __future__ import annotations

from typing import ClassVar

from clrobot.envs.expert import CLOSED, Expert, above, across
from clrobot.envs.rewards import Array
from clrobot.envs.task import Features
from clrobot.envs.tasks.drawer_open import DrawerOpen

BEHIND = (0.028, 0.0, 0.012)  # m, from the handle to where the fingers hook behind it
GAIN = 0.2  # of the gap, in one control step


class DrawerOpenExpert(Expert):
    """Closed fingers down between the handle and the front, then back. Phases: 0 over, 1 down, 2 pulling."""

    task: ClassVar = DrawerOpen

    def act(self, f: Features) -> Array:  # noqa: D102
        hook = f.thing + BEHIND
        gap = hook - self.sim.hand
        self.advance(1, gap[:, 2] > -0.003)
        self.advance(0, across(self.sim.hand, hook) < 0.003)
        return self.move(GAIN * self.by_phase(above(gap, 0.06), gap, [-0.10, 0.0, 0.0]), CLOSED)
