"""What this process is asked by signals, passed on to an executor once."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from clrobot.studies.executors.executor import Executor

# Two signals within so many seconds are one request: `timeout`, systemd and Slurm tell a process and its whole group,
# and a study passes on to its trainings what it was asked.
SAME_REQUEST = 0.5

_Handler = Callable[[int, FrameType | None], object]


class Requests:
    """How often this process was asked to stop.

    Attributes:
        times: so often.
    """

    def __init__(self, executor: Executor) -> None:
        self.times = 0
        self._executor = executor
        self._last = -float("inf")

    def stopped(self) -> bool:
        """Return whether this process was asked to stop: nothing new is started."""
        return self.times > 0

    @contextmanager
    def passed_on(self) -> Iterator[None]:
        """Pass on what this process is asked: stop (SIGINT, SIGTERM, SIGHUP), pause (SIGTSTP) and go on (SIGCONT).

        Nothing is raised: the block asks `stopped`, and ends when its processes have.
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
        again = self.stopped() and (number == signal.SIGHUP or now - self._last < SAME_REQUEST)
        self._last = now
        if again:
            return
        self.times += 1
        self._executor.stop(self.times)

    def _pause(self, number: int, frame: FrameType | None) -> None:
        self._executor.pause()
        os.kill(os.getpid(), signal.SIGSTOP)  # now, and not only where a shell looks after this group

    def _go_on(self, number: int, frame: FrameType | None) -> None:
        self._executor.go_on()
