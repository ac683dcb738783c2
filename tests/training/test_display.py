"""What a training shows: in a terminal one line that is redrawn, elsewhere a line every minute."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from clrobot.experiment.yaml_file import load_curriculum
from clrobot.training.display import TerminalObserver


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def shown(clock: Clock, seconds: int, done: int = 0, *, terminal: bool = False) -> list[str]:
    """The lines of a stage of 60,000 steps that makes 100 a second, after the first `done`."""
    file = io.StringIO()
    console = Console(file=file, width=80, force_terminal=terminal, color_system=None)
    observer = TerminalObserver(load_curriculum("quick"), "ewc", console, clock)
    observer.stage_started(2, "button-press", 60_000, done)
    for _ in range(seconds):
        clock.now += 1
        observer.advanced(done + 100 * int(clock.now), 0.5)
    return file.getvalue().splitlines()


def test_without_a_terminal_a_line_comes_every_minute_with_the_time_left(clock: Clock) -> None:
    assert shown(clock, seconds=130) == [
        "ewc 2/3 button-press 6k of 60k steps, 100/s, success 0.50, 0:09:00 left in this stage",
        "ewc 2/3 button-press 12k of 60k steps, 100/s, success 0.50, 0:08:00 left in this stage",
    ]


def test_rate_and_time_left_are_of_this_process(clock: Clock) -> None:
    """A run that is resumed at step 40,000 has not made those in its first second."""
    (line,) = shown(clock, seconds=70, done=40_000)
    assert line == "ewc 2/3 button-press 46k of 60k steps, 100/s, success 0.50, 0:02:20 left in this stage"


def test_in_a_terminal_no_line_is_left_within_a_stage(clock: Clock) -> None:
    assert shown(clock, seconds=130, terminal=True) == []
