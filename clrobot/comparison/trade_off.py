"""Stability against plasticity: what is kept and what is newly learned, against one setting of a method."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from clrobot.comparison.comparison import Comparison
from clrobot.comparison.groups import Group
from clrobot.comparison.runs import NOT_COMPARED
from clrobot.experiment.config import RunConfig, make_config, settings_in_use
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
        default: the setting's default; None where that is no number.
        points: by rising value, no two of which are equal.
        among: in what else its rows are alike, where others of the same method are not; else nothing.
    """

    method: str
    setting: str
    default: float | None
    points: tuple[Point, ...]
    among: str = ""


_A_NUMBER: Final = "a number"  # in place of one that may differ

# R has shape (N+1, N), stages and slots counted from 1.
PARTS: dict[str, Callable[[NDArray[np.float64]], float]] = {
    "average success": lambda R: _mean(R[-1]),  # mean_j R[N, j]
    "newly learned": lambda R: _mean(np.diag(R[1:])[1:]),  # mean_{j>1} R[j, j]: under what protects the earlier ones
    "retained": lambda R: _mean(R[-1, :-1]),  # mean_{j<N} R[N, j]
}


def _mean(rates: NDArray[np.float64]) -> float:
    """Return the mean of (n,) rates, nan where there are none: of one task nothing is retained."""
    return float(rates.mean()) if rates.size else math.nan


def trade_offs(comparison: Comparison) -> list[TradeOff]:
    """Return one for each three rows or more of a method that differ in one number among their settings.

    Rows that differ in something else too, such as the curriculum, are no points of one line: each kind has its own.
    """
    found = []
    for method in dict.fromkeys(group.method for group in comparison.groups):
        families: dict[str, list[Group]] = {}
        for group in comparison.groups:
            if group.method == method:
                families.setdefault(json.dumps(_all_but_numbers(group)), []).append(group)
        names = _told_apart([_all_but_numbers(family[0]) for family in families.values()])
        for family, name in zip(families.values(), names, strict=True):
            settings = [_numbers(group.config) for group in family]
            differing = [key for key in settings[0] if len({s[key] for s in settings}) > 1]
            if len(family) < 3 or len(differing) != 1:
                continue
            (setting,) = differing
            points = sorted(
                (_point(g, s[setting]) for g, s in zip(family, settings, strict=True)), key=lambda p: p.value
            )
            default = _numbers(_like(family[0].config)).get(setting)
            found.append(TradeOff(method, setting, default, tuple(points), name))
    return found


def _like(config: RunConfig) -> RunConfig:
    """Return the default settings of a run with the same curriculum, algorithm and method."""
    return make_config(curriculum=config.curriculum, algo=config.algo, method=config.method)


def _point(group: Group, value: float) -> Point:
    # Of unfinished runs the stages that are over: what comes after them is nan.
    done = [metrics.stages_done for metrics in group.metrics]
    matrices = [
        np.array(metrics.success_matrix, float)[: k + 1, :k] for metrics, k in zip(group.metrics, done, strict=True)
    ]
    parts = {name: estimate([part(R) for R in matrices], bounds=(0.0, 1.0)) for name, part in PARTS.items()}
    return Point(value, parts)


def _told_apart(families: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return for each family the settings in which it differs from another, as text."""
    differing = [key for key in families[0] if len({json.dumps(family.get(key)) for family in families}) > 1]
    named = [key for key in differing if key != "stages"]
    told = [
        ", ".join(_told(key, family[key]) for key in named if family.get(key, _A_NUMBER) != _A_NUMBER)
        for family in families
    ]
    # Curricula of one name and as many steps may still have other stages.
    numbers = [told[:i].count(name) + 1 for i, name in enumerate(told)]
    return [f"{name} #{n}".strip() if n > 1 else name for name, n in zip(told, numbers, strict=True)]


def _told(setting: str, value: Any) -> str:
    return str(value) if setting == "curriculum" else f"{setting}={value}"


def _settings(config: RunConfig) -> list[tuple[str, Any]]:
    """Return by dotted name the settings in use that may tell rows of one curriculum apart."""
    left_out = {*NOT_COMPARED, "curriculum"}
    return list(flatten({name: value for name, value in settings_in_use(config).items() if name not in left_out}))


def _numbers(config: RunConfig) -> dict[str, float]:
    """Return the numbers among the settings by dotted name; a list of equal numbers (widths) counts as one."""
    return {name: number for name, value in _settings(config) if (number := _number(value)) is not None}


def _all_but_numbers(group: Group) -> dict[str, Any]:
    """Return all that must be equal of the rows of one line, in JSON's types.

    It is what was trained, how far it came, and every setting that is no number: of a list its length.
    """
    config = group.config
    curriculum = config.curriculum
    rest = {name: _but_its_number(value) for name, value in _settings(config)}
    done = group.metrics[0].stages_done
    steps = sum(stage.steps for stage in curriculum.stages)
    told = f"{curriculum.name}, {steps:,} steps" + (f", {done} stages" if done < len(curriculum.stages) else "")
    return {"curriculum": told, "stages": [stage.model_dump(mode="json") for stage in curriculum.stages]} | rest


def _but_its_number(value: Any) -> Any:
    if _number(value) is None:
        return value
    return f"{len(value)} numbers" if isinstance(value, list) else _A_NUMBER


def _number(value: Any) -> float | None:
    if isinstance(value, list) and value and all(isinstance(part, int | float) for part in value):
        return float(value[0]) if len(set(value)) == 1 else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
