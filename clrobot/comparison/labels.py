"""What the rows of a comparison are called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clrobot.comparison.runs import ComparedRun
from clrobot.errors import cut


def labels(rows: Sequence[Sequence[ComparedRun]]) -> list[str]:
    """Return each row's label: its method, and the settings in which rows of that method differ."""
    firsts = [row[0] for row in rows]
    found = []
    for first in firsts:
        mine = first.settings
        same = [other.settings for other in firsts if other.method == first.method]
        differing = sorted({name for other in same for name in mine | other if mine.get(name) != other.get(name)})
        parts = [f"{name}={_value(mine.get(name))}" for name in differing if not name.startswith("curriculum.")]
        if any(name.startswith("curriculum.") for name in differing):
            parts.insert(0, _curriculum(first))
        if first.stages:
            parts.append(first.stages)
        if len({other.physics for other in firsts}) > 1:
            parts.append(f"physics {first.physics}")
        found.append(labelled(first.method, parts))
    return [
        f"{label} #{found[:i].count(label) + 1}" if label in found[:i] else label for i, label in enumerate(found)
    ]


def labelled(method: str, parts: Sequence[str]) -> str:
    """Return a label: a method, and in brackets what tells it from others, if anything does."""
    return f"{method} ({', '.join(parts)})" if parts else method


def _curriculum(run: ComparedRun) -> str:
    curriculum = run.folder.config.curriculum
    return f"{cut(curriculum.name, 100)}, {sum(stage.steps for stage in curriculum.stages):,} steps"


def _value(value: Any) -> str:
    return "-".join(map(str, value)) if isinstance(value, list) else cut(str(value), 100)
