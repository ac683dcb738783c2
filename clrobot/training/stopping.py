"""How a training is asked to stop, and what it raises when it has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from clrobot.errors import TrainingStopped
from clrobot.imports import command
from clrobot.runs.folder import RunFolder
from clrobot.runs.snapshot import snapshots, step_of
from clrobot.training.observer import Observer


class Stopped(TrainingStopped):
    """A training was asked to stop; the message says from where it goes on, if that is not here.

    Worlds whose state cannot be saved are saved where they begin anew, and nothing is while a stage is measured.
    """

    def __init__(self, run: Path, stage: int, step: int, start: int) -> None:
        saved = max([start, *map(step_of, snapshots(RunFolder(run).resume))])
        lost = f" (saved up to {saved:,})" if saved < step else ""
        super().__init__(f"stopped in stage {stage} at step {step:,}{lost}; go on with: {command('resume', run)}")


@dataclass
class StopSwitch:
    """A request to stop, which a training looks at wherever it can stop."""

    run: Path
    observer: Observer
    asked: bool = False

    def check(self, stage: int, step: int, start: int) -> None:
        """Raise Stopped if a stop was asked for.

        Args:
            stage: from 1.
            step: of the run.
            start: the step at which the stage began.
        """
        if self.asked:
            raise Stopped(self.run, stage, step, start)

    def pause(self, what: str, stage: int, step: int, start: int) -> None:
        """Say what takes time now, and stop here if asked to: the newest snapshot leads back to this point."""
        self.check(stage, step, start)
        self.observer.working(what)
