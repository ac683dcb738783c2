"""How a training is asked to stop, and what it raises when it has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from clrobot.errors import TrainingStopped
from clrobot.imports import command
from clrobot.training.observer import Observer


class Stopped(TrainingStopped):
    """A training was asked to stop, and has been saved."""

    def __init__(self, run: Path, stage: int, step: int) -> None:
        super().__init__(f"stopped in stage {stage} at step {step:,}; go on with: {command('resume', run)}")


@dataclass
class StopSwitch:
    """A request to stop, which a training looks at wherever it can stop."""

    run: Path
    observer: Observer
    asked: bool = False

    def check(self, stage: int, step: int) -> None:
        """Raise Stopped if a stop was asked for."""
        if self.asked:
            raise Stopped(self.run, stage, step)

    def pause(self, what: str, stage: int, step: int) -> None:
        """Say what takes time now, and stop here if asked to: the newest snapshot leads back to this point."""
        self.check(stage, step)
        self.observer.working(what)
