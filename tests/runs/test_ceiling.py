"""What a perfect choice of earlier skills could reach."""

from __future__ import annotations

import pytest

from clrobot.experiment.curriculum import Curriculum
from clrobot.runs.ceiling import ceiling_remarks, transfer_ceiling

TRANSFER = {
    ("reach", "push"): -0.5,
    ("reach", "hammer"): 0.25,
    ("push", "hammer"): 0.75,
    ("push", "reach"): 0.5,
}


def curriculum(*tasks: str, **changes: object) -> Curriculum:
    return Curriculum.model_validate(
        {"name": "mine", "stages": [{"task": task, "steps": 1000} | changes for task in tasks]}
    )


def test_the_best_earlier_task_or_none_counts_for_each_from_the_second_on():
    assert transfer_ceiling(curriculum("reach", "push", "hammer"), TRANSFER) == (0 + 0.75) / 2
    assert transfer_ceiling(curriculum("push", "reach"), TRANSFER) == 0.5


@pytest.mark.parametrize(
    "tasks",
    [["reach"], ["reach", "reach"], ["reach", "push", "reach"], ["hammer", "reach"], ["push", "drawer-open"]],
    ids=["one", "the same", "once more", "a pair that is missing", "an unknown one"],
)
def test_where_the_matrix_says_nothing_there_is_none(tasks: list[str]):
    assert transfer_ceiling(curriculum(*tasks), TRANSFER) is None


def test_another_world_is_another_task():
    assert transfer_ceiling(curriculum("push", "reach", overrides={"action.delay": 1}), TRANSFER) is None


def test_it_is_said_beside_a_forward_transfer_of_tasks_that_the_published_matrix_has():
    (said,) = ceiling_remarks(curriculum("drawer-open", "lever-pull"), 0.1)
    assert "+0." in said
    assert ceiling_remarks(curriculum("drawer-open", "lever-pull"), None) == []
    assert ceiling_remarks(curriculum("reach"), 0.1) == []
