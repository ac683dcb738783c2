"""What a run's folder holds, read once and checked: all that a page or a figure shows comes from here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clrobot.errors import UserError
from clrobot.experiment.config import RunConfig
from clrobot.experiment.method import make_method
from clrobot.files import read_own
from clrobot.results.run_metrics import RunMetrics
from clrobot.results.scores import Score
from clrobot.runs.folder import RunFolder
from clrobot.runs.score_book import MOST_BYTES, read_scores


@dataclass(frozen=True)
class Contents:
    """A run, as its files tell it.

    Attributes:
        path: the run's folder.
        metrics: `metrics.json`.
        scores: `scores.jsonl`, in the order of the file.
        config: `config.yaml`.
        environment: `environment.json`.
        texts: `config.yaml`, `metrics.json` and `scores.jsonl` as they are, by name.
    """

    path: Path
    metrics: RunMetrics
    scores: list[Score]
    config: RunConfig
    environment: dict[str, Any]
    texts: dict[str, str]

    @property
    def name(self) -> str:
        """The folder's."""
        return self.path.resolve().name

    @property
    def in_sequence(self) -> bool:
        """Whether each stage trained its own task alone."""
        return make_method(self.config).in_sequence(len(self.metrics.slot_names))


def read_run(path: Path) -> Contents:
    """Read what a run's folder holds; the run may be unfinished.

    Raises:
        UserError: a file is missing or is not what it should be.
    """
    run = RunFolder(path)
    metrics, config = run.read_metrics(), run.config
    environment = run.read_environment()
    scores = read_scores(run.scores_file)
    if stray := [score for score in scores if score.stage > metrics.stages or score.slot >= metrics.stages]:
        raise UserError(f"{run.scores_file}: {stray[0]} is not of the {metrics.stages} stages in metrics.json")
    texts = {name: _text(path / name) for name in ("config.yaml", "metrics.json", "scores.jsonl")}
    return Contents(path, metrics, scores, config, environment, texts)


def run_names(runs: Sequence[Contents]) -> list[str]:
    """Return a name for each run, no two of which are equal and each of which can name a folder."""
    folders = [run.path.resolve() for run in runs]
    names = [folder.name for folder in folders]
    for parent in range(max(len(folder.parts) for folder in folders) - 1):
        if len(set(names)) == len(names):
            break
        names = [
            name
            if names.count(name) == 1 or parent >= len(folder.parents) - 1
            else f"{folder.parents[parent].name}-{name}"
            for folder, name in zip(folders, names, strict=True)
        ]
    return names


def _text(path: Path) -> str:
    try:
        return read_own(path, MOST_BYTES).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not text ({error.reason}); restore the file") from None
