"""Peg-unplug, by hand."""

from __future__ import annotations

from typing import ClassVar

from clrobot.envs.arrays import Array
from clrobot.envs.experts.grasping import GraspExpert
from clrobot.envs.simulation.actions import CLOSED
from clrobot.envs.simulation.features import Features
from clrobot.envs.tasks.peg_unplug import PegUnplug


class PegUnplugExpert(GraspExpert):
    """Straight out of the socket."""

    task: ClassVar = PegUnplug

    def carry(self, f: Features) -> Array:  # noqa: D102
        return self.move([-0.01, 0.0, 0.0], CLOSED)
