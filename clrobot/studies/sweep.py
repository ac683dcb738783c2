"""Many runs from one description: methods × seeds × values of one setting, a few at a time, each a process."""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, TypeVar

from clrobot.errors import Busy, TrainingStopped, UserError
from clrobot.experiment.config import RunConfig, make_config, settings_in_use
from clrobot.experiment.config_file import dump_config
from clrobot.experiment.prepare import settle, without_measurements
from clrobot.files import at_home, atomic
from clrobot.imports import import_words
from clrobot.runs.folder import RunFolder
from clrobot.runs.references import missing_references, use_references
from clrobot.studies.processes import Processes, awake_until_done

_T = TypeVar("_T")
_PAUSE = 0.5  # seconds between two looks at a run that another process trains
_TAIL = 4096  # bytes of a log, of which the last line is shown


@dataclass(frozen=True)
class Plan:
    """One run of a sweep."""

    folder: Path
    config: RunConfig


def plan(
    base: RunConfig,
    out: Path,
    methods: Sequence[str],
    seeds: Sequence[int],
    vary: str | None = None,
    values: Sequence[float] = (),
) -> list[Plan]:
    """Return the runs, each with its folder below `out`; all is validated before anything is made.

    Args:
        base: every other setting.
        out: the sweep's folder.
        methods: as in `method`.
        seeds: as in `seed`.
        vary: one more setting by its full name (`ewc.strength`, `network.widths`), or None.
        values: its values; for `network.widths` the units of every hidden layer.

    Raises:
        UserError: a method, a setting or a value is not valid, or two runs are the same.
    """
    out = at_home(out)
    plans = []
    for method, seed, value in itertools.product(methods, seeds, values if vary else (None,)):
        settings = base.model_dump(mode="json") | {"method": method, "seed": seed}
        name = f"{base.curriculum.name}-{method}"
        if vary is not None and value is not None:
            _set(settings, vary, value)
            name += f"-{vary}={value:g}"
        plans.append(Plan(out / f"{name}-{seed}", make_config(**settings)))
    folders = [p.folder for p in plans]
    if len(set(folders)) < len(folders):
        raise UserError("a method, a seed or a value is given twice; name each once")
    return plans


def _set(settings: dict[str, Any], path: str, value: float) -> None:
    *groups, name = path.split(".")
    inner = settings
    for group in groups:
        if not isinstance(inner.get(group), dict):
            raise UserError(f"--vary {path}: no such setting; see clrobot train --help")
        inner = inner[group]
    if name not in inner:
        raise UserError(f"--vary {path}: no such setting; see clrobot train --help")
    number = int(value) if float(value).is_integer() else value  # what cannot be is refused with the settings
    old = inner[name]
    if isinstance(old, list):
        inner[name] = [number] * len(old)
    else:
        inner[name] = number if isinstance(old, int) else value


def run_all(plans: Sequence[Plan], jobs: int, tell: Callable[[str], None]) -> list[RunFolder]:
    """Train what is not finished, `jobs` processes at a time; what was begun is resumed.

    Each process writes its output to `FOLDER.log`. What another process trains now, such as a second sweep, is waited
    for. Returns the finished runs, in the order of the plans.

    Raises:
        UserError: a folder holds another run, something is a link, or a training failed.
        TrainingStopped: by Ctrl-C, SIGTERM or a closed terminal; the trainings have saved themselves.
    """
    waiting = [p for p in plans if not _is_done(p)]
    processes = Processes()
    quietly = _outliving_the_terminal(tell)
    with processes.following_this_process(), ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(_train, planned, processes, quietly) for planned in waiting]
        failures = [awake_until_done(future) for future in futures]
    if processes.stopped:
        raise TrainingStopped("stopped; the same command goes on from there")
    if failed := [failure for failure in failures if failure is not None]:
        raise UserError(f"{len(failed)} of {len(plans)} trainings failed; {failed[0]}")
    return [RunFolder.open(p.folder) for p in plans]


def add_references(
    runs: Sequence[RunFolder], jobs: int, tell: Callable[[str], None], threads: int | None = None
) -> None:
    """Train each task of these runs alone, where that was not done yet, and measure forward transfer against it.

    Of a task that the references which come with clrobot have, learned in the same way, none is trained.

    The physics takes `threads` threads; None: as many as the runs say.

    Raises:
        UserError, TrainingStopped: as `run_all`.
    """
    missing = missing_references(runs, None, unless_shipped=True)
    if threads is not None:
        missing = {path: config.model_copy(update={"threads": threads}) for path, config in missing.items()}
    run_all([Plan(path, config) for path, config in missing.items()], jobs, tell)
    for run in runs:
        when_free(partial(use_references, run, None))  # a second sweep may write the same


def when_free(act: Callable[[], _T]) -> _T:
    """Do what needs a run to itself, as soon as no other process has it."""
    while True:
        try:
            return act()
        except Busy:
            time.sleep(_PAUSE)


def _outliving_the_terminal(tell: Callable[[str], None]) -> Callable[[str], None]:
    """Return `tell` for lines that are lost where there is no terminal any more, or cannot be shown there."""

    def show(line: str) -> None:
        with suppress(OSError, ValueError):
            tell(line)

    return show


def _is_done(planned: Plan) -> bool:
    if planned.folder.is_symlink():
        raise UserError(f"{planned.folder} is a link; give another --out: a sweep trains into folders of its own")
    if not (planned.folder / "config.yaml").exists():
        return False
    run = RunFolder.open(planned.folder)
    if _material(run.config) != _material(settle(planned.config)):
        raise UserError(f"{planned.folder} holds a run with other settings; give another --out, or move it elsewhere")
    return run.finished


def _material(config: RunConfig) -> dict[str, Any]:
    """Return the settings in use that make a run what it is: where it computes changes no bit.

    What was measured of worlds follows from the others.
    """
    found = without_measurements(settings_in_use(config))
    return {name: value for name, value in found.items() if name not in ("threads", "env_processes")}


def _log(planned: Plan) -> Path:
    return planned.folder.with_name(planned.folder.name + ".log")


def _train(planned: Plan, processes: Processes, tell: Callable[[str], None]) -> str | None:
    """Train one run in a process of its own; return None, or why it did not end well.

    A training is judged by its run: one that was finished, and then could not print that, has not failed.
    """
    if processes.stopped:
        return None
    with _turn(planned, processes, tell) as log:
        if log is None or _is_done(planned):  # by whom it was waited for
            return None
        log.truncate(0)
        tell(f"started   {planned.folder}")
        with _open_own(_log(planned)) as output:  # not the one with the lock, which no other process may keep
            code = processes.run(_command(planned), output)
        done = _is_done(planned)
        ended = "finished" if done else "stopped " if processes.stopped else "FAILED  "
        tell(f"{ended}  {planned.folder}")
        last = (_tail(log).strip().splitlines() or [f"no output, and exit code {code}"])[-1]
        return None if done else f"{_log(planned)} ends with: {last}"


def _command(planned: Plan) -> list[str]:
    command = [sys.executable, "-P", "-m", "clrobot", *import_words()]  # -P: not what lies in the current folder
    if (planned.folder / "config.yaml").exists():
        # What belongs to this machine is what the sweep was given, not what the run's own files say.
        here = ("--tracker", planned.config.tracker, "--threads", str(planned.config.threads))
        return [*command, "resume", str(planned.folder), *here]
    settings = planned.folder.with_name(planned.folder.name + ".yaml")
    with atomic(settings) as file:
        file.write_text(dump_config(planned.config), encoding="utf-8")
    return [*command, "train", "--config", str(settings), "--out", str(planned.folder)]


@contextmanager
def _turn(planned: Plan, processes: Processes, tell: Callable[[str], None]) -> Iterator[IO[bytes] | None]:
    """Yield the run's log once nobody else trains the run, or None if this process is stopped while it waits.

    Of several sweeps the one that holds the log's lock trains the run, so that no two begin it at the same time.
    """
    path = _log(planned)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _open_own(path) as log:
        waits = False
        while _is_busy(planned, log):
            if not waits:
                tell(f"waiting   {planned.folder}, which another process trains")
                waits = True
            time.sleep(_PAUSE)
            if processes.stopped:
                break
        yield None if processes.stopped else log


def _open_own(path: Path) -> IO[bytes]:
    """Open a log to be written: a plain file of this name alone, since a link leads elsewhere."""
    wrong = UserError(f"{path} is a link or no plain file; move it elsewhere: a sweep writes its log there")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise wrong from error
        raise
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(descriptor)
        raise wrong
    return os.fdopen(descriptor, "r+b", buffering=0)


def _is_busy(planned: Plan, log: IO[bytes]) -> bool:
    """Lock the log, and see whether a process that no sweep started trains the run."""
    try:
        fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass  # a disk without locks
    if not (planned.folder / "config.yaml").exists():
        return False
    run = RunFolder(planned.folder)
    try:
        run.lock()
    except Busy:
        return True
    run.unlock()
    return False


def _tail(log: IO[bytes]) -> str:
    log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL))
    return log.read(_TAIL).decode("utf-8", errors="replace")
