"""Which world is wanted, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

MOST: Final = 4_096  # numbers in an observation or action: what has more is a picture, or too much for these networks
HUGE: Final = 1e30  # of such a number's size: its square, and the quotient of two, are still finite


@dataclass(frozen=True)
class Measured:
    """What was found out about a world of others' before anything was trained in it, and stays as it is from then on.

    Attributes:
        offset: of each number of an observation, (d,).
        scale: of each; for x the agent is shown (x - offset) / scale.
        actions: how many numbers an action has.
        success: the key of `info` that tells success, or None where nothing tells.
    """

    offset: tuple[float, ...]
    scale: tuple[float, ...]
    actions: int
    success: str | None = None


@dataclass(frozen=True)
class WorldSpec:
    """Which world is wanted.

    Attributes:
        task: `reach`, or the kind of world and a name there: `gymnasium:Pusher-v5`.
        overrides: what differs in a native task's world (see `overrides.OVERRIDES`).
        kwargs: what another world is made with.
        horizon: the most control steps of an episode; None: the world's own.
        success_key: the key of `info` that tells success; None: what was measured.
        key_above: its value is greater where the task is solved; None: it is true there.
        success_above: an episode is a success where its return ends above this; None: `info` tells.
        measured: of a world of others'.
    """

    task: str
    overrides: Mapping[str, float] = field(default_factory=dict)
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    horizon: int | None = None
    success_key: str | None = None
    key_above: float | None = None
    success_above: float | None = None
    measured: Measured | None = None

    @property
    def name(self) -> str:
        """The task without the kind of its world, as files and figures name it: `Pusher-v5`."""
        return short_name(self.task)


def short_name(task: str) -> str:
    """Return a task's name without the kind of its world, as a file can be called: `Pusher-v5`, `reach`."""
    return task.partition(":")[2].replace("/", "-") or task
