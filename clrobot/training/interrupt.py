"""Ctrl-C, SIGTERM and a closed terminal: the first saves and stops, the second leaves at once."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from clrobot.errors import TrainingStopped
from clrobot.imports import command
from clrobot.studies.signals import SAME_REQUEST
from clrobot.training.training import Training


class Interrupted(TrainingStopped):
    """A training was left at once; the message says how it goes on."""


def _stoppers() -> list[signal.Signals]:
    """Return the signals that stop a training; under nohup a closed terminal does not."""
    hangup = [] if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [signal.SIGHUP]
    return [signal.SIGTERM, *hangup]


@contextmanager
def leaving(run: Path) -> Iterator[None]:
    """Let SIGTERM and SIGHUP leave the block as Ctrl-C does, and say how the run goes on if it has begun."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in _stoppers()}
    try:
        yield
    except KeyboardInterrupt as error:
        begun = (run / "config.yaml").exists()
        again = f"stopped; go on with: {command('resume', run)}"
        raise Interrupted(again if begun else "stopped") from error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def stopping(training: Training) -> Iterator[None]:
    """Let the first SIGINT, SIGTERM or SIGHUP inside the block ask the training to save what it can and stop.

    A second one, later than `SAME_REQUEST` seconds, acts as it did before the block; a terminal that closes says it
    more than once, and cannot insist.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, *_stoppers())}
    asked: float | None = None

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        now = time.monotonic()
        if asked is None:
            training.stop.asked = True
            with suppress(OSError):  # the terminal may be what went away
                training.observer.working("stopping (again to leave at once)")
        elif number != signal.SIGHUP and now - asked >= SAME_REQUEST:
            handler = before[signal.Signals(number)]
            signal.signal(number, handler)
            if callable(handler):
                handler(number, frame)
            else:
                signal.raise_signal(number)
        asked = now

    for number in before:
        signal.signal(number, ask)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
