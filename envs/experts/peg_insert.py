"""Peg-insert, by hand."""

from __future__ import annotations

from typing import ClassVar

from clrobot.envs.experts.grasping import PlaceExpert
from clrobot.envs.tasks.peg_insert import PEG_HALF, PegInsert


class PegInsertExpert(PlaceExpert):
    """Into the hole from above."""

    task: ClassVar = PegInsert
    travel: ClassVar = 0.07  # m, above the goal
    width: ClassVar = PEG_HALF
