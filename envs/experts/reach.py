"""Reach, by hand."""

from __future__ import annotations

from typing import ClassVar

from clrobot.envs.expert import OPEN, Expert
from clrobot.envs.rewards import Array
from clrobot.envs.task import Features
from clrobot.envs.tasks.reach import Reach


class ReachExpert(Expert):
    """Straight to the goal."""

    task: ClassVar = Reach

    def act(self, f: Features) -> Array:  # noqa: D102
        return self.towards(f.goal, OPEN)
