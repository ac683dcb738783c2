"""Tiny runs that were never stopped, trainings that stop, and what must be the same of both."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from stable_baselines3.common.base_class import BaseAlgorithm
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from clrobot.agents.methods.shared.method import Method
from clrobot.evaluation.evaluator import Evaluator
from clrobot.experiment.config import RunConfig, make_config
from clrobot.runs.checkpoint import load_agent
from clrobot.runs.folder import RunFolder
from clrobot.training.observer import Silent
from clrobot.training.stopping import Stopped
from clrobot.training.training import Training
from support.trainings import quickly, settings


def outcome(run: Path) -> dict[str, Any]:
    """Return everything of a finished run that must not depend on how often it was killed."""
    files = ["config.yaml", "environment.json", "scores.jsonl"]
    files += [str(path.relative_to(run)) for path in sorted(run.glob("stage_*/*"))]
    content: dict[str, Any] = {name: (run / name).read_bytes() for name in files}
    metrics = json.loads((run / "metrics.json").read_text())
    for key in ("seconds", "worlds_made", "worlds_seconds"):  # wall-clock, and what a resumed run makes again
        del metrics[key]
    for stage in metrics["per_stage"]:
        del stage["seconds"]
    return content | {"metrics": metrics, "curves": tensorboard(run)}


def tensorboard(run: Path) -> dict[str, list[tuple[int, float]]]:
    """Return the logged values as TensorBoard shows them, without those that measure time."""
    events = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
        if tag != "time/fps"
    }


class Whole(NamedTuple):
    """A run that was never stopped, and what its training ended with."""

    run: RunFolder
    model: BaseAlgorithm
    method: Method
    outcome: dict[str, Any]
    seconds: float  # that it took


class WholeRuns:
    """A run of each method that was never stopped, trained when it is first asked for. Only to be read."""

    def __init__(self, parent: Path, settings: Callable[[str], dict[str, Any]] = settings) -> None:
        self._parent = parent
        self._settings = settings
        self._runs: dict[str, Whole] = {}

    def __getitem__(self, method: str) -> Whole:
        if method not in self._runs:
            began = time.monotonic()
            with quickly():
                config = make_config(**self._settings(method))
                training = Training.begin(config, self._parent / method, Silent())
                run = training.run()
            seconds = time.monotonic() - began
            self._runs[method] = Whole(run, training.learner.model, training.method, outcome(run.path), seconds)
        return self._runs[method]


# Trainings that stop ---------------------------------------------------------------------------------------


class Warned(Silent):
    """Keeps the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, message: str) -> None:
        self.warnings.append(message)


class StopAt(Silent):
    """Asks for a stop at the n-th boundary that it is told of."""

    def __init__(self, n: int) -> None:
        self.left = n
        self.training: Training | None = None

    def advanced(self, steps: int, success: float | None) -> None:
        self._count()

    def working(self, what: str) -> None:
        self._count()

    def _count(self) -> None:
        if self.training is None:  # not begun yet
            return
        self.left -= 1
        if self.left == 0:
            self.training.stop.asked = True


def stopped(folder: Path, method: str, boundary: int, **changes: Any) -> Path:
    """Train into `folder` until the boundary, and let go of it; `changes` are to the method's tiny settings."""
    with quickly():
        return stopped_with(make_config(**settings(method) | changes), folder, boundary)


def stopped_with(config: RunConfig, folder: Path, boundary: int) -> Path:
    """Train into `folder` with these settings until the boundary, and let go of it."""
    observer = StopAt(boundary)
    observer.training = Training.begin(config, folder, observer)
    with pytest.raises(Stopped, match="clrobot resume"):
        observer.training.run()
    observer.training.folder.unlock()
    return RunFolder.open(folder).path


def start_states_stay(run: RunFolder) -> Evaluator:
    """Check that an evaluation of a run's first slot meets the same start states each time; return an evaluator."""
    agent = load_agent(run)
    evaluator = Evaluator(run.config.curriculum, 100)
    first, again = (evaluator.episodes(agent.policy, 0, 4) for _ in range(2))
    fewer = Evaluator(run.config.curriculum, 100).episodes(agent.policy, 0, 2)
    np.testing.assert_array_equal(first.returns, again.returns)
    np.testing.assert_array_equal(first.returns[:2], fewer.returns)
    assert len(set(first.returns)) == 4
    return evaluator
