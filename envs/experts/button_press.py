"""Button-press, by hand."""

from __future__ import annotations

from typing import ClassVar

from clrobot.envs.arrays import Array, horizontal_distance
from clrobot.envs.experts.expert import Expert, above
from clrobot.envs.simulation.actions import CLOSED, MAX_STEP
from clrobot.envs.simulation.features import Features
from clrobot.envs.tasks.button_press import ButtonPress

PRESS = 0.01  # m, the stride that does not sink into the cap


class ButtonPressExpert(Expert):
    """Over the cap, then down. Phases: 0 over it, 1 pressing."""

    task: ClassVar = ButtonPress

    def act(self, f: Features) -> Array:  # noqa: D102
        self.advance(0, horizontal_distance(self.sim.hand, f.object) < 0.012)
        point = self.by_phase(above(f.object, 0.05), above(f.goal, -0.03))
        return self.towards(point, CLOSED, self.by_phase(MAX_STEP, PRESS))
