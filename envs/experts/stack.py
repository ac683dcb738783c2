"""Stack, by hand."""

from __future__ import annotations

from typing import ClassVar

from clrobot.envs.experts.grasping import PlaceExpert
from clrobot.envs.tasks.stack import CUBE_HALF, Stack


class StackExpert(PlaceExpert):
    """Onto the blue cube from above."""

    task: ClassVar = Stack
    travel: ClassVar = 0.04  # m, above the goal
    width: ClassVar = CUBE_HALF
