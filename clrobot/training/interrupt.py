"""Ctrl-C and SIGTERM: the first saves and stops, the second leaves at once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from clrobot.errors import TrainingStopped
from clrobot.training.training import Training


class Interrupted(TrainingStopped):
    """A training was left at once; the message says how it goes on."""


@contextmanager
def leaving(run: Path) -> Iterator[None]:
    """Let SIGTERM leave the block as Ctrl-C does, and say how the run goes on if it has begun."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt as error:
        begun = (run / "config.yaml").exists()
        raise Interrupted(f"stopped; go on with: clrobot resume {run}" if begun else "stopped") from error
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def stopping(training: Training) -> Iterator[None]:
    """Let the first SIGINT or SIGTERM inside the block ask the training to save itself and stop.

    The handlers from before are put back at the signal, so that a second one acts as it always does, and at the end.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def put_back() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def ask(number: int, frame: FrameType | None) -> None:
        put_back()
        training.stop.asked = True
        training.observer.working("saving, to stop (again to leave at once)")

    for number in before:
        signal.signal(number, ask)
    try:
        yield
    finally:
        put_back()
