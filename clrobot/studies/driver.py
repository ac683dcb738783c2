"""The driver of a study: it keeps an executor busy until each run is finished, or has failed for good."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, Literal

from clrobot.errors import TrainingStopped, UserError, cut
from clrobot.experiment.config_file import dump_config
from clrobot.files import atomic
from clrobot.imports import import_words
from clrobot.runs.folder import RunFolder
from clrobot.studies.executors.executor import Executor, Job
from clrobot.studies.executors.local import LocalExecutor
from clrobot.studies.logs import last_line
from clrobot.studies.plan import Plan
from clrobot.studies.signals import Requests
from clrobot.studies.turns import finished_run, log_of, progress, turn

AGAIN: Final = 2  # so often a run is tried again that fails without having come any further
TAKEN: Final = 100  # and so often one that is taken away, which may well happen before it could begin
_AWAKE = 0.5  # seconds between two looks for signals
_REFUSED = "another process is training"  # as a training says that finds its run taken
_MOST_WAITS = 10  # for who took it: each lasts until that one lets go, or its heartbeat has been silent for minutes
_PAUSE = 1.0  # seconds until what was taken away is started again

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

# How a training ends that was stopped from outside and has saved itself, or was told so before it could listen.
_TAKEN_AWAY = (None, 130, -2, -15, 143)

State = Literal["planned", "running", "finished", "failed", "stopped"]


@dataclass(frozen=True)
class Failure:
    """A run that failed for good.

    Attributes:
        planned: the run.
        error: where its log lies and the last line there, how it is damaged, or what the disk could not do for it.
    """

    planned: Plan
    error: str

    def __str__(self) -> str:
        return f"{self.planned.folder}: {self.error}"


@dataclass
class Board:
    """Where each run of a study stands, for whoever shows it.

    Attributes:
        states: of the runs, by folder, in the order of the plans.
        tick: called twice a second in the main thread.
    """

    states: dict[Path, State] = field(default_factory=dict)
    tick: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Outcome:
    """How a study ended, each in the order of the plans."""

    runs: list[RunFolder]
    failures: list[Failure]


def run_all(
    plans: Sequence[Plan],
    jobs: int | None,
    tell: Callable[[str], None],
    executor: Executor | None = None,
    board: Board | None = None,
) -> Outcome:
    """Train what is not finished, `jobs` processes at a time; what was begun is resumed, what fails tried again.

    Each process writes its output to `FOLDER.log`. What another process trains now, such as a second study, is waited
    for.

    Args:
        plans: the runs.
        jobs: processes at a time; None: as many as the executor thinks right.
        tell: called with a line for whatever happens to a run.
        executor: what starts the processes; None: this machine.
        board: where each run's state is noted.

    Raises:
        UserError: a folder holds another run, something is a link, or nothing can be started in this way.
        TrainingStopped: by Ctrl-C, SIGTERM or a closed terminal; the trainings have saved themselves.
    """
    board = board or Board()
    there = {planned.folder: finished_run(planned) for planned in plans}
    board.states |= {folder: "planned" if run is None else "finished" for folder, run in there.items()}
    waiting = [planned for planned in plans if there[planned.folder] is None]
    executor = executor or LocalExecutor()
    at_a_time = min(jobs or executor.at_a_time(len(waiting)), len(waiting)) or 1
    driver = _Driver(executor, at_a_time, tell, board)
    ends = driver.work(waiting)
    failures = [end for end in ends if isinstance(end, Failure)]
    there |= {end.path: end for end in ends if isinstance(end, RunFolder)}
    return Outcome([run for planned in plans if (run := there[planned.folder]) is not None], failures)


class _Driver:
    """One call of `run_all`."""

    def __init__(self, executor: Executor, jobs: int, tell: Callable[[str], None], board: Board) -> None:
        self._executor = executor
        self._requests = Requests(executor)
        self._jobs = jobs
        self._tell = _outliving_the_terminal(tell)
        self._board = board
        self._refused = False

    def work(self, plans: Sequence[Plan]) -> list[RunFolder | Failure | None]:
        """Train each of these; return what became of them."""
        with self._requests.passed_on(), ThreadPoolExecutor(self._jobs) as pool:
            futures = [pool.submit(self._unless_refused, planned) for planned in plans]
            try:
                self._await(futures)
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
            ends = [future.result() for future in futures]
        if self._requests.stopped():
            raise TrainingStopped("stopped; the same command goes on from there")
        return ends

    def _await(self, futures: Sequence[Future[RunFolder | Failure | None]]) -> None:
        """Wait for all, or for an error, and look at signals on the way.

        Python runs a signal's handler in the main thread alone. One that comes just before that thread falls asleep,
        or to another thread, would be seen only when it wakes.
        """
        left = set(futures)
        while left:
            done, left = wait(left, timeout=_AWAKE, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
            with suppress(OSError):  # what cannot be shown stops no training
                self._board.tick()

    def _unless_refused(self, planned: Plan) -> RunFolder | Failure | None:
        """Train one run, unless nothing can be started: then no further one is begun.

        What the disk or this machine cannot do for one, such as to open another file, ends no other.
        """
        try:
            return None if self._refused else self._train(planned)
        except UserError:
            self._refused = True
            raise
        except OSError as error:
            return self._failed(planned, cut(str(error), 300))

    def _train(self, planned: Plan) -> RunFolder | Failure | None:
        """Train one run in processes of its own; return it, why it failed, or None where the study was stopped.

        A training is judged by its run: one that was finished, and then could not print that, has not failed.
        """
        stopped = self._requests.stopped
        if stopped():
            return None
        with turn(planned, stopped, self._tell) as log:
            if log is None:
                return None
            if (run := finished_run(planned)) is not None:  # by whom it was waited for
                self._note(planned, "finished")
                return run
            return self._until_it_ends(planned, log)

    def _until_it_ends(self, planned: Plan, log: IO[bytes]) -> RunFolder | Failure | None:
        """Start processes until the run is finished, has failed for good, or the study is stopped."""
        self._note(planned, "running", "started ")
        failures, taken, waited, best = 0, 0, 0, progress(planned.folder)
        while True:
            log.truncate(0)
            code = self._executor.run(self._job(planned), self._requests.stopped)
            try:
                run = finished_run(planned)
            except UserError as damage:  # of this run, and of no other
                return self._failed(planned, str(damage))
            if run is not None:
                self._note(planned, "finished", "finished")
                return run
            if self._requests.stopped():
                self._note(planned, "stopped", "stopped ")
                return None
            error = last_line(log) or f"no output, and exit code {code}"
            if (reached := progress(planned.folder)) > best:
                failures, taken, best = 0, 0, reached
            elif code in _TAKEN_AWAY:
                taken += 1
                time.sleep(_PAUSE)
            elif _REFUSED in error and waited < _MOST_WAITS and self._is_trained_elsewhere(planned):
                waited += 1
                continue
            else:
                failures += 1
            if taken > TAKEN:
                why = f"was taken away {taken} times without having come any further; give its processes more time"
                return self._failed(planned, f"{why}, or another place; {log_of(planned)} ends with: {error}")
            if failures > AGAIN:
                return self._failed(planned, f"{log_of(planned)} ends with: {error}")
            self._note(planned, "running", "again   ", f", which ended with: {error}")

    def _is_trained_elsewhere(self, planned: Plan) -> bool:
        """Return whether another process had the run, once it has let go of it.

        A study that was killed may have left one that had not begun when this one looked.
        """
        had = False
        while RunFolder(planned.folder).is_busy() and not self._requests.stopped():
            had = True
            time.sleep(_PAUSE)
        return had

    def _failed(self, planned: Plan, error: str) -> Failure:
        self._note(planned, "failed", "FAILED  ")
        return Failure(planned, error)

    def _note(self, planned: Plan, state: State, word: str | None = None, why: str = "") -> None:
        self._board.states[planned.folder] = state
        if word is not None:
            self._tell(f"{word}  {planned.folder}{why}")

    def _job(self, planned: Plan) -> Job:
        """Return the process that begins the run, or goes on with it."""
        share = self._executor.threads(self._jobs)
        threads = planned.config.threads or share
        command = [sys.executable, "-P", "-m", "clrobot", *import_words()]  # -P: not what lies in the current folder
        there = ("--threads", str(threads))
        # What belongs to this machine is what the study was given, not what the run's own files say.
        again = (*command, "resume", str(planned.folder), "--tracker", planned.config.tracker, *there)
        if (planned.folder / "config.yaml").exists():
            words = again
        else:
            settings = planned.folder.with_name(planned.folder.name + ".yaml")
            with atomic(settings) as file:
                file.write_text(dump_config(planned.config), encoding="utf-8")
            words = (*command, "train", "--config", str(settings), "--out", str(planned.folder), *there)
        # numpy's and torch's own threads: what is not given would be a thread for each core in every process.
        variables = {name: str(share) for name in _THREADS if share and name not in os.environ}
        return Job(planned.folder, words, log_of(planned), variables, again)


def _outliving_the_terminal(tell: Callable[[str], None]) -> Callable[[str], None]:
    """Return `tell` for lines that are lost where there is no terminal any more, or cannot be shown there."""

    def show(line: str) -> None:
        with suppress(OSError, ValueError):
            tell(line)

    return show
