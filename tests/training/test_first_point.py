"""The first point of a learning curve is the learner's own; every earlier head is tried before a stage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.outcomes import WholeRuns
from support.trainings import settings

from clrobot.agents.algorithms.learner import Learner
from clrobot.agents.methods import METHODS
from clrobot.agents.methods.finetune import Finetune
from clrobot.agents.methods.shared.method import Method
from clrobot.evaluation.evaluator import Evaluator
from clrobot.experiment.config import make_config
from clrobot.results.scores import Score, learning_curve
from clrobot.runs.checkpoint import load_agent
from clrobot.runs.score_book import read_scores
from clrobot.training.measuring import Measuring
from clrobot.training.training import train

pytestmark = pytest.mark.usefixtures("quick_training")


def first_points(scores: list[Score]) -> dict[int, Score]:
    """The first score of each stage, by stage."""
    return {stage: next(s for s in scores if s.stage == stage) for stage in sorted({s.stage for s in scores})}


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_a_stage_begins_with_its_own_head_s_score(method: type[Method], whole_runs: WholeRuns) -> None:
    run = whole_runs[method.name].run
    scores, ends = read_scores(run.scores_file), run.read_metrics().stage_ends
    firsts = first_points(scores)
    for stage, start in zip((1, 2, 3), (0, *ends), strict=False):
        assert (firsts[stage].slot, firsts[stage].step) == (stage - 1, start)
        curve = learning_curve(scores, stage - 1, ends)
        assert curve.steps[0] == start
        assert curve.success[0] == firsts[stage].success_any


@pytest.mark.parametrize("choose", ["none", "newest"])
def test_it_is_measured_once_the_head_is_there_and_before_anything_is_learned_or_tried(
    choose: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it begins as is measured once the method has prepared itself: that may change it."""
    told = []
    measure, before_task = Measuring.before_learning, Finetune.before_task

    def measured(self, policy, stage, slot, step):
        told.append(("measured", slot, policy.slots, step))
        return measure(self, policy, stage, slot, step)

    def began(self, learner: Learner, k: int) -> None:
        told.append(("begun", k, learner.policy.slots, learner.step))
        before_task(self, learner, k)

    monkeypatch.setattr(Measuring, "before_learning", measured)
    monkeypatch.setattr(Finetune, "before_task", began)
    train(make_config(**settings("finetune") | {"warm_start": {"choose": choose}}), tmp_path / "run")
    order = {k: ("measured", "begun", *(["measured"] if choose == "newest" and k else [])) for k in range(3)}
    expected = [(what, k, k + 1, 256 * k) for k in range(3) for what in order[k]]
    assert told == expected


@pytest.mark.parametrize("choose", ["newest", "return"])
def test_a_slot_that_begins_as_an_earlier_one_is_measured_as_that_too(choose: str, tmp_path: Path) -> None:
    """Before the trial its own fresh head; where the trial ends, which may be at once, what learning goes on with."""
    start = {"warm_start": {"choose": choose, "trial_envs": 2, "trial_steps": 10}}
    config = make_config(**settings("finetune") | start)
    run = train(config, tmp_path / "run")
    scores, metrics = read_scores(run.scores_file), run.read_metrics()
    evaluator = Evaluator(config.curriculum, config.evaluation.seed, config.threads)
    for k in (1, 2):
        begin, task = metrics.stage_ends[k - 1], metrics.per_task[k]
        assert task.trial_steps is not None
        assert (task.trial_steps == 0) == (choose == "newest")
        fresh, begun, *_ = [score for score in scores if (score.stage, score.slot) == (k + 1, k)]
        assert (fresh.step, begun.step) == (begin, begin + task.trial_steps)
        head = k if task.grown_from is None else metrics.slot_names.index(task.grown_from)
        if head < k:
            was = evaluator.episodes(load_agent(run, k).policy, k, config.evaluation.curve_episodes, head=head)
            assert begun.return_mean == was.returns.mean()
            assert begun.return_mean != fresh.return_mean
        else:
            assert begun.return_mean == fresh.return_mean
        curve = learning_curve(scores, k, metrics.stage_ends)
        expected = [begin] if choose == "newest" else [begin, begin + task.trial_steps]
        assert curve.steps[: len(expected)].tolist() == expected
        assert curve.success[len(expected) - 1] == begun.success_any


def test_without_points_there_is_no_curve_and_no_area(tmp_path: Path) -> None:
    changes = {"evaluation": {"episodes": 3, "curve_points": 0, "curve_episodes": 2}}
    run = train(make_config(**settings("finetune") | changes), tmp_path / "run")
    assert len(read_scores(run.scores_file)) == 4 * 3
    assert [task.auc for task in run.read_metrics().per_task] == [None, None, None]


def test_each_head_so_far_is_tried_on_the_next_task(whole_runs: WholeRuns) -> None:
    run = whole_runs["finetune"].run
    scores = read_scores(run.scores_file)
    tried = {(s.stage, s.slot): s for s in scores if s.success_by_head is not None}
    assert {at: len(s.success_by_head or ()) for at, s in tried.items()} == {(1, 1): 1, (2, 2): 2}
    assert all(s.success_by_head is not None and s.success_by_head[-1] == s.success_any for s in tried.values())
    evaluator = Evaluator(run.config.curriculum, run.config.evaluation.seed, run.config.threads)
    policy = load_agent(run, 2).policy
    outcomes = [evaluator.episodes(policy, 2, 2, head=head) for head in (0, 1)]
    assert tried[2, 2].success_by_head == tuple(float(o.success_any.mean()) for o in outcomes)
    assert not np.array_equal(outcomes[0].returns, outcomes[1].returns), "the heads act otherwise"
    newest = evaluator.episodes(policy, 2, 2)
    np.testing.assert_array_equal(newest.returns, outcomes[1].returns)
