"""Whose turn a run is: found finished, trained by another process, or ours to train."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

from clrobot.errors import Busy, UserError, shown
from clrobot.experiment.config import CHANGES_NO_SCORE, RunConfig, settings_in_use
from clrobot.experiment.dotted import flatten
from clrobot.experiment.prepare import settle, without_measurements
from clrobot.runs.folder import RunFolder
from clrobot.runs.lock import Held, hold
from clrobot.studies.logs import open_own
from clrobot.studies.plan import Plan

_T = TypeVar("_T")
_PAUSE = 0.5  # seconds between two looks at a run that another process trains
_STAGE, _SNAPSHOT = re.compile(r"stage_\d{2,4}"), re.compile(r"step_(\d{12,13})")


def log_of(planned: Plan) -> Path:
    """Return where the output of a run's processes goes: a file beside the run's folder."""
    return planned.folder.with_name(planned.folder.name + ".log")


def finished_run(planned: Plan) -> RunFolder | None:
    """Return the run that was planned if it is finished, or None.

    Raises:
        UserError: its folder holds another run, or is a link.
    """
    if planned.folder.is_symlink():
        raise UserError(f"{planned.folder} is a link; give another --out: a study trains into folders of its own")
    if not (planned.folder / "config.yaml").exists():
        return None
    run = RunFolder.open(planned.folder)
    if differences := _differences(run.config, settle(planned.config)):
        raise UserError(
            f"{planned.folder} holds a run with other settings ({differences}); give another --out, or move it "
            "elsewhere"
        )
    if not run.finished:
        return None
    run.clear_end()
    return RunFolder(planned.folder)  # without its settings: there may be a thousand


def progress(folder: Path) -> tuple[int, int]:
    """Return how far a run came, as what can only rise: its finished stages, and the step of its newest snapshot.

    -1 stands for no snapshot. The run may be trained meanwhile, which removes its snapshots at the end.
    """
    stages = sum(1 for name in _names(folder) if _STAGE.fullmatch(name))
    found = map(_SNAPSHOT.fullmatch, _names(folder / "resume"))
    return stages, max((int(match[1]) for match in found if match), default=-1)


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


@contextmanager
def turn(planned: Plan, stopped: Callable[[], bool], tell: Callable[[str], None]) -> Iterator[IO[bytes] | None]:
    """Yield the run's log once nobody else trains the run, or None if this process is stopped while it waits.

    Of several studies the one that holds the log's lock trains the run, so that no two begin it at the same time.
    """
    log_of(planned).parent.mkdir(parents=True, exist_ok=True)
    held, waits = None, False
    try:
        while not stopped() and (held := _take(planned)) is None:
            if not waits:
                tell(f"waiting   {planned.folder}, which another process trains")
                waits = True
            time.sleep(_PAUSE)
        yield None if held is None or stopped() else held.file
    finally:
        if held is not None:
            held.release()


def when_free(act: Callable[[], _T]) -> _T:
    """Do what needs a run to itself, as soon as no other process has it."""
    while True:
        try:
            return act()
        except Busy:
            time.sleep(_PAUSE)


def _take(planned: Plan) -> Held | None:
    """Lock the log, unless another study has it or a process that no study started trains the run."""
    log = log_of(planned)
    try:
        # A study has hundreds: where the disk's lock tells that one is taken, none needs a thread for its heartbeat.
        held = hold(open_own(log), log.with_name(f"{log.name}.lock"), str(planned.folder), beats=False)
    except Busy:
        return None
    if RunFolder(planned.folder).is_busy():
        held.release()
        return None
    return held


def _differences(there: RunConfig, wanted: RunConfig) -> str:
    """Return in what two runs differ, or nothing."""
    found, expected = dict(flatten(_material(there))), dict(flatten(_material(wanted)))
    names = [name for name in {**expected, **found} if found.get(name) != expected.get(name)]
    values = [f"{name} {shown(found.get(name))} and not {shown(expected.get(name))}" for name in names[:3]]
    return ", ".join([*values, *([f"{len(names) - 3} more"] if len(names) > 3 else [])])


def _material(config: RunConfig) -> dict[str, Any]:
    """Return the settings in use that make a run what it is: what changes no score is free.

    What was measured of worlds follows from the others. Where worlds begin anew at every snapshot it matters when.
    """
    found = without_measurements(settings_in_use(config))
    kept = {name: value for name, value in found.items() if name not in CHANGES_NO_SCORE}
    # The seed tells that too, and an older run does not.
    kept["curriculum"] = {name: value for name, value in kept["curriculum"].items() if name != "drawn_by"}
    return kept if config.curriculum.saves_state else kept | {"checkpoint": {"steps": config.checkpoint.steps}}
