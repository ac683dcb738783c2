"""The runs that are compared: where they are found, and each run's files, read once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from clrobot.errors import UserError
from clrobot.experiment.dotted import flatten
from clrobot.files import read_plain
from clrobot.results.run_metrics import RunMetrics
from clrobot.runs.folder import RunFolder

# Settings that change nothing in what is learned or measured, or that differ within a row by design.
NOT_COMPARED = ("seed", "video", "checkpoint", "memory_limit_mb", "method", "tracker", "threads", "env_processes")


@dataclass(frozen=True)
class ComparedRun:
    """One run's files, read once; it has a finished stage."""

    folder: RunFolder
    environment: Mapping[str, Any]
    metrics: RunMetrics

    @property
    def name(self) -> str:
        """The folder's."""
        return self.folder.path.name

    @property
    def seed(self) -> int:
        """The run's own."""
        return self.folder.config.seed

    @property
    def method(self) -> str:
        """The method's name."""
        return self.folder.config.method

    @cached_property
    def config(self) -> dict[str, Any]:
        """Every setting, in JSON's types."""
        return self.folder.config.model_dump(mode="json")

    @property
    def stages(self) -> str:
        """How far it came; nothing when it is finished."""
        planned = len(self.folder.config.curriculum.stages)
        done = self.metrics.stages_done
        return "" if done == planned else f"{done} of {planned} stages"

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What must agree within a row, by dotted name: all but the seed and other methods' settings."""
        from clrobot.experiment.config import settings_in_use
        from clrobot.experiment.prepare import without_measurements

        in_use = without_measurements(settings_in_use(self.folder.config))
        return dict(flatten({name: value for name, value in in_use.items() if name not in NOT_COMPARED}))

    @property
    def row(self) -> str:
        """What is equal of runs that are one row."""
        return f"{self.method} {self.stages} {self.metrics.stages} {json.dumps(self.settings)}"


def expand(paths: Iterable[Path]) -> list[RunFolder]:
    """Return the runs at these paths; a folder that holds runs stands for those directly inside it.

    Raises:
        UserError: a path is neither, or a run is damaged.
    """
    runs: dict[Path, RunFolder] = {}
    for path in paths:
        inside = [path]
        if path.is_dir() and not (path / "config.yaml").exists():
            inside = sorted(entry for entry in path.iterdir() if (entry / "config.yaml").is_file()) or [path]
        for entry in inside:
            run = RunFolder.open(entry)  # refused first, where it can be no path at all
            runs.setdefault(entry.resolve(), run)
    return list(runs.values())


def read_runs(folders: Sequence[RunFolder]) -> tuple[list[ComparedRun], list[str]]:
    """Read the runs that have a finished stage.

    Returns:
        The runs, and a sentence for each one that is left out or unfinished.

    Raises:
        UserError: a file is missing or damaged.
    """
    read, notes = [], []
    for folder in folders:
        name = folder.path.name
        metrics = folder.read_metrics() if (folder.path / "metrics.json").exists() else None
        if metrics is None or not metrics.stages_done:
            notes.append(f"{name} has no finished stage and is left out.")
            continue
        run = ComparedRun(folder, _environment(folder), metrics)
        if run.stages:
            notes.append(f"{name} is unfinished ({run.stages}): its numbers are of those stages.")
        read.append(run)
    return read, notes


def _environment(folder: RunFolder) -> dict[str, Any]:
    path = folder.path / "environment.json"
    try:
        environment = json.loads(read_plain(path, follow=False))
        return dict(environment) | {"versions": dict(environment["versions"])}
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise UserError(f"{path} is missing or damaged ({error}); put it back") from None


def without_doubles(runs: Sequence[ComparedRun]) -> tuple[list[ComparedRun], list[str]]:
    """Leave out runs with the settings and the seed of another: the same bits twice are no second sample.

    Returns:
        The runs that stay, and a sentence for each one that is left out.
    """
    seen: dict[tuple[int, str], ComparedRun] = {}
    notes = []
    for run in runs:
        first = seen.setdefault((run.seed, run.row), run)
        if first is not run:
            notes.append(f"{run.name} has the settings and the seed of {first.name} and is left out.")
    return list(seen.values()), notes
