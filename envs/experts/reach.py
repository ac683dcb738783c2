"""Reach, by hand."""

from __future__ import annotations

from typing import ClassVar

from clrobot.envs.arrays import Array
from clrobot.envs.experts.expert import Expert
from clrobot.envs.simulation.actions import OPEN
from clrobot.envs.simulation.features import Features
from clrobot.envs.tasks.reach import Reach


class ReachExpert(Expert):
    """Straight to the goal."""

    task: ClassVar = Reach

    def act(self, f: Features) -> Array:  # noqa: D102
        return self.towards(f.goal, OPEN)
