"""The runs that are compared: where they are found, and each run's files, read once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from clrobot.errors import UserError, shown
from clrobot.experiment.config import CHANGES_NO_SCORE, settings_in_use
from clrobot.experiment.dotted import flatten
from clrobot.published.provenance import physics_of
from clrobot.results.run_metrics import RunMetrics
from clrobot.runs.folder import RunFolder
from clrobot.runs.nearby import runs_inside
from clrobot.runs.remarks import transfer_remarks

# Settings that differ within a row by design, or stand beside it, or change nothing in what is learned or measured.
NOT_COMPARED = ("seed", "method", *CHANGES_NO_SCORE)


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
    def remarks(self) -> list[str]:
        """What must be said of its forward transfer, sentences."""
        return transfer_remarks(self.folder.config, self.metrics, self.environment)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What must agree within a row, by dotted name: all but the seed and other methods' settings."""
        from clrobot.experiment.prepare import as_planned, without_measurements

        in_use = without_measurements(settings_in_use(as_planned(self.folder.config)))
        return dict(flatten({name: value for name, value in in_use.items() if name not in NOT_COMPARED}))

    @cached_property
    def learned(self) -> str:
        """What is equal of runs that were trained in the same way so far, whatever else was planned for them."""
        from clrobot.experiment.method import make_method

        config, done = self.folder.config, self.metrics.stages_done
        stages = config.curriculum.stages
        settings = {name: value for name, value in self.settings.items() if not name.startswith("curriculum.")}
        slots = [list(make_method(config).trained_slots(k, len(stages))) for k in range(done)]
        return json.dumps([self.method, settings, [stage.model_dump(mode="json") for stage in stages[:done]], slots])

    @property
    def row(self) -> str:
        """What is equal of runs that are one row."""
        return f"{self.method} {self.stages} {self.metrics.stages} {self.physics} {json.dumps(self.settings)}"

    @property
    def physics(self) -> int:
        """The version of the physics that it was trained in."""
        return physics_of(self.environment)


def expand(paths: Iterable[Path]) -> list[RunFolder]:
    """Return the runs at these paths; a folder that holds runs stands for those directly inside it.

    Raises:
        UserError: a path is neither, or a run is damaged.
    """
    runs: dict[Path, RunFolder] = {}
    for path in paths:
        inside = [path]
        if path.is_dir() and not (path / "config.yaml").exists():
            inside = runs_inside(path) or [path]
        for entry in inside:
            run = RunFolder.open(entry)  # refused first, where it can be no path at all
            runs.setdefault(entry.resolve(), run)
    return list(runs.values())


def read_runs(folders: Sequence[RunFolder]) -> tuple[list[ComparedRun], list[str]]:
    """Read the runs that have a finished stage.

    Returns:
        The runs, and a sentence for each one that is left out.

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
        read.append(ComparedRun(folder, _environment(folder), metrics))
    return read, notes


def unfinished(runs: Sequence[ComparedRun]) -> list[str]:
    """Return a sentence for each run that is."""
    return [
        f"{run.name} is unfinished ({run.stages}): its numbers are of those stages." for run in runs if run.stages
    ]


def _environment(folder: RunFolder) -> dict[str, Any]:
    environment = folder.read_environment()
    versions = environment.get("versions")
    if not isinstance(versions, dict):
        path = folder.path / "environment.json"
        raise UserError(f"{path} is damaged: `versions` is {shown(versions)}; expected an object: put it back")
    return environment


def without_doubles(runs: Sequence[ComparedRun]) -> tuple[list[ComparedRun], list[str]]:
    """Leave out runs with the settings and the seed of another: the same bits twice are no second sample.

    So is an unfinished run that was trained as far as a finished one and in the same way: what `clrobot extend` has
    copied, until its new stage is over.

    Returns:
        The runs that stay, and a sentence for each one that is left out.
    """
    seen: dict[tuple[int, str], ComparedRun] = {}
    notes = []
    for run in runs:
        first = seen.setdefault((run.seed, run.row), run)
        if first is not run:
            notes.append(f"{run.name} has the settings and the seed of {first.name} and is left out.")
    finished = {(run.seed, run.learned): run for run in seen.values() if not run.stages}
    stay = []
    for run in seen.values():
        if run.stages and (other := finished.get((run.seed, run.learned))) is not None:
            notes.append(f"{run.name} was trained no further than {other.name} yet and is left out.")
        else:
            stay.append(run)
    return stay, notes
