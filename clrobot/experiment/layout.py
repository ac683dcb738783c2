"""How large the observations and actions of a curriculum are, where its worlds differ."""

from __future__ import annotations

import json
from typing import NamedTuple

from clrobot.envs.simulation.actions import ACTION_SIZE
from clrobot.envs.simulation.observation import OBS_SIZE
from clrobot.errors import UserError
from clrobot.experiment.curriculum import Curriculum, Stage

_NATIVE = "native"


class Layout(NamedTuple):
    """What one network sees and does in every stage.

    Attributes:
        observations: numbers in the longest observation of a stage.
        actions: numbers in the longest action.
        masks: one for each layout of observations, in the order of the stages; none where all have one layout.
    """

    observations: int
    actions: int
    masks: tuple[str, ...]

    @property
    def size(self) -> int:
        """Numbers in an observation, the mask's included and the slot's index not."""
        return self.observations + len(self.masks)

    def mask_of(self, stage: Stage) -> int:
        """Return which mask is a stage's, from 0."""
        return self.masks.index(_layout_of(stage))


def layout(curriculum: Curriculum) -> Layout:
    """Return the layout of a curriculum whose worlds have been measured.

    Raises:
        UserError: one has not been, or the worlds differ and the curriculum does not say `pad: true`.
    """
    sizes = [_sizes(stage) for stage in curriculum.stages]
    layouts = tuple(dict.fromkeys(map(_layout_of, curriculum.stages)))
    observations, actions = (max(column) for column in zip(*sizes, strict=True))
    if len(layouts) == 1:
        return Layout(observations, actions, ())
    if curriculum.pad:
        return Layout(observations, actions, layouts)
    of_both = len({stage.native for stage in curriculum.stages}) > 1
    if len(set(sizes)) == 1 and not of_both:
        return Layout(observations, actions, ())
    first = curriculum.stages[0]
    other, size = next(
        (stage, size)
        for stage, size in zip(curriculum.stages, sizes, strict=True)
        if size != sizes[0] or stage.native != first.native
    )
    raise UserError(
        f"{first.name} has {sizes[0][0]} observations and {sizes[0][1]} actions, and {other.name} has {size[0]} and "
        f"{size[1]}, of another meaning; say pad: true in the curriculum, so that both fit one network"
    )


def _layout_of(stage: Stage) -> str:
    """Return what two stages have in common whose observations mean the same."""
    return _NATIVE if stage.native else f"{stage.task} {json.dumps(stage.kwargs, sort_keys=True)}"


def _sizes(stage: Stage) -> tuple[int, int]:
    """Return how many numbers a stage's observations and actions have."""
    if stage.native:
        return OBS_SIZE, ACTION_SIZE
    if stage.measured is None:
        raise UserError(f"{stage.task} has not been tried yet, as clrobot.experiment.prepare and every training do")
    return len(stage.measured.offset), stage.measured.actions
