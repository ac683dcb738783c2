"""What TensorBoard shows of a run: what users of Stable-Baselines3 look for first, and every evaluation."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.outcomes import WholeRuns, outcome, stopped, tensorboard
from support.trainings import EPISODE, settings

from clrobot.experiment.config import make_config
from clrobot.runs.score_book import read_scores
from clrobot.training.resuming import resume
from clrobot.training.tensorboard import tensorboard_logger
from clrobot.training.training import train

pytestmark = pytest.mark.usefixtures("quick_training")
# Long enough for whole episodes; the first of staggered simulations are parts.
LONG: dict[str, Any] = {"curriculum": {"name": "two", "stages": [{"task": "reach", "steps": 768}] * 2}, "steps": None}
SAC = {"num_envs": 4, "train_freq": 8, "gradient_steps": 2, "batch_size": 16, "learning_starts": 32}


@pytest.mark.parametrize("algo", ["ppo", "sac"])
def test_returns_and_lengths_are_logged_and_a_resumed_run_logs_the_same(algo: str, tmp_path: Path) -> None:
    changes = LONG | {"algo": algo, "sac": SAC}
    whole = train(make_config(**settings("finetune") | changes), tmp_path / "whole")
    curves = tensorboard(whole.path)
    assert {step <= 768 for step, _ in curves["rollout/ep_rew_mean"]} == {True, False}
    assert {value for _, value in curves["rollout/ep_len_mean"]} == {float(EPISODE)}
    assert all(0 <= value <= EPISODE for _, value in curves["rollout/ep_rew_mean"])
    boundary = 13 if algo == "ppo" else 25
    run = stopped(tmp_path / "run", "finetune", boundary, **changes)
    assert any((run / "resume").iterdir())
    resume(run)
    assert outcome(run) == outcome(whole.path)


def test_evaluations_are_logged_at_their_steps(whole_runs: WholeRuns) -> None:
    run = whole_runs["ewc"].run
    expected: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for score in read_scores(run.scores_file):
        for name in ("success_any", "success_final", "return_mean", "length_mean"):
            tag = f"evaluation/{name}/{run.config.curriculum.slots[score.slot]}"
            expected[tag].append((score.step, float(np.float32(getattr(score, name)))))
    found = {tag: rows for tag, rows in tensorboard(run.path).items() if tag.startswith("evaluation/")}
    assert found == expected
    assert len(found) == 12


def test_a_killed_training_s_events_are_read_before_those_of_the_next_process(tmp_path: Path) -> None:
    """Readers take the files in the order of their names, which tell the second."""
    for n in range(2):
        logger = tensorboard_logger(tmp_path)
        logger.record("n", n)
        logger.dump(n)
        logger.close()
    first, second = sorted(int(path.name.split(".")[3]) for path in tmp_path.iterdir())
    assert first < second
