"""Stability against plasticity: what is kept and what is newly learned, against one setting of a method."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrobot.comparison.comparison import Comparison, Group
from clrobot.experiment.config import make_config
from clrobot.results.statistics import Estimate, estimate


@dataclass(frozen=True)
class Point:
    """The runs with one value of the setting."""

    value: float
    parts: Mapping[str, Estimate]
    """By the names in PARTS."""


@dataclass(frozen=True)
class TradeOff:
    """How a method's outcome changes with one setting."""

    method: str
    setting: str
    """Its full name, such as `ewc.strength`."""
    default: float
    points: tuple[Point, ...]
    """By rising value."""


# R has shape (N+1, N), stages and slots counted from 1.
PARTS: dict[str, Callable[[NDArray[np.float64]], float]] = {
    "average success": lambda R: float(R[-1].mean()),  # mean_j R[N, j]
    "newly learned": lambda R: float(
        np.diag(R[1:])[1:].mean()
    ),  # mean_{j>1} R[j, j]: under what protects the earlier ones
    "retained": lambda R: float(R[-1, :-1].mean()),  # mean_{j<N} R[N, j]
}


def trade_offs(comparison: Comparison) -> list[TradeOff]:
    """Return one for each method of which three rows or more differ in exactly one number among their settings."""
    found = []
    for method in dict.fromkeys(group.method for group in comparison.groups):
        groups = [group for group in comparison.groups if group.method == method and group.label]
        settings = [dict(_numbers(group.runs[0].config.model_dump(mode="json"))) for group in groups]
        differing = {key for s in settings for key in s if s[key] != settings[0].get(key)}
        if len(groups) < 3 or len(differing) != 1:
            continue
        (setting,) = differing
        points = sorted((_point(g, s[setting]) for g, s in zip(groups, settings, strict=True)), key=lambda p: p.value)
        default = dict(_numbers(make_config().model_dump(mode="json")))[setting]
        found.append(TradeOff(method, setting, default, tuple(points)))
    return found


def _point(group: Group, value: float) -> Point:
    matrices = [np.array(run.read_metrics()["success_matrix"], float) for run in group.runs]
    parts = {name: estimate([part(R) for R in matrices]) for name, part in PARTS.items()}
    return Point(value, parts)


def _numbers(settings: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, float]]:
    """Yield the numbers among settings, by dotted name; a list of equal numbers (widths) counts as one."""
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if name in ("seed", "curriculum"):
            continue
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{name}.")
        elif isinstance(value, list) and value and len(set(value)) == 1:
            yield name, float(value[0])
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield name, float(value)
