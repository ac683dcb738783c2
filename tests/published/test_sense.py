"""Rows of a published run that make no sense together are refused, with the run's name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.published import published

from clrobot.errors import UserError
from clrobot.published.results import Result, read_results, runs_of
from clrobot.published.rows import rows_text

Rows = list[Result]


def twice(rows: Rows) -> Rows:
    return [*rows, rows[0].model_copy(update={"value": 0.25})]


def of_two_commits(rows: Rows) -> Rows:
    return [rows[0].model_copy(update={"commit": "f" * 12}), *rows[1:]]


def of_two_torches(rows: Rows) -> Rows:
    return [*rows[:-1], rows[-1].model_copy(update={"torch": "1.0.0"})]


def beyond(rows: Rows) -> Rows:
    return [row.model_copy(update={"value": 5.0}) if row.metric == "average_success" else row for row in rows]


def without_a_stage(rows: Rows) -> Rows:
    return [row for row in rows if row.stage != 2]


def without_the_last_stage(rows: Rows) -> Rows:
    return [row for row in rows if row.stage != 3]


def without_a_number(rows: Rows) -> Rows:
    return [row for row in rows if (row.stage, row.metric) != (2, "final")]


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (twice, "twice"),
        (of_two_commits, "is of two trainings"),
        (of_two_torches, "is of two trainings"),
        (beyond, "has average_success 5, expected 0 to 1"),
        (without_a_stage, "has stages 1, 3, expected each from 1 on"),
        (without_the_last_stage, "has 2 stages, and its curriculum 3"),
        (without_a_number, "has no final of stage 2"),
    ],
)
def test_rows_that_make_no_sense_together_are_refused(spoil: Callable[[Rows], Rows], why: str) -> None:
    rows = published(seed=12, method="ewc")
    assert len(runs_of(rows)) == 1
    with pytest.raises(UserError, match=why) as error:
        runs_of(spoil(rows))
    assert str(error.value).startswith("the published run of quick, ewc, seed 12 ")
    assert str(error.value).endswith("; publish it again with --replace")


def test_what_comes_with_clrobot_makes_sense(tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    file.write_text(rows_text(published(seed=12, method="ewc"), Result))
    assert len(read_results(file)) == 1
    assert len(read_results()) > 100
