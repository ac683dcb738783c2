"""Which worlds of a curriculum can be drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clrobot.experiment.curriculum import Curriculum
from clrobot.experiment.stage_env import why_not_drawn


class Drawable:
    """Whether a slot's world can be drawn here; of each world that cannot it is told once.

    Args:
        curriculum: whose slots.
        warn: is told.
    """

    def __init__(self, curriculum: Curriculum, warn: Callable[[str], None]) -> None:
        self._curriculum = curriculum
        self._warn = warn
        self._known: dict[tuple[Any, ...], bool] = {}

    def __call__(self, slot: int) -> bool:
        """Return it for slot index `slot` (from 0)."""
        stage = self._curriculum.stages[slot]
        if stage.world not in self._known:
            reason = why_not_drawn(stage)
            self._known[stage.world] = reason is None
            if reason is not None:
                self._warn(f"{stage.name} is not filmed: {reason}")
        return self._known[stage.world]
