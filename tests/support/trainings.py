"""Trainings of seconds, importable by name in the processes that a test starts and kills."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from stable_baselines3.common.logger import Logger

import clrobot.cli.train
import clrobot.envs.worlds.native
import clrobot.training.after_stage
import clrobot.training.extend
import clrobot.training.training
from clrobot.envs.worlds.make import make_vector_env
from clrobot.envs.worlds.vector_env import TaskVectorEnv
from clrobot.experiment.choices import method_class
from clrobot.experiment.config import make_config
from clrobot.runs.folder import RunFolder
from clrobot.training.observer import Observer
from clrobot.training.resuming import resume
from clrobot.training.tensorboard import tensorboard_logger
from clrobot.training.training import train
from support.models import few

# What the processes that a test starts and kills would each import, in longer than a tiny training takes. The first
# list that a worker gives its fork server is the one that counts.
PRELOADED = [
    *("clrobot.training.training", "clrobot.training.extend", "clrobot.training.resuming", "clrobot.cli.train"),
    *("stable_baselines3", "torch.utils.tensorboard"),
]

TINY: dict[str, Any] = {
    "curriculum": "quick",
    "steps": 256,
    "threads": 1,  # with more, a step of four simulations waits for them
    "network": {"widths": (8, 8)},
    "ppo": {"num_envs": 4, "n_steps": 16, "batch_size": 32, "n_epochs": 2},
    "evaluation": {"episodes": 3, "curve_points": 2, "curve_episodes": 2},
    "video": {"enabled": False},
    "checkpoint": {"seconds": 0.0},
}

FEW_STATES = {"INFERENCE_STATES": 100, "UNIT_STATES": 100}
EPISODE = 25  # steps, in place of 100: most of a tiny training is its evaluations


def settings(method: str) -> dict[str, Any]:
    return TINY | {"method": method} | few(method_class(method))


@contextmanager
def quickly() -> Iterator[None]:
    """Train without what would take most of a tiny training's time: whole episodes, 1,000 first states, drawings.

    Nor is the next second waited for, in which the events of a resumed training begin.
    """

    def plain_report(run: RunFolder, _: Observer) -> RunFolder:
        (run.path / "report.html").write_text("a report")
        return run

    def short(task: str, num_envs: int, *, max_episode_steps: int | None, **kwargs: Any) -> TaskVectorEnv:
        steps = EPISODE if max_episode_steps is None else min(max_episode_steps, EPISODE)
        return make_vector_env(task, num_envs, max_episode_steps=steps, **kwargs)

    with (
        mock.patch.multiple(clrobot.training.after_stage, **FEW_STATES),
        mock.patch.object(clrobot.envs.worlds.native, "make_vector_env", short),
        mock.patch.object(clrobot.cli.train, "with_page", plain_report),
        mock.patch.object(clrobot.training.training, "tensorboard_logger", _logger_of_a_later_day),
        mock.patch.object(clrobot.training.extend, "tensorboard_logger", _logger_of_a_later_day),
    ):
        yield


def _logger_of_a_later_day(folder: Path, purge_step: int | None = None) -> Logger:
    for path in folder.glob("events.out.tfevents.*"):
        words = path.name.split(".")
        words[3] = f"{int(words[3]) - 86_400:010d}"
        path.rename(path.with_name(".".join(words)))
    return tensorboard_logger(folder, purge_step)


def train_tiny(folder: Path, method: str) -> None:
    with quickly():
        train(make_config(**settings(method)), folder)


def resume_tiny(folder: Path, method: str) -> None:
    with quickly():
        resume(folder)
