"""How slots have begun: which grew from which, and what it took to choose."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from clrobot.results.fields import Count, Record, Slot


class Grown(Record):
    """How a slot has begun."""

    slot: Slot
    source: Slot | None
    """The earlier slot of which it began as a copy; None: anew."""
    trial_steps: Count
    """Control steps that it took to choose, in which nothing of what the slot went on with was learned."""


def begun(grown: Grown | None, slot_names: Sequence[str]) -> dict[str, Any]:
    """Return how a slot has begun, by the names of `TaskMetrics`; nothing where there was no choice."""
    if grown is None:
        return {}
    source = None if grown.source is None else slot_names[grown.source]
    return {"grown_from": source, "trial_steps": grown.trial_steps}


def grown_of(tasks: Iterable[tuple[int, str, str | None, int | None]]) -> tuple[Grown, ...]:
    """Return the same of slots, from 0, of which each gives its name, the name it grew from and the steps it took."""
    slots: dict[str, int] = {}
    found = []
    for slot, name, source, steps in tasks:
        if steps is not None:
            found.append(Grown(slot=slot, source=None if source is None else slots[source], trial_steps=steps))
        slots.setdefault(name, slot)
    return tuple(found)
