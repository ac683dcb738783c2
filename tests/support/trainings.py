"""Trainings of seconds, importable by name in the processes that a test starts and kills."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import clrobot.training.training
from clrobot.experiment.choices import method_class
from clrobot.experiment.config import make_config
from clrobot.training.training import resume, train
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

FEW_STATES = {"INFERENCE_STATES": 100, "_DORMANT_STATES": 100}


def settings(method: str) -> dict[str, Any]:
    return TINY | {"method": method} | few(method_class(method))


@contextmanager
def quickly() -> Iterator[None]:
    """Train without what would take most of a tiny training's time: the report's drawings, and 1,000 first states."""

    def plain_report(run: Path) -> None:
        (run / "report.html").write_text("a report")

    with mock.patch.multiple(clrobot.training.training, write_report=plain_report, **FEW_STATES):
        yield


def train_tiny(folder: Path, method: str) -> None:
    with mock.patch.multiple(clrobot.training.training, **FEW_STATES):
        train(make_config(**settings(method)), folder)


def resume_tiny(folder: Path, method: str) -> None:
    with mock.patch.multiple(clrobot.training.training, **FEW_STATES):
        resume(folder)
