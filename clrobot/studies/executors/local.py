"""Processes on this machine, each in a group of its own: whatever stops or pauses the study is passed on once."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress

from typing_extensions import override

from clrobot.envs.cores import usable_cores
from clrobot.safe_path import safe_environment
from clrobot.studies.executors.executor import Executor, Job
from clrobot.studies.logs import open_own

_KILLED_AT = 3  # requests to stop


def make(settings: object = None) -> Executor:
    """Return the executor; it has no settings."""
    return LocalExecutor()


class LocalExecutor(Executor):
    """The processes that work now.

    The first request to stop lets each save itself, the second makes it leave at once, the third kills it. In every
    case they are waited for, so that nothing is left running.
    """

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._requests = 0

    @override
    def run(self, job: Job, stopped: Callable[[], bool]) -> int:
        """Run one process, and return its exit code."""
        # In a group of its own a terminal's Ctrl-C does not reach it: whatever stops this process is passed on once.
        with (
            open_own(job.log) as log,
            subprocess.Popen(
                job.words(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # The log is ours, whatever the terminal's encoding: no character may end a training.
                env={**safe_environment(), "PYTHONIOENCODING": "utf-8:backslashreplace", **job.environment},
                process_group=0,
            ) as process,
        ):
            self._running.add(process)
            if stopped():  # while it was started
                self._end(process)
            code = process.wait()
            self._running.discard(process)
        return code

    @override
    def at_a_time(self, runs: int) -> int:
        """Return one for each core that this process may use."""
        return min(runs, usable_cores())

    @override
    def threads(self, jobs: int) -> int:
        """Return an equal share of the cores that this process may use."""
        return max(1, usable_cores() // jobs)

    @override
    def stop(self, times: int) -> None:
        """End each process that runs now."""
        self._requests = times
        for process in tuple(self._running):
            self._end(process)

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        if self._requests >= _KILLED_AT:
            _tell_group(process, signal.SIGKILL)
        else:
            process.terminate()
            _tell_group(process, signal.SIGCONT)  # one that is paused could not save itself

    @override
    def pause(self) -> None:
        """Pause each process."""
        for process in tuple(self._running):
            _tell_group(process, signal.SIGTSTP)

    @override
    def go_on(self) -> None:
        """Let each process go on."""
        for process in tuple(self._running):
            _tell_group(process, signal.SIGCONT)


def _tell_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
