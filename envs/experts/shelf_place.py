"""Shelf-place, by hand."""

from __future__ import annotations

from typing import ClassVar

from clrobot.envs.experts.grasping import PlaceExpert
from clrobot.envs.tasks.shelf_place import CUBE_HALF, ShelfPlace


class ShelfPlaceExpert(PlaceExpert):
    """Onto the shelf from above."""

    task: ClassVar = ShelfPlace
    travel: ClassVar = 0.04  # m, above the goal
    width: ClassVar = CUBE_HALF
