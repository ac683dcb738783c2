"""Scores of which nothing tells success: a stage is over all the same, and what needs success is undefined."""

from __future__ import annotations

import math

import numpy as np

from clrobot.results.run_metrics import Costs, run_metrics
from clrobot.results.scores import Score, finished_stages, stage_ends, success_matrix
from clrobot.results.stage_record import Parameters, Seconds, StageRecord, Steps
from clrobot.results.units import Units

SIZE, TIME = Parameters(trainable=1, total=1), Seconds(train=1.0, evaluate=0.0, method=0.0, record=0.0, save=0.0)
ONE = StageRecord(stage=1, parameters=SIZE, memory_bytes=0, units=Units(actor=(), critic=()), seconds=TIME)


def score(stage: int, step: int, slot: int, success: float | None) -> Score:
    return Score(
        stage=stage,
        step=step,
        slot=slot,
        episodes=2,
        success_any=success,
        success_final=success,
        return_mean=-3.0,
        length_mean=9.0,
    )


# Slot 0 tells nothing; slot 1 does. The second stage has a curve point, and is then over.
SCORES = [
    *(score(0, 0, 0, None), score(0, 0, 1, 0.0)),
    *(score(1, 10, 0, None), score(1, 10, 1, 0.25)),
    score(2, 15, 1, 0.5),
    *(score(2, 20, 0, None), score(2, 20, 1, 1.0)),
]


def test_a_line_says_null_and_is_read_back() -> None:
    line = SCORES[0].to_line()
    assert '"success_any": null' in line
    assert Score.model_validate_json(line) == SCORES[0]


def test_the_column_is_undefined_and_the_stages_are_over() -> None:
    R = success_matrix(SCORES, 2)
    np.testing.assert_array_equal(R, [[math.nan, 0.0], [math.nan, 0.25], [math.nan, 1.0]])
    steps = success_matrix(SCORES, 2, "steps")
    np.testing.assert_array_equal(steps, [[math.nan, 9.0]] * 3, "nobody knows when it is done")
    assert stage_ends(SCORES, 2) == [10, 20]
    assert finished_stages(SCORES, 2, [10, 20]) == 2
    assert [finished_stages(SCORES[:n], 2, [10, 20]) for n in (2, 3, 4, 5, 6)] == [0, 0, 1, 1, 1]


def test_the_metrics_of_the_other_task_are_there() -> None:
    costs = Costs(SIZE, 0, TIME, Steps(learning=1, method=0), 0, 0, (ONE,))
    found = run_metrics(SCORES[:5], ["silent", "told"], [10], costs)
    assert found.stages_done == 1
    assert found.average_success is None
    assert found.success_matrix[1] == (None, 0.25)
