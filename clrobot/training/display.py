"""What a training shows in the terminal: one line while a stage runs, one that stays when it is over."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from clrobot.experiment.curriculum import Curriculum
from clrobot.results.numbers import number
from clrobot.results.scores import Score
from clrobot.terminal import LiteralConsole

# Between two lines of a stage where nothing can be redrawn: nohup, a scheduler's log.
_LINE_SECONDS = 60.0


class TerminalObserver:
    """Shows stage, steps, steps per second, the newest success and the time left; fits 80 columns.

    Where the output is no terminal, the same is a line of its own every minute.

    Args:
        curriculum: what is trained.
        method: its name.
        console: where to show it.
        clock: seconds that never go backwards.
    """

    def __init__(
        self,
        curriculum: Curriculum,
        method: str,
        console: LiteralConsole,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._slots = curriculum.slots
        self._method = method
        self._console = console
        self._progress = Progress(
            TextColumn("{task.fields[stage]}", style="bold", markup=False),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=12),
            TextColumn("{task.fields[steps]} {task.fields[rate]} {task.fields[success]}", markup=False),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
        )
        self._row = self._progress.add_task("starting", stage=method, steps="", rate="", success="", total=None)
        self._started = 0.0
        self._stage = method
        self._total = self._done_before = 0
        self._busy = 0.0
        self._last_line = clock()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def stage_started(self, stage: int, task: str, steps: int, done: int = 0) -> None:
        """Begin a stage's line; rate and time left are of what comes after the first `done` steps."""
        self._started = self._last_line = self._clock()
        self._total, self._done_before = steps, done
        numbered = f"{self._method} {stage}/{len(self._slots)}"
        self._stage = f"{numbered} {task}"
        self._progress.reset(
            self._row,
            total=steps,
            completed=done,
            description=task,
            stage=numbered,
            steps="",
            rate="",
            success="",
        )

    def advanced(self, steps: int, success: float | None) -> None:
        """Bring the line up to date."""
        now = self._clock()
        self._busy = now - self._started
        rate = (steps - self._done_before) / self._busy if self._busy > 0 else 0.0
        self._progress.update(
            self._row,
            completed=steps,
            steps=f"{_thousands(steps)}/{_thousands(self._total)}",
            rate=f"{rate:,.0f}/s",
            success="" if success is None else f"success {number(success)}",
        )
        if not self._console.is_terminal and now - self._last_line >= _LINE_SECONDS and rate > 0:
            self._last_line = now
            left = timedelta(seconds=round((self._total - steps) / rate))
            newest = "" if success is None else f", success {number(success)}"
            self._console.print(
                f"{self._stage} {_thousands(steps)} of {_thousands(self._total)} steps, {rate:,.0f}/s{newest}, "
                f"{left} left in this stage",
                soft_wrap=True,
            )

    def working(self, what: str) -> None:
        """Say what takes time now."""
        self._progress.update(self._row, description=what)

    def stage_finished(self, stage: int, row: list[Score]) -> None:
        """Leave one line: how every skill so far does."""
        line = Text(f"{self._method} {stage}/{len(self._slots)} ", style="bold")
        line.append(f"{_thousands(self._total - self._done_before)} steps in {self._busy:.0f} s ", style="dim")
        for name, score in list(zip(self._slots, row, strict=True))[:stage]:
            line.append(f" {name} ", style="default")
            if (success := score.success_any) is None:  # nothing in its world tells
                line.append(f"return {number(score.return_mean, decimals=1)}")
                continue
            style = "green" if success >= 0.9 else "yellow" if success >= 0.5 else "red"
            line.append(number(success), style=style)
        self._console.print(line)

    def warn(self, message: str) -> None:
        """Leave a warning."""
        self._console.print(f"warning: {message}", style="yellow")


def _thousands(steps: int) -> str:
    return f"{steps / 1000:.0f}k"
