"""Window-close, by hand."""

from __future__ import annotations

from typing import ClassVar

from clrobot.envs.arrays import Array, horizontal_distance
from clrobot.envs.experts.expert import Expert, above
from clrobot.envs.simulation.actions import CLOSED, MAX_STEP
from clrobot.envs.simulation.features import Features
from clrobot.envs.tasks.window_close import WindowClose

BESIDE = (-0.032, -0.005, 0.0)  # m, from the knob to where the fingers go down beside it
PUSH = (0.03, -0.005, 0.0)  # m, from the knob to where the hand pushes towards
GENTLE = 0.008  # m, a stride that does not sink into the knob


class WindowCloseExpert(Expert):
    """Closed fingers down on the robot's side of the knob, then away. Phases: 0 over, 1 down, 2 pushing, 3 there."""

    task: ClassVar = WindowClose

    def act(self, f: Features) -> Array:  # noqa: D102
        assert f.joint is not None
        hand, beside = self.sim.hand, f.object + BESIDE
        self.advance(2, f.joint < 0.02)
        self.advance(1, hand[:, 2] - beside[:, 2] < 0.006)
        self.advance(0, horizontal_distance(hand, beside) < 0.01)
        point = self.by_phase(above(beside, 0.06), beside, f.object + PUSH, self.sim.delayed_target)
        return self.towards(point, CLOSED, self.by_phase(MAX_STEP, 2 * GENTLE, GENTLE))
