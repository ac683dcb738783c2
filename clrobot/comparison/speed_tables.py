"""What the bench measured as tables of a Markdown page; see `clrobot.published.speed`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from clrobot.comparison.markdown import table
from clrobot.errors import UserError, nearest, shown
from clrobot.published.speed import Learned, Speed
from clrobot.results.numbers import DASH, grouped, number, percent, seconds_alone

NAME: Final = "speed"  # what a page's block asks for, alone or with one of TABLES after it


def speed_tables(kind: str, speed: Speed | None) -> list[str]:
    """Return the tables that a page asks for with `speed` or `speed KIND`.

    Raises:
        UserError: there is no such table, or what is in it was not measured.
    """
    what = f"table {shown(f'{NAME} {kind}'.rstrip())}"
    if kind not in TABLES:
        raise UserError(f"{what}: after {NAME}{nearest(kind, [k for k in TABLES if k])}")
    found = None if speed is None else TABLES[kind](speed)
    if found is None:
        raise UserError(f"{what}: it was not measured; clrobot bench --help says how it is")
    return [found]


def _beside_envpool(speed: Speed) -> str | None:
    """Return both sides' control steps a second, their ratio, and that of simulated time."""
    if speed.envpool is None:
        return None
    rows = [
        (
            pair.task,
            grouped(pair.env_steps_per_second),
            pair.envpool_task,
            grouped(pair.envpool_steps_per_second),
            number(pair.ratio, decimals=1),
            number(pair.simulated_ratio, decimals=1),
        )
        for pair in speed.envpool.pairs
    ]
    head = ("clrobot", "steps a second", "EnvPool", "steps a second", "ratio", "of simulated time")
    return table(head, rows, numbers=(1, 3, 4, 5))


def _skills(speed: Speed) -> str | None:
    """Return the seconds of PPO until a skill was there, on both sides."""
    learning = None if speed.envpool is None else speed.envpool.learning
    if learning is None:
        return None
    rows = []
    for task, sides in learning.tasks.items():
        ours, theirs = sides.clrobot.seconds, sides.envpool.seconds
        ratio = None if ours is None or theirs is None else theirs / ours
        rows.append((task, *_of(sides.clrobot), *_of(sides.envpool), number(ratio, decimals=1)))
    head = ("task", "clrobot, seconds", "seeds", "EnvPool's Meta-World, seconds", "seeds", "ratio")
    return table(head, rows, numbers=(1, 2, 3, 4, 5))


def _of(side: Learned) -> tuple[str, str]:
    return DASH if side.seconds is None else seconds_alone(side.seconds), f"{side.reached} of {side.seeds}"


def _tasks(speed: Speed) -> str:
    """Return each task's simulations beside their bare physics."""
    rows = [
        (
            task,
            grouped(own.env_steps_per_second),
            grouped(own.bare_steps_per_second),
            percent(own.ratio),
        )
        for task, own in speed.tasks.items()
    ]
    head = ("task", "control steps a second", "bare physics", "share of it")
    return table(head, rows, numbers=(1, 2, 3))


TABLES: Final[dict[str, Callable[[Speed], str | None]]] = {"": _beside_envpool, "skills": _skills, "tasks": _tasks}
