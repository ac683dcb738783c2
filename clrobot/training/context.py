"""The run that a training's parts belong to."""

from __future__ import annotations

from dataclasses import dataclass

from clrobot.experiment.config import RunConfig
from clrobot.runs.folder import RunFolder
from clrobot.training.ledger import Ledger
from clrobot.training.observer import Observer
from clrobot.training.stopping import StopSwitch


@dataclass(frozen=True)
class RunContext:
    """What stays the same from stage to stage, and every part of a training may need: plain data, no learner.

    Attributes:
        config: the run's settings, as they hold on this machine.
        folder: the run's.
        ledger: what the run has cost so far.
        stop: the request to save and stop at the next boundary.
    """

    config: RunConfig
    folder: RunFolder
    ledger: Ledger
    stop: StopSwitch

    @property
    def observer(self) -> Observer:
        """What the training reports to."""
        return self.stop.observer
