"""Stability against plasticity: what is kept and what is newly learned, against one setting of a method."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clrobot.comparison.comparison import Comparison
from clrobot.comparison.groups import Group
from clrobot.experiment.config import RunConfig, make_config
from clrobot.experiment.dotted import flatten
from clrobot.results.statistics import Estimate, estimate


@dataclass(frozen=True)
class Point:
    """The runs with one value of the setting.

    Attributes:
        value: of the setting.
        parts: by the names in PARTS.
    """

    value: float
    parts: Mapping[str, Estimate]


@dataclass(frozen=True)
class TradeOff:
    """How a method's outcome changes with one setting.

    Attributes:
        method: its name.
        setting: its full name, such as `ewc.strength`.
        default: the setting's default.
        points: by rising value.
    """

    method: str
    setting: str
    default: float
    points: tuple[Point, ...]


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
        settings = [_numbers(group.runs[0].config) for group in groups]
        differing = {key for s in settings for key in s if s[key] != settings[0].get(key)}
        if len(groups) < 3 or len(differing) != 1:
            continue
        (setting,) = differing
        points = sorted((_point(g, s[setting]) for g, s in zip(groups, settings, strict=True)), key=lambda p: p.value)
        default = _numbers(make_config())[setting]
        found.append(TradeOff(method, setting, default, tuple(points)))
    return found


def _point(group: Group, value: float) -> Point:
    matrices = [np.array(metrics.success_matrix, float) for metrics in group.metrics]
    parts = {name: estimate([part(R) for R in matrices], bounds=(0.0, 1.0)) for name, part in PARTS.items()}
    return Point(value, parts)


def _numbers(config: RunConfig) -> dict[str, float]:
    """Return the numbers among the settings by dotted name; a list of equal numbers (widths) counts as one."""
    found = {}
    for name, value in flatten(config.model_dump(mode="json", exclude={"seed", "curriculum"})):
        if isinstance(value, list) and value and len(set(value)) == 1:
            found[name] = float(value[0])
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[name] = float(value)
    return found
