"""Whether the rows of a published run make sense together: a merge of two files can leave both halves of a change."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from clrobot.errors import UserError, cut
from clrobot.published.provenance import PACKAGES
from clrobot.results.catalogue import RUN_METRICS_BY_NAME, TASK_METRICS_BY_NAME

_ROUNDING: Final = 1e-5  # a value has six digits


def check_run(rows: Sequence[Any], expected: int | None = None) -> None:
    """Refuse a run of which a number stands twice, a stage is missing, rows disagree, or a number cannot be.

    Args:
        rows: all of one run, as `clrobot.published.results.Result`.
        expected: how many stages its curriculum has; None: nobody knows today.

    Raises:
        UserError: they make no sense together.
    """
    first, seen = rows[0], set[tuple[int | None, str]]()
    made = [(row.command, row.commit, *(getattr(row, column) for column in PACKAGES)) for row in rows]
    if len({*made}) > 1:
        raise UserError(_refusal(first, "is of two trainings, which rows of one run cannot be"))
    for row in rows:
        place = row.stage, row.metric
        if place in seen:
            raise UserError(_refusal(first, f"has {cut(row.metric, 40)} twice"))
        seen.add(place)
        metric = (RUN_METRICS_BY_NAME if row.stage is None else TASK_METRICS_BY_NAME).get(row.metric)
        least, most = (-math.inf, math.inf) if metric is None else metric.bounds
        if row.value is not None and not least - _ROUNDING <= row.value <= most + _ROUNDING:
            raise UserError(_refusal(first, f"has {row.metric} {row.value:g}, expected {least:g} to {most:g}"))
    stages = sorted({row.stage for row in rows if row.stage is not None})
    if stages != [*range(1, len(stages) + 1)]:
        raise UserError(_refusal(first, f"has stages {', '.join(map(str, stages))}, expected each from 1 on"))
    if expected is not None and len(stages) != expected:
        raise UserError(_refusal(first, f"has {len(stages)} stages, and its curriculum {expected}"))
    of_stages = [{row.metric for row in rows if row.stage == stage} for stage in stages]
    for stage, metrics in zip(stages, of_stages, strict=True):
        if lacking := sorted(set.union(*of_stages) - metrics):
            raise UserError(_refusal(first, f"has no {cut(lacking[0], 40)} of stage {stage}"))


def _refusal(row: Any, what: str) -> str:
    run = f"{cut(row.curriculum, 60)}, {cut(row.method, 60)}, seed {row.seed}"
    return f"the published run of {run} {what}; publish it again with --replace"
