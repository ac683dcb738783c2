"""Metrics on matrices worked out by hand, and the algebra between them."""

import math
import subprocess
import sys

import numpy as np
import pytest
from support.made_up_runs import costs, score

from clrobot.results import metrics
from clrobot.results.catalogue import RUN_METRICS
from clrobot.results.run_metrics import Costs, RunMetrics, run_metrics
from clrobot.results.scores import Score, learning_curve, stage_auc, stage_ends, success_matrix
from clrobot.results.stage_record import Steps

NAN = math.nan
R = np.array(
    [
        [0.0, 0.1, 0.0],
        [0.8, 0.3, 0.1],
        [0.6, 1.0, 0.4],
        [0.2, 0.7, 0.9],
    ]
)
"""Three tasks; row 0 before any training."""


def random_matrix(seed: int, tasks: int) -> metrics.Array:
    return np.random.default_rng(seed).uniform(size=(tasks + 1, tasks))


# By hand ---------------------------------------------------------------------------------------------------


def test_average_success() -> None:
    assert metrics.average_success(R) == pytest.approx(0.6)  # (0.2 + 0.7 + 0.9) / 3


def test_forgetting() -> None:
    forgot = metrics.forgetting(R)
    assert forgot.per_task == pytest.approx([0.6, 0.3, 0.0])
    assert forgot.mean == pytest.approx(0.45)
    assert forgot.mean_all == pytest.approx(0.3)


def test_backward_transfer() -> None:
    assert metrics.backward_transfer(R) == pytest.approx(-0.45)


def test_zero_shot_transfer() -> None:
    assert metrics.zero_shot_transfer(R) == pytest.approx(0.3)  # ((0.3 - 0.1) + (0.4 - 0.0)) / 2


def test_isolated_forgetting() -> None:
    expected = [[NAN, NAN, NAN], [0.2, NAN, NAN], [0.4, 0.3, NAN]]
    np.testing.assert_allclose(metrics.isolated_forgetting(R), expected)


def test_retention() -> None:
    kept = metrics.retention(R)
    np.testing.assert_allclose(kept.per_task, [0.25, 0.7, 1.0])
    assert kept.mean == pytest.approx(0.475)
    assert kept.unlearned_share == 0


def test_retention_leaves_out_and_counts_what_was_not_learned() -> None:
    weak = R.copy()
    weak[1, 0], weak[3, 2] = 0.49, 0.1
    kept = metrics.retention(weak)
    np.testing.assert_allclose(kept.per_task, [NAN, 0.7, NAN])
    assert kept.mean == pytest.approx(0.7)
    assert kept.unlearned_share == pytest.approx(2 / 3)
    assert metrics.retention(weak, learned=0.4).mean == pytest.approx((0.2 / 0.49 + 0.7) / 2)


def test_half_is_learned() -> None:
    assert metrics.retention([[0.0, 0.0], [0.5, 0.0], [0.25, 0.0]]).mean == 0.5


def test_auc() -> None:
    # Trapezoids over [100, 300]: (0 + 1) / 2 * 100 + (1 + 0.5) / 2 * 100 = 125.
    assert metrics.auc([100, 200, 300], [0.0, 1.0, 0.5], 100, 300) == pytest.approx(0.625)


def test_auc_is_constant_beyond_its_points_and_cut_at_the_window() -> None:
    assert metrics.auc([100, 200], [0.0, 1.0], 0, 300) == pytest.approx((0 + 0.5 + 1) / 3)
    assert metrics.auc([0, 100, 200, 300], [0.0, 0.4, 0.8, 0.0], 100, 200) == pytest.approx(0.6)


def test_forward_transfer() -> None:
    np.testing.assert_allclose(
        metrics.forward_transfer([0.6, 0.2, 0.9, NAN], [0.2, 0.6, 1.0, 0.5]), [0.5, -1.0, NAN, NAN]
    )


# Algebra ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tasks", [2, 3, 10])
def test_algebra(tasks: int) -> None:
    R = random_matrix(tasks, tasks)
    learned = np.diagonal(R[1:])
    forgot = metrics.forgetting(R)
    assert metrics.average_success(R) == pytest.approx(learned.mean() - forgot.mean_all)
    assert metrics.backward_transfer(R) == pytest.approx(-forgot.mean)
    assert forgot.mean_all == pytest.approx(forgot.mean * (tasks - 1) / tasks)
    # The steps of a fall add up to the fall.
    np.testing.assert_allclose(np.nansum(metrics.isolated_forgetting(R), axis=0), forgot.per_task, atol=1e-12)


def test_nothing_changes_nothing_is_forgotten() -> None:
    R = np.full((5, 4), 0.8)
    assert metrics.forgetting(R).mean == metrics.backward_transfer(R) == metrics.zero_shot_transfer(R) == 0
    assert metrics.retention(R).mean == 1


def test_a_curve_equal_to_the_reference_transfers_nothing() -> None:
    areas = np.random.default_rng(0).uniform(size=5)
    np.testing.assert_array_equal(metrics.forward_transfer(areas, areas), np.zeros(5))


def test_auc_of_a_line_is_its_middle() -> None:
    steps = np.array([0.0, 7.0, 20.0, 50.0])
    assert metrics.auc(steps, steps / 50, 0, 50) == pytest.approx(0.5)


# Undefined is nan ------------------------------------------------------------------------------------------


def test_one_task_has_nothing_to_forget() -> None:
    one = np.array([[0.0], [0.9]])
    assert metrics.average_success(one) == 0.9
    assert metrics.forgetting(one).mean_all == 0
    undefined = [
        metrics.forgetting(one).mean,
        metrics.backward_transfer(one),
        metrics.zero_shot_transfer(one),
        metrics.retention(one).mean,
    ]
    assert np.isnan(undefined).all()


def test_a_missing_score_makes_the_mean_undefined() -> None:
    holed = R.copy()
    holed[3, 1] = NAN
    assert math.isnan(metrics.average_success(holed))
    assert math.isnan(metrics.forgetting(holed).mean)
    assert math.isnan(metrics.retention(holed).mean)
    holed[2, 1] = NAN
    assert math.isnan(metrics.retention(holed).unlearned_share)


def test_no_task_learned() -> None:
    kept = metrics.retention(np.zeros((4, 3)))
    assert math.isnan(kept.mean)
    assert kept.unlearned_share == 1


def test_auc_without_a_curve() -> None:
    assert math.isnan(metrics.auc([], [], 0, 10))
    assert math.isnan(metrics.auc([5], [1.0], 0, 10))
    assert math.isnan(metrics.auc([0, 10], [0.0, 1.0], 10, 10))
    assert math.isnan(metrics.auc([0, 10], [0.0, NAN], 0, 10))


@pytest.mark.parametrize("shape", [(3, 3), (4,), (3, 4)])
def test_a_wrong_shape_is_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\(N\+1, N\)"):
        metrics.average_success(np.zeros(shape))


def test_auc_refuses_steps_out_of_order() -> None:
    with pytest.raises(ValueError, match="increase"):
        metrics.auc([0, 2, 2], [0, 0, 0], 0, 2)


# The scores of a run ---------------------------------------------------------------------------------------


STAGE_ENDS = [100, 300]
TWO_TASKS = [
    score(0, 0, 0, 0.0),
    score(0, 0, 1, 0.2),
    score(1, 0, 0, 0.0),  # the learner's own, before it learns
    score(1, 50, 0, 0.6),
    score(1, 100, 0, 0.7),
    score(1, 100, 0, 0.8),  # the end of the stage: the last line counts
    score(1, 100, 1, 0.4, success_by_head=(0.4,)),
    score(2, 100, 1, 0.3),  # its own head, where the first one's had 0.4
    score(2, 200, 1, 0.8),
    score(2, 300, 0, 0.6),
    score(2, 300, 1, 1.0),
]
COSTS = costs(2)


def one_stage(lines: list[Score]) -> RunMetrics:
    """The metrics of the run when its first stage had ended and its second had begun."""
    return run_metrics(lines, ["reach", "push"], [100], costs(1))


def test_success_matrix() -> None:
    np.testing.assert_array_equal(success_matrix(TWO_TASKS, 2), [[0, 0.2], [0.8, 0.4], [0.6, 1]])
    np.testing.assert_array_equal(success_matrix(TWO_TASKS, 2, "final"), [[0, 0.1], [0.4, 0.2], [0.3, 0.5]])


@pytest.mark.parametrize(("lines", "rows"), [(0, 0), (1, 0), (2, 1), (6, 1), (7, 2), (10, 2), (11, 3)])
def test_rows_not_reached_are_nan(lines: int, rows: int) -> None:
    matrix = success_matrix(TWO_TASKS[:lines], 2)
    assert np.isfinite(matrix[:rows]).all()
    assert np.isnan(matrix[rows:]).all()


def test_scores_of_another_curriculum_are_refused() -> None:
    with pytest.raises(ValueError, match="curriculum of 1"):
        success_matrix(TWO_TASKS, 1)


def test_learning_curve() -> None:
    first, second = (learning_curve(TWO_TASKS, slot, STAGE_ENDS) for slot in (0, 1))
    assert (first.steps.tolist(), first.success.tolist()) == ([0, 50, 100], [0, 0.6, 0.8])
    assert (second.steps.tolist(), second.success.tolist()) == ([100, 200, 300], [0.3, 0.8, 1.0])


def test_while_a_trial_chooses_nothing_acts_better() -> None:
    """The curve stays where the fresh head began, and goes up at once where what was chosen takes its place."""
    begun = [*TWO_TASKS]
    at = next(i for i, line in enumerate(begun) if (line.stage, line.slot, line.step) == (2, 1, 200))
    begun.insert(at, begun[at].model_copy(update={"step": 140, "success_any": 0.7}))
    curve = learning_curve(begun, 1, STAGE_ENDS, trial=40)
    assert curve.success.tolist() == [0.3, 0.3, 0.7, 0.8, 1.0]
    np.testing.assert_allclose(curve.steps, [100, 140, 140, 200, 300], rtol=1e-12)
    assert (np.diff(curve.steps) > 0).all()
    assert stage_auc(begun, 1, STAGE_ENDS, 40) == pytest.approx((40 * 0.3 + 60 * 0.75 + 100 * 0.9) / 200)
    for trial in (0, 30):  # there was none, or what was chosen was not measured where it ended
        assert len(learning_curve(begun, 1, STAGE_ENDS, trial=trial).steps) == 4


def test_learning_curve_of_a_stage_that_has_not_ended() -> None:
    assert learning_curve(TWO_TASKS[:9], 1, [100]).steps.tolist() == [100, 200]
    assert learning_curve(TWO_TASKS[:5], 1, []).steps.tolist() == []


def test_what_another_head_did_is_no_part_of_the_curve() -> None:
    without_its_own = [line for line in TWO_TASKS if (line.stage, line.step) != (2, 100)]
    assert learning_curve(without_its_own, 1, STAGE_ENDS).steps.tolist() == [200, 300]


def test_run_metrics() -> None:
    result = run_metrics(TWO_TASKS, ["reach", "push"], STAGE_ENDS, COSTS, [0.5, 0.4])
    headline = {
        "average_success": 0.8,
        "average_success_final_step": 0.4,
        "forgetting": 0.2,
        "forgetting_all_tasks": 0.1,
        "backward_transfer": -0.2,
        # AUC 0.5 and 0.725 against 0.5 and 0.4: (0 + 0.325 / 0.6) / 2
        "forward_transfer": 0.325 / 1.2,
        "forward_transfer_from_2": 0.325 / 0.6,
        "zero_shot_transfer": 0.2,
        "zero_shot_transfer_best": 0.2,
        "steps_to_success": 50.0,
        "forgetting_steps": 0.0,
        "relative_return": 1.0,
        "forgetting_return": 0.0,
        "retention": 0.75,
        "unlearned_share": 0.0,
    }
    assert {name: result.value(name) for name in headline} == pytest.approx(headline)
    assert result.success_reading == "any"
    assert result.success_matrix == ((0, 0.2), (0.8, 0.4), (0.6, 1))
    assert result.success_matrix_final == ((0, 0.1), (0.4, 0.2), (0.3, 0.5))
    assert result.isolated_forgetting[0] == (None, None)
    assert result.isolated_forgetting[1] == (pytest.approx(0.2), None)
    assert Costs.of(result) == COSTS
    reach, push = result.per_task
    assert (reach.slot, reach.task, push.slot, push.task) == (0, "reach", 1, "push")
    assert (reach.learned, reach.final, reach.auc) == (0.8, 0.6, pytest.approx(0.5))
    assert (push.learned, push.final, push.auc) == (1.0, 1.0, pytest.approx(0.725))
    assert push.zero_shot_transfer == pytest.approx(0.2)
    assert reach.zero_shot_transfer is None


def test_without_a_reference_forward_transfer_is_undefined() -> None:
    result = run_metrics(TWO_TASKS, ["reach", "push"], STAGE_ENDS, COSTS)
    assert result.forward_transfer is None
    assert [task.forward_transfer for task in result.per_task] == [None, None]


def test_steps_to_success_and_return_are_set_against_the_stage_s_own() -> None:
    """Both tasks succeed always: that the first takes longer, and earns less, only these two see."""
    lines = [
        score(0, 0, 0, 0.0, return_mean=5.0, length_mean=100.0),
        score(0, 0, 1, 0.0, return_mean=5.0, length_mean=100.0),
        score(1, 100, 0, 1.0, return_mean=80.0, length_mean=20.0),
        score(1, 100, 1, 0.0, return_mean=9.0, length_mean=100.0),
        score(2, 300, 0, 1.0, return_mean=60.0, length_mean=44.0),
        score(2, 300, 1, 1.0, return_mean=40.0, length_mean=30.0),
    ]
    result = run_metrics(lines, ["reach", "push"], STAGE_ENDS, COSTS)
    assert result.forgetting == 0
    assert (result.steps_to_success, result.forgetting_steps) == (37.0, 24.0)
    assert (result.relative_return, result.forgetting_return) == (0.75, 0.25)
    reach, push = result.per_task
    assert (reach.steps_to_success, reach.forgetting_steps) == (44.0, 24.0)
    assert (reach.relative_return, reach.forgetting_return) == (0.75, 0.25)
    assert (push.steps_to_success, push.forgetting_steps) == (30.0, 0.0)
    assert (push.relative_return, push.forgetting_return) == (1.0, 0.0)


@pytest.mark.parametrize("own", [None, 0.0, -3.0])
def test_a_return_relative_to_none_is_undefined(own: float | None) -> None:
    lines = [score(0, 0, 0, 0.0), score(0, 0, 1, 0.0), score(1, 100, 0, 1.0, return_mean=own)]
    lines += [score(1, 100, 1, 0.0), score(2, 300, 0, 1.0), score(2, 300, 1, 1.0)]
    result = run_metrics(lines, ["reach", "push"], STAGE_ENDS, COSTS)
    assert result.relative_return is result.per_task[0].relative_return is None
    assert result.per_task[1].relative_return == 1.0


def test_zero_shot_transfer_through_the_best_head() -> None:
    """The third task before its own stage: the newest head scores .1 there, the first one .6."""
    names, ends = ["a", "b", "c"], [100, 200, 300]
    rows = [[0.0, 0.0, 0.1], [1.0, 0.2, 0.0], [1.0, 1.0, 0.1], [1.0, 1.0, 1.0]]
    heads = {(1, 1): (0.2,), (2, 2): (0.6, 0.1)}
    lines = [
        score(stage, 100 * stage, slot, success, success_by_head=heads.get((stage, slot)))
        for stage, row in enumerate(rows)
        for slot, success in enumerate(row)
    ]
    result = run_metrics(lines, names, ends, costs(3))
    assert result.zero_shot_transfer == pytest.approx((0.2 + 0.0) / 2)
    assert result.zero_shot_transfer_best == pytest.approx((0.2 + 0.5) / 2)
    found = [task.zero_shot_transfer_best for task in result.per_task]
    assert found == [None, pytest.approx(0.2), pytest.approx(0.5)]
    without = [line.model_copy(update={"success_by_head": None}) for line in lines]
    assert run_metrics(without, names, ends, costs(3)).zero_shot_transfer_best is None


def test_of_tasks_trained_at_once_only_what_they_are_at_the_end_is_defined() -> None:
    result = run_metrics(TWO_TASKS, ["reach", "push"], STAGE_ENDS, COSTS, [0.5, 0.4], in_sequence=False)
    assert (result.average_success, result.average_success_final_step, result.steps_to_success) == (0.8, 0.4, 50.0)
    names = {metric.name for metric in RUN_METRICS if metric.kind in ("rate", "steps")}
    defined = {name for name in names if result.value(name) is not None}
    assert defined == {"average_success", "average_success_final_step", "steps_to_success"}
    assert result.forgetting_all_tasks is None
    assert {cell for row in result.isolated_forgetting for cell in row} == {None}
    for task in result.per_task:
        measured = {name for name, value in task if value is not None}
        assert measured == {"slot", "task", "final", "final_final_step", "steps_to_success"}
    assert result.success_matrix == ((0, 0.2), (0.8, 0.4), (0.6, 1))


def test_an_interrupted_run_is_the_run_of_its_finished_stages() -> None:
    result = one_stage(TWO_TASKS[:9])
    assert (result.stages, result.stages_done, result.stage_ends) == (2, 1, (100,))
    assert result.average_success == 0.8
    assert result.forgetting_all_tasks == 0
    assert result.forgetting is result.backward_transfer is result.retention is None
    assert result.success_matrix == ((0, 0.2), (0.8, 0.4), (None, None))
    reach, push = result.per_task
    assert reach.final == 0.8
    assert set(push.model_dump(mode="json").values()) == {2, "push", None}


def test_a_stage_in_progress_is_not_finished_even_when_it_is_the_only_one() -> None:
    result = run_metrics([score(0, 0, 0, 0.0), score(1, 50, 0, 0.6)], ["reach"], [], costs(0))
    assert result.stages_done == 0
    assert result.average_success is result.unlearned_share is None
    assert result.success_matrix == ((0,), (None,))


def test_a_run_that_has_not_begun() -> None:
    result = run_metrics([], ["reach", "push"], [], costs(0))
    assert result.average_success is None
    assert result.success_matrix == ((None, None),) * 3


def test_stage_ends_are_read_from_the_scores() -> None:
    assert stage_ends(TWO_TASKS, 2) == STAGE_ENDS
    assert stage_ends(TWO_TASKS[:9], 2) == [100]
    assert stage_ends(TWO_TASKS[:6], 2) == []
    assert stage_ends([], 2) == []


def test_plasticity() -> None:
    np.testing.assert_allclose(metrics.plasticity([0.6, 0.2, 0.9, NAN], [0.3, 0.4, 0.0, 0.5]), [2, 0.5, NAN, NAN])
    result = run_metrics(TWO_TASKS, ["reach", "push"], STAGE_ENDS, COSTS, [0.25, NAN])
    assert [task.plasticity for task in result.per_task] == [pytest.approx(2.0), None]
    assert result.plasticity == pytest.approx(2.0)


def test_what_a_run_cost() -> None:
    result = run_metrics(TWO_TASKS, ["reach", "push"], STAGE_ENDS, COSTS)
    assert result.environment_steps == Steps(learning=300, method=30)
    assert result.gradient_steps == Steps(learning=12, method=7)
    assert result.task_inference_steps == 5
    assert one_stage(TWO_TASKS[:9]).environment_steps.learning == 100
    assert (result.value("environment_steps.learning"), result.value("gradient_steps.method")) == (300, 7)


def test_success_with_sampled_actions_stands_beside_the_headline() -> None:
    sampled = [
        line.model_copy(update={"stochastic_success_any": line.success_any / 4})
        if line.slot < line.stage and line.step in STAGE_ENDS
        else line
        for line in TWO_TASKS
    ]
    result = run_metrics(sampled, ["reach", "push"], STAGE_ENDS, COSTS)
    assert result.average_success_stochastic == pytest.approx(0.2)
    assert [task.final_stochastic for task in result.per_task] == [0.15, 0.25]
    assert result.average_success == 0.8
    assert run_metrics(TWO_TASKS, ["reach", "push"], STAGE_ENDS, COSTS).average_success_stochastic is None


def test_metrics_are_light() -> None:
    heavy = "{'torch', 'stable_baselines3', 'matplotlib'}"
    modules = "clrobot.results.run_metrics, clrobot.results.catalogue"
    code = f"import sys, {modules}; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
