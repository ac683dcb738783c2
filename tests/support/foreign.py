"""Tiny trainings through other people's worlds, which a process of its own can import as it cannot a test's file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import gymnasium

import clrobot.training.after_stage
from clrobot.envs.worlds import examine
from clrobot.experiment.choices import method_class
from clrobot.experiment.config import make_config
from clrobot.training.resuming import resume
from clrobot.training.training import train
from support import point
from support.models import few
from support.trainings import FEW_STATES, TINY, quickly

POINT = "gymnasium:Point-v0"
MIXED: dict[str, Any] = {
    "name": "mixed",
    "pad": True,
    "stages": [
        {"task": POINT, "steps": 320},
        {"task": "reach", "steps": 192},
        {"task": POINT, "steps": 320, "kwargs": {"size": 3, "tells": None}, "success": {"return_above": -10.0}},
    ],
}
SAC = {"num_envs": 4, "train_freq": 8, "gradient_steps": 2, "batch_size": 32, "learning_starts": 32}


def settings(method: str = "ewc", **changes: Any) -> dict[str, Any]:
    tiny = {name: value for name, value in TINY.items() if name not in ("curriculum", "steps", "checkpoint")}
    return (
        tiny
        | {"curriculum": MIXED, "method": method, "checkpoint": {"steps": 128}}
        | few(method_class(method))
        | changes
    )


@contextmanager
def shortly() -> Iterator[None]:
    """With few random steps and the point registered, in whichever process."""
    if "Point-v0" not in gymnasium.registry:
        point.register()
    with mock.patch.object(examine, "STEPS", 300), mock.patch.multiple(clrobot.training.after_stage, **FEW_STATES):
        yield


def train_mixed(folder: Path) -> None:
    with shortly(), quickly():
        train(make_config(**settings()), folder)


def resume_mixed(folder: Path) -> None:
    with shortly(), quickly():
        resume(folder)
