"""Trainings of seconds, importable by name in the processes that a test starts and kills."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from helpers import few

from clrobot.config import make_config, method_class
from clrobot.train import resume, train

TINY: dict[str, Any] = {
    "curriculum": "quick",
    "steps": 256,
    "network": {"widths": (8, 8)},
    "ppo": {"num_envs": 4, "n_steps": 16, "batch_size": 32, "n_epochs": 2},
    "evaluation": {"episodes": 3, "curve_points": 2, "curve_episodes": 2},
    "video": {"enabled": False},
    "checkpoint": {"seconds": 0.0},
}


def settings(method: str) -> dict[str, Any]:
    return TINY | {"method": method} | few(method_class(method))


def train_tiny(folder: Path, method: str) -> None:
    train(make_config(**settings(method)), folder)


def resume_tiny(folder: Path, method: str) -> None:
    resume(folder)
