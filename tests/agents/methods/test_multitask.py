"""Multitask: each task's share of the steps, advantages of its own scale, and what of it is defined."""

from __future__ import annotations

import itertools
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from stable_baselines3.common.buffers import RolloutBuffer
from support.models import TINY_PPO, tiny_env
from support.outcomes import WholeRuns
from support.trainings import TINY

from clrobot.agents.algorithms.rollout_buffer import ShuffledRolloutBuffer
from clrobot.agents.vec_env import JointVecEnv
from clrobot.experiment.config import make_config
from clrobot.experiment.method import make_method
from clrobot.report.page import write_report
from clrobot.results.run_metrics import Costs, run_metrics
from clrobot.runs.checkpoint import load_agent
from clrobot.runs.references import missing_references
from clrobot.runs.score_book import read_scores
from clrobot.training.training import train
from clrobot.training.training_env import shares, training_env

pytestmark = pytest.mark.usefixtures("quick_training")


@pytest.mark.parametrize(
    ("total", "weights", "expected"),
    [
        (128, [20_000, 60_000, 48_000], [20, 60, 48]),
        (7, [1, 1, 1], [3, 2, 2]),
        (3, [1, 1000, 1], [1, 1, 1]),
        (10, [1, 1000, 1], [1, 8, 1]),
        (1, [5], [1]),
    ],
)
def test_shares_are_in_proportion_and_none_is_empty(total: int, weights: list[int], expected: list[int]) -> None:
    assert shares(total, weights) == expected


@pytest.mark.parametrize("seed", range(50))
def test_shares_add_up_and_grow_with_the_weight(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = [int(w) for w in rng.integers(1, 1000, size=rng.integers(1, 12))]
    total = len(weights) + int(rng.integers(0, 100))
    found = shares(total, weights)
    assert sum(found) == total
    assert min(found) >= 1
    by_weight = [count for _, count in sorted(zip(weights, found, strict=True))]
    assert all(b >= a - 1 for a, b in itertools.pairwise(by_weight))


def test_each_task_has_simulations_in_proportion_to_its_own_steps() -> None:
    stages = [{"task": "reach", "steps": 1000}, {"task": "push", "steps": 3000}]
    config = make_config(method="multitask", curriculum={"name": "two", "stages": stages})
    env = training_env(config, 8, range(2), 1)
    assert isinstance(env, JointVecEnv)
    assert [part.num_envs for part in env.parts] == [2, 6]
    obs = env.reset()
    assert obs[:, -1].tolist() == [0.0] * 2 + [1.0] * 6
    env.close()


def test_advantages_are_normalised_within_each_slot() -> None:
    model = TINY_PPO.make(tiny_env(), {"widths": (8,)}, seed=0, device="cpu")
    buffer = model.rollout_buffer
    assert isinstance(buffer, ShuffledRolloutBuffer)
    rng = np.random.default_rng(0)
    buffer.observations[..., -1] = [0, 0, 1, 1]
    buffer.rewards[:, :2] = rng.normal(5.0, 100.0, size=(16, 2))
    buffer.rewards[:, 2:] = rng.normal(-1.0, 0.01, size=(16, 2))
    RolloutBuffer.compute_returns_and_advantage(buffer, th.zeros(4), np.zeros(4))
    returns, order = buffer.returns.copy(), buffer.advantages[:, 2:].ravel().argsort()
    assert buffer.advantages[:, :2].std() > 10 * buffer.advantages[:, 2:].std()
    buffer.compute_returns_and_advantage(th.zeros(4), np.zeros(4))
    for part in (buffer.advantages[:, :2], buffer.advantages[:, 2:]):
        assert part.mean() == pytest.approx(0, abs=1e-5)
        assert part.std() == pytest.approx(1, abs=1e-3)
    assert buffer.advantages[:, 2:].ravel().argsort().tolist() == order.tolist()
    np.testing.assert_array_equal(buffer.returns, returns)


def test_a_training_normalises_them_before_each_update(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    get = ShuffledRolloutBuffer.get

    def noting(buffer: Any, batch_size: int | None = None) -> Any:
        if not buffer.generator_ready:  # an update begins
            slots = buffer.observations[..., -1]
            seen.extend((int(slot), float(buffer.advantages[slots == slot].std())) for slot in np.unique(slots))
        return get(buffer, batch_size)

    monkeypatch.setattr(ShuffledRolloutBuffer, "get", noting)
    train(make_config(**TINY | {"method": "multitask", "steps": 64}), tmp_path / "run")
    assert [slot for slot, _ in seen] == [0, 1, 2] * 3
    assert all(spread == pytest.approx(1, abs=1e-3) for _, spread in seen)
    seen.clear()
    train(make_config(**TINY | {"method": "finetune", "steps": 64}), tmp_path / "one")
    assert {slot for slot, _ in seen} == {0, 1, 2}
    assert not any(spread == pytest.approx(1, abs=1e-3) for _, spread in seen)


def test_of_multitask_only_what_it_can_do_at_the_end_is_defined(whole_runs: WholeRuns) -> None:
    metrics = whole_runs["multitask"].run.read_metrics()
    assert metrics.average_success is not None
    assert metrics.steps_to_success is not None
    for name in (
        *("forgetting", "backward_transfer", "forward_transfer", "forward_transfer_from_2", "zero_shot_transfer"),
        *("zero_shot_transfer_best", "retention", "unlearned_share", "plasticity", "relative_return"),
        *("forgetting_steps", "forgetting_return"),
    ):
        assert metrics.value(name) is None, name
    assert all(task.final is not None and task.learned is None for task in metrics.per_task)


def test_what_it_has_trained_it_has_trained_from_the_first_stage_on(whole_runs: WholeRuns) -> None:
    run = whole_runs["multitask"].run
    scores, metrics = read_scores(run.scores_file), run.read_metrics()
    costs = replace(Costs.of(metrics), per_stage=metrics.per_stage[:1])
    early = run_metrics(
        [score for score in scores if score.stage <= 1],
        metrics.slot_names, metrics.stage_ends[:1], costs, in_sequence=False, trained=3,
    )  # fmt: skip
    assert (early.stages_done, early.stages) == (1, 3)
    finals = [task.final for task in early.per_task]
    assert finals == list(metrics.success_matrix[1])
    assert early.average_success == np.mean(finals)
    assert early.steps_to_success == np.mean([task.steps_to_success for task in early.per_task])
    assert [load_agent(run, stage).known for stage in (0, 1, 2)] == [0, 3, 3]
    assert "<td>no</td>" not in load_agent(run, 1)._repr_html_()


def test_no_page_gives_a_task_a_stage_of_its_own(whole_runs: WholeRuns, tmp_path: Path) -> None:
    for method, own in (("multitask", False), ("finetune", True)):
        copy = Path(shutil.copytree(whole_runs[method].run.path, tmp_path / method))
        page = write_report(copy).read_text()
        assert ("Its own stage is shaded" in page) == own
        assert ('class="own' in page) == own
        assert page.count(" ahead") == 2 * (6 if own else 3)  # before any training no task was trained


def test_what_trains_all_at_once_needs_no_references(whole_runs: WholeRuns, tmp_path: Path) -> None:
    assert missing_references([whole_runs["multitask"].run], tmp_path / "store") == {}
    assert len(missing_references([whole_runs["finetune"].run], tmp_path / "store")) == 3


def test_one_task_alone_is_a_sequence() -> None:
    method = make_method(make_config(method="multitask"))
    assert not method.in_sequence(3)
    assert method.in_sequence(1)
