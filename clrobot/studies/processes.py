"""Trainings in processes of their own: whatever stops, pauses or continues this process is passed on to them once."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from types import FrameType
from typing import IO, TypeVar

from clrobot.safe_path import safe_environment

# Two signals within so many seconds are one request: `timeout`, systemd and Slurm tell a process and its whole group,
# and a sweep passes on to its trainings what it was asked.
SAME_REQUEST = 0.5
_KILLED_AT = 3  # requests

_Handler = Callable[[int, FrameType | None], object]

_AWAKE = 0.5  # seconds between two looks for signals
_Result = TypeVar("_Result")


class Processes:
    """The processes that work now.

    The first request to stop lets each save itself, the second makes it leave at once, the third kills it. In every
    case they are waited for, so that nothing is left running.

    Attributes:
        requests: how often this process was asked to stop.
    """

    def __init__(self) -> None:
        self.requests = 0
        self._running: set[subprocess.Popen[bytes]] = set()
        self._last_request = -float("inf")

    @property
    def stopped(self) -> bool:
        """Whether this process was asked to stop: nothing new is started."""
        return self.requests > 0

    def run(self, command: Sequence[str], log: IO[bytes]) -> int:
        """Run one process, that writes to `log`, and return its exit code (as `subprocess` has it)."""
        # In a group of its own a terminal's Ctrl-C does not reach it: whatever stops this process is passed on once.
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # The log is ours, whatever the terminal's encoding: no character may end a training.
            env=safe_environment() | {"PYTHONIOENCODING": "utf-8:backslashreplace"},
            process_group=0,
        ) as process:
            self._running.add(process)
            if self.stopped:  # while it was started
                self._end(process)
            code = process.wait()
            self._running.discard(process)
        return code

    @contextmanager
    def following_this_process(self) -> Iterator[None]:
        """Pass on what this process is asked: stop (SIGINT, SIGTERM, SIGHUP), pause (SIGTSTP) and go on (SIGCONT).

        Nothing is raised: the block sees `stopped`, and ends when its processes have.
        """
        if threading.current_thread() is not threading.main_thread():  # only there can signals be taken
            yield
            return
        handlers: dict[int, _Handler] = dict.fromkeys((signal.SIGINT, signal.SIGTERM), self._stop)
        handlers |= {signal.SIGHUP: self._stop, signal.SIGTSTP: self._pause, signal.SIGCONT: self._go_on}
        for ignored in (signal.SIGHUP, signal.SIGTSTP):
            if signal.getsignal(ignored) is signal.SIG_IGN:  # as under nohup
                del handlers[ignored]
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        # A terminal that closes says it more than once, and cannot insist.
        again = self.stopped and (number == signal.SIGHUP or now - self._last_request < SAME_REQUEST)
        self._last_request = now
        if again:
            return
        self.requests += 1
        for process in tuple(self._running):
            self._end(process)

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        if self.requests >= _KILLED_AT:
            _tell_group(process, signal.SIGKILL)
        else:
            process.terminate()
            _tell_group(process, signal.SIGCONT)  # one that is paused could not save itself

    def _pause(self, number: int, frame: FrameType | None) -> None:
        for process in tuple(self._running):
            _tell_group(process, signal.SIGTSTP)
        os.kill(os.getpid(), signal.SIGSTOP)  # now, and not only where a shell looks after this group

    def _go_on(self, number: int, frame: FrameType | None) -> None:
        for process in tuple(self._running):
            _tell_group(process, signal.SIGCONT)


def awake_until_done(future: Future[_Result]) -> _Result:
    """Return a future's result, and look at signals on the way.

    Python runs a signal's handler in the main thread alone. One that comes just before that thread falls asleep, or
    to another thread, would be seen only when it wakes.
    """
    while not wait([future], timeout=_AWAKE).done:
        pass
    return future.result()


def _tell_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
