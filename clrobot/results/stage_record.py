"""What a stage took, and what the agent had become after it: parts of `metrics.json`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from clrobot.results.fields import MAX_SLOTS, Count, Number, Record
from clrobot.results.units import Units


class Parameters(Record):
    """How large the policy is."""

    trainable: Count
    total: Count


class Seconds(Record):
    """Wall-clock time by what it was spent on."""

    # Not `Positive`: a difference of two rounded clocks may be a millisecond below zero, and must not end a training.
    train: Number
    evaluate: Number
    method: Number
    record: Number
    save: Number

    @property
    def total(self) -> float:
        """All of it."""
        return sum(self.by_kind.values())

    @property
    def by_kind(self) -> dict[str, float]:
        """The same by name: `train`, `evaluate`, …"""
        return dict(self)


class Steps(Record):
    """How many steps were taken, by who took them: the algorithm that learns the tasks, or the method beside it."""

    learning: Count
    method: Count


class StageRecord(Record):
    """What the agent had become after a stage, and what the stage took."""

    stage: Annotated[int, Field(ge=1, le=MAX_SLOTS)]
    parameters: Parameters
    memory_bytes: Count
    units: Units
    seconds: Seconds
