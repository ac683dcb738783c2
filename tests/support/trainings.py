"""Trainings of seconds, importable by name in the processes that a test starts and kills."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import clrobot.cli.train
import clrobot.training.after_stage
from clrobot.experiment.choices import method_class
from clrobot.experiment.config import make_config
from clrobot.runs.folder import RunFolder
from clrobot.training.observer import Observer
from clrobot.training.resuming import resume
from clrobot.training.training import train
from support.models import few

TINY: dict[str, Any] = {
    "curriculum": "quick",
    "steps": 256,
    "network": {"widths": (8, 8)},
    "ppo": {"num_envs": 4, "n_steps": 16, "batch_size": 32, "n_epochs": 2},
    "evaluation": {"episodes": 3, "curve_points": 2, "curve_episodes": 2},
    "video": {"enabled": False},
    "checkpoint": {"seconds": 0.0},
}

FEW_STATES = {"INFERENCE_STATES": 100, "UNIT_STATES": 100}


def settings(method: str) -> dict[str, Any]:
    return TINY | {"method": method} | few(method_class(method))


@contextmanager
def quickly() -> Iterator[None]:
    """Train without what would take most of a tiny training's time: 1,000 first states, and the report's drawings."""

    def plain_report(run: RunFolder, _: Observer) -> RunFolder:
        (run.path / "report.html").write_text("a report")
        return run

    with (
        mock.patch.multiple(clrobot.training.after_stage, **FEW_STATES),
        mock.patch.object(clrobot.cli.train, "with_page", plain_report),
    ):
        yield


def train_tiny(folder: Path, method: str) -> None:
    with mock.patch.multiple(clrobot.training.after_stage, **FEW_STATES):
        train(make_config(**settings(method)), folder)


def resume_tiny(folder: Path, method: str) -> None:
    with mock.patch.multiple(clrobot.training.after_stage, **FEW_STATES):
        resume(folder)
