"""What a comparison needs to know of a run: its numbers, wherever they lie, and tasks by their names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Numbers(Protocol):
    """What was measured of a run, whether its folder is here or its numbers are published."""

    @property
    def stages_done(self) -> int:
        """How many stages are finished."""

    @property
    def slot_names(self) -> Sequence[str]:
        """The names of the slots, in the order in which they are trained."""

    def value(self, name: str) -> float | None:
        """Return a metric of the run; None where it is undefined."""

    def task_value(self, slot: int, name: str) -> float | None:
        """Return a metric of a slot (from 0); None where it is undefined."""

    def reference(self, slot: int) -> str | None:
        """Return what forward transfer to a slot's task is measured against: `own`, `shipped`, or None."""

    @property
    def references(self) -> frozenset[str]:
        """What its forward transfer is measured against: `own`, `shipped`, both or nothing."""


def task_value(run: Numbers, slot: str, name: str) -> float | None:
    """Return a metric of a run's slot, which goes by its name: each seed may have drawn an order of its own."""
    return run.task_value(run.slot_names.index(slot), name)


def in_one_order(runs: Sequence[Numbers]) -> bool:
    """Return whether runs have had their tasks in the same order."""
    return len({tuple(run.slot_names) for run in runs}) == 1
