"""Real learning, with fixed seeds and a margin."""

from __future__ import annotations

import pytest

from clrobot.experiment.config import make_config
from clrobot.training.observer import Silent
from clrobot.training.training import Training


@pytest.mark.slow
@pytest.mark.usefixtures("quick_training")
def test_ppo_solves_reach_from_scratch(tmp_path) -> None:
    """It takes about 20,000 steps; untrained it succeeds nowhere."""
    curriculum = {"name": "reach", "stages": [{"task": "reach", "steps": 30_000}]}
    config = make_config(
        curriculum=curriculum, method="finetune", video={"enabled": False}, evaluation={"curve_points": 0}
    )
    run = Training.begin(config, tmp_path / "run", Silent()).run()
    metrics = run.read_metrics()
    assert metrics.success_matrix[0][0] <= 0.1
    assert metrics.success_matrix[1][0] >= 0.9
