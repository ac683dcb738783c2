"""A sweep: the study that a few flags describe, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from clrobot.errors import UserError, explain
from clrobot.experiment.config import RunConfig
from clrobot.studies.plan import Plan, plan_study
from clrobot.studies.study import Study, Wrong

NAME = "sweep"  # of every such study: what lies in its folder may grow from one sweep to the next


def sweep_study(
    base: RunConfig,
    out: Path,
    methods: Sequence[str],
    seeds: Sequence[int],
    vary: str | None = None,
    values: Sequence[float] = (),
) -> tuple[Study, list[Plan]]:
    """Return the study, and its runs.

    Args:
        base: every other setting.
        out: the study's folder.
        methods: as in `method`.
        seeds: as in `seed`.
        vary: one more setting by its full name (`ewc.strength`, `network.widths`), or None.
        values: its values; for `network.widths` the units of every hidden layer.

    Raises:
        UserError: a method, a setting or a value is not valid, or two runs are the same.
    """
    try:
        study = Study.model_validate(
            {
                "name": NAME,
                "curricula": [base.curriculum],
                "methods": list(methods),
                "algorithms": [base.algo],
                "seeds": list(seeds),
                "settings": {} if vary is None else {vary: list(values)},
            }
        )
        return study, plan_study(study, out, base)
    except ValidationError as error:
        raise UserError(explain(error)) from error
    except Wrong as wrong:
        raise UserError(f"--vary {wrong.sentence}" if wrong.where[:1] == ("settings",) else wrong.sentence) from wrong
