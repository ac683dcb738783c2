"""How far the runs of a study have come: read from their folders, quickly, by whoever may look at them.

Nothing is kept between two looks, nothing is written, and no run's settings are read: what was planned stands in the
study's own file.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from clrobot.errors import cut
from clrobot.files import read_plain
from clrobot.studies.record import PlannedRun, read_record
from clrobot.studies.turns import progress
from clrobot.studies.working import Working

_MOST_BYTES = 64 * 2**20  # of what a run's files hold
_TAIL = 4096  # bytes of scores or of a log, of which the last line is read

Stand = Literal["planned", "running", "finished", "stopped", "failed"]


@dataclass(frozen=True)
class RunStatus:
    """How far one run has come; None where that is not known.

    Attributes:
        run: its folder's name.
        state: planned: nothing is there yet; stopped: begun, and nobody works at it now; failed: the same, and its
            last process ended with an error.
        stage: the one that it is at, from 1.
        stages: how many there are.
        task: of that stage.
        step: control steps that are learned, as far as anything on the disk says.
        steps: of all stages.
        success: of the stage's task at its newest evaluation; of a finished run the average success.
        steps_per_second: over all that the run has done, evaluations and films included.
        seconds_left: until it is finished at that rate.
        error: the last line of a failed process.
    """

    run: str
    state: Stand
    stage: int
    stages: int
    task: str
    step: int
    steps: int
    success: float | None
    steps_per_second: float | None
    seconds_left: float | None
    error: str | None = None


@dataclass(frozen=True)
class StudyStatus:
    """How far a study has come.

    Attributes:
        study: its name.
        counts: of the runs in each state.
        seconds_left: until all are finished, if as many go on at a time as now; None where none is running.
        runs: each, in the study's order.
    """

    study: str
    counts: dict[str, int]
    seconds_left: float | None
    runs: list[RunStatus]

    def to_data(self) -> dict[str, Any]:
        """Return it in JSON's types."""
        return asdict(self)


def study_status(out: Path) -> StudyStatus:
    """Return how far the study in a folder has come.

    Raises:
        UserError: there is none.
    """
    name, planned = read_record(out)
    working = Working()
    runs = [run_status(out, run, working) for run in planned]
    counts: Counter[str] = Counter(run.state for run in runs)
    running = counts["running"]
    return StudyStatus(name, dict(counts), seconds_left(runs, running) if running else None, runs)


def seconds_left(runs: Iterable[RunStatus], at_a_time: int) -> float | None:
    """Return the time until all are finished, where so many go on at a time; None while no rate is known.

    A run that has none of its own yet is expected to be as quick as the others of its curriculum's length are.
    """
    runs = list(runs)
    rates = [run.steps_per_second for run in runs if run.steps_per_second]
    if not rates or not at_a_time:
        return None
    usual = len(rates) / sum(1 / rate for rate in rates)
    unfinished = [run for run in runs if run.state not in ("finished", "failed")]
    each = [(run.steps - run.step) / (run.steps_per_second or usual) for run in unfinished]
    return max([sum(each) / at_a_time, *each], default=0.0)


def run_status(out: Path, planned: PlannedRun, working: Working) -> RunStatus:
    """Return how far one run has come."""
    folder, steps, stages = out / planned.folder, sum(planned.steps), len(planned.steps)
    here = _Here(folder)
    done, newest = here.done, progress(folder)[1]
    finished = done == stages and (folder / f"stage_{stages:02d}").is_dir()
    stage = min(done + 1, stages)
    error = None
    if finished:
        state: Stand = "finished"
    elif working.at(folder):
        state = "running"
    else:
        error = _error(folder)
        state = "failed" if error else "stopped" if folder.is_dir() else "planned"
    before = sum(planned.steps[:done])
    score = None if finished else here.newest_score(stage)
    step = steps if finished else min(steps, max(before, newest, here.ends, 0 if score is None else score["step"]))
    rate = here.rate(newest)
    return RunStatus(
        run=planned.folder,
        state=state,
        stage=stage,
        stages=stages,
        task=planned.slots[stage - 1],
        step=step,
        steps=steps,
        success=here.average if finished else None if score is None else score["success_any"],
        steps_per_second=rate,
        seconds_left=0.0 if finished else (steps - step) / rate if rate else None,
        error=error,
    )


class _Here:
    """What a run's own files tell; what is missing or damaged tells nothing, and is for other verbs to judge."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._metrics = _mapping(folder / "metrics.json")

    @property
    def done(self) -> int:
        """The finished stages."""
        found = self._metrics.get("stages_done")
        return found if isinstance(found, int) and found >= 0 else 0

    @property
    def ends(self) -> int:
        """The step at which the newest of them ended."""
        found = self._metrics.get("stage_ends")
        return max((end for end in found if isinstance(end, int)), default=0) if isinstance(found, list) else 0

    @property
    def average(self) -> float | None:
        """The average success so far."""
        return _number(self._metrics.get("average_success"))

    def rate(self, snapshot: int) -> float | None:
        """Return the control steps in a second until the newest snapshot (-1: there is none), or stage's end."""
        if snapshot > self.ends:
            name = f"step_{snapshot:012d}"
            seconds, steps = _mapping(self._folder / "resume" / name / "progress.json").get("seconds"), snapshot
        else:
            seconds, steps = self._metrics.get("seconds"), self.ends
        spent = sum(filter(None, map(_number, seconds.values()))) if isinstance(seconds, dict) else 0.0
        return steps / spent if spent > 0 and steps else None

    def newest_score(self, stage: int) -> dict[str, Any] | None:
        """Return the newest evaluation of a stage's own task during it; the file counts slots from 1."""
        for line in reversed(_tail(self._folder / "scores.jsonl")):
            try:
                score = json.loads(line)
            except ValueError:  # half-written, or cut off by the limit
                continue
            if not isinstance(score, dict) or score.get("stage") != stage:
                return None
            if score.get("slot") == stage and isinstance(score.get("step"), int):
                return score | {"success_any": _number(score.get("success_any"))}
        return None


def _error(folder: Path) -> str | None:
    """Return the last line of a run's log if its process ended with an error."""
    lines = [line for line in _tail(folder.with_name(folder.name + ".log")) if line.strip()]
    last = lines[-1] if lines else ""
    told = last.startswith("clrobot: ") and not last.startswith(("clrobot: stopped", "clrobot: warning: "))
    failed = told or any(line.startswith("Traceback ") for line in lines)
    return cut(last, 300) if failed else None


def _tail(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - _TAIL))
            return file.read(_TAIL).decode("utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _mapping(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(read_plain(path, _MOST_BYTES, follow=False))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
