"""Networks on a graphics card: every method learns there, goes on exactly after a stop, and acts anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from support.outcomes import outcome, stopped
from support.trainings import settings

from clrobot.agents.methods import METHODS_BY_NAME
from clrobot.experiment.config import make_config
from clrobot.runs.use import load
from clrobot.training.resuming import resume
from clrobot.training.training import train

pytestmark = [pytest.mark.cuda, pytest.mark.usefixtures("quick_training")]

SAC = {"algo": "sac", "sac": {"num_envs": 4, "train_freq": 8, "batch_size": 16, "learning_starts": 32}}


@pytest.mark.parametrize("changes", [{}, SAC], ids=["ppo", "sac"])
@pytest.mark.parametrize("method", [*METHODS_BY_NAME.ours])
def test_a_stopped_training_on_a_card_ends_with_the_same_bits(
    method: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    settled = settings(method) | changes | {"device": "cuda"}
    whole = train(make_config(**settled), tmp_path / "whole")
    gone_on = resume(stopped(tmp_path / "stopped", method, boundary=9, **changes, device="cuda"))
    assert outcome(gone_on.path) == outcome(whole.path)


def test_what_learned_on_a_card_acts_on_the_processor(tmp_path: Path) -> None:
    agent = load(train(make_config(**settings("distillation"), device="cuda"), tmp_path / "run"))
    assert {p.device.type for p in agent.policy.parameters()} == {"cpu"}
    assert np.isfinite(agent.predict(np.zeros(agent.policy.observation_space.shape[0] - 1), "reach")).all()


@pytest.mark.parametrize("choose", ["race", "test"])
@pytest.mark.parametrize("kickstart", [0.0, 1.0])
def test_warm_starts_and_clipping_apart_work_on_a_card(choose: str, kickstart: float, tmp_path: Path) -> None:
    warm = {"choose": choose, "kickstart": kickstart, "trial_envs": 4, "trial_steps": 2, "race_share": 0.2}
    settled = settings("distillation") | {"warm_start": warm, "gradient": {"clip": "apart"}, "device": "cuda"}
    run = train(make_config(**settled), tmp_path / "run")
    assert all(th.isfinite(p).all() for p in load(run).policy.parameters())
