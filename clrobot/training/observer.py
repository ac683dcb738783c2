"""What a training reports to: the terminal's display, or nothing that is seen."""

from __future__ import annotations

from typing import Protocol

from clrobot.errors import warn
from clrobot.results.scores import Score


class Observer(Protocol):
    """Gets a call whenever a training has something to report; the terminal's display is one."""

    def stage_started(self, stage: int, task: str, steps: int, done: int = 0) -> None:
        """Stage `stage` (from 1) of `steps` steps begins, or goes on after `done` of them."""

    def advanced(self, steps: int, success: float | None) -> None:
        """`steps` steps of the stage are done; `success` is the task's newest evaluation."""

    def working(self, what: str) -> None:
        """Something other than training takes time now: evaluating, recording."""

    def stage_finished(self, stage: int, row: list[Score]) -> None:
        """Stage `stage` is over, with these scores of every slot."""

    def warn(self, message: str) -> None:
        """Something failed that does not stop the training."""


class Silent:
    """An observer that shows nothing."""

    def stage_started(self, stage: int, task: str, steps: int, done: int = 0) -> None:
        """Show nothing."""

    def advanced(self, steps: int, success: float | None) -> None:
        """Show nothing."""

    def working(self, what: str) -> None:
        """Show nothing."""

    def stage_finished(self, stage: int, row: list[Score]) -> None:
        """Show nothing."""

    def warn(self, message: str) -> None:
        """Write the warning to the standard error."""
        warn(message)
