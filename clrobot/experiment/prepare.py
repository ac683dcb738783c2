"""What becomes of settings before they are trained: worlds are tried and measured, and the stages get their order."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from clrobot.envs.worlds.kinds import kind_of
from clrobot.errors import UserError
from clrobot.experiment.config import CheckpointSettings, RunConfig
from clrobot.experiment.curriculum import Curriculum, Measured, Stage
from clrobot.experiment.layout import layout

MOST_NUMBERS: Final = 8_000  # in the observations of all stages


def prepare(config: RunConfig) -> RunConfig:
    """Return settings as they are trained and written: nothing in them is still to be found out.

    Worlds of others' are tried (see `clrobot.envs.worlds.examine`); what was measured before stays as it is. Settings
    that have been prepared come back as they are.

    Raises:
        UserError: a world cannot be used, or they do not fit together.
    """
    config = settle(config)
    curriculum = config.curriculum
    if all(stage.native for stage in curriculum.stages):
        return config
    found: dict[tuple[Any, ...], Measured] = {}
    stages = tuple(_measured(stage, found) for stage in curriculum.stages)
    _check_numbers(stages)
    curriculum = curriculum if stages == curriculum.stages else curriculum.with_stages(stages)
    layout(curriculum)  # refused before anything is made
    return config.model_copy(update={"curriculum": curriculum})


def _check_numbers(stages: tuple[Stage, ...]) -> None:
    """Raise UserError where a run's `config.yaml`, which holds every scale, would be larger than what is read."""
    numbers = sum(len(stage.measured.offset) for stage in stages if stage.measured is not None)
    if numbers > MOST_NUMBERS:
        raise UserError(
            f"the observations of these {len(stages)} stages are {numbers:,} numbers in all, and {MOST_NUMBERS:,} is "
            "the most that a run's settings hold the scales of; give fewer stages"
        )


def settle(config: RunConfig) -> RunConfig:
    """Return settings with what follows from them alone: the stages' order, and when snapshots are taken.

    Raises:
        UserError: their order was drawn by another seed, as in another run's `config.yaml`: it would pass for this
            seed's.
    """
    if config.curriculum.drawn_by not in (None, config.seed):
        raise UserError(
            f"the order of these stages was drawn by seed {config.curriculum.drawn_by}, and this run has seed "
            f"{config.seed}; give that seed, or the curriculum with `order: seed` in place of `order: drawn`"
        )
    changes: dict[str, object] = {}
    if config.curriculum.order == "seed":
        changes["curriculum"] = _in_drawn_order(config.curriculum, config.seed)
    if not config.curriculum.saves_state and config.checkpoint.steps is None:
        kinds = [kind_of(stage.task) for stage in config.curriculum.stages]
        steps = max(kind.snapshot_steps for kind in kinds if not kind.saves_state)
        changes["checkpoint"] = CheckpointSettings(**dict(config.checkpoint) | {"steps": steps})
    return config.model_copy(update=changes) if changes else config


def as_planned(config: RunConfig) -> RunConfig:
    """Return settings as they were before the seed drew an order."""
    return config.model_copy(update={"curriculum": config.curriculum.planned})


def without_measurements(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings in JSON's types as they were before their worlds were measured."""
    curriculum = settings["curriculum"]
    stages = [{name: value for name, value in s.items() if name != "measured"} for s in curriculum["stages"]]
    return settings | {"curriculum": curriculum | {"stages": stages}}


def _in_drawn_order(curriculum: Curriculum, seed: int) -> Curriculum:
    """Return the stages in an order that the seed alone determines."""
    order = np.random.default_rng([seed, len(curriculum.stages)]).permutation(len(curriculum.stages))
    return curriculum.with_stages(tuple(curriculum.stages[i] for i in order), order="drawn", drawn_by=seed)


def _measured(stage: Stage, found: dict[tuple[Any, ...], Measured]) -> Stage:
    """Return a stage with what its world needs; `found` keeps it for other stages of the same world."""
    if stage.native or stage.measured is not None:
        return stage
    if stage.world not in found:
        found[stage.world] = Measured(**vars(kind_of(stage.task).examine(stage.spec)))
    return Stage(**dict(stage) | {"measured": found[stage.world]})
