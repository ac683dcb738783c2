"""The data that clrobot ships, as the site shows it; where there is none, that it is not measured."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Final

from clrobot.agents.methods import METHODS_BY_NAME
from clrobot.comparison.comparison import Comparison
from clrobot.comparison.readme import TABLES, published_comparison
from clrobot.envs.simulation.physics_version import PHYSICS_VERSION
from clrobot.experiment.config import make_config
from clrobot.experiment.curriculum import Stage
from clrobot.published import references, results
from clrobot.published.references import Reference, curve_of, matching
from clrobot.published.results import PublishedRun, read_results
from clrobot.published.rows import read_rows

NOT_MEASURED: Final = "Not measured in this version."
# The files; a test puts others in their place.
RESULTS: Path = results.FILE
REFERENCES: Path = references.FILE

_METHOD: Final = re.compile(r"^\| ([a-z0-9-]+)(?=[ +])", re.MULTILINE)


@cache
def runs_of(file: Path) -> dict[str, list[PublishedRun]]:
    """Return the published runs of each curriculum, by its name."""
    runs = sorted(read_results(file), key=lambda run: run.first.curriculum)
    return {name: list(own) for name, own in groupby(runs, key=lambda run: run.first.curriculum)}


@cache
def compared(file: Path, curriculum: str) -> Comparison:
    """Return the published runs of a curriculum side by side."""
    return published_comparison(runs_of(file)[curriculum])


def tables(curriculum: str, kind: str = "", folder: str = "methods/") -> list[str]:
    """Return tables of a curriculum, as the README has them; methods lead to their pages.

    Args:
        curriculum: its name.
        kind: one of the keys of TABLES.
        folder: of the methods' pages, as seen from the page.
    """
    return [linked(text, folder) for text in TABLES[kind](compared(RESULTS, curriculum))]


def linked(text: str, folder: str) -> str:
    """Return a table in whose first column methods lead to their pages."""

    def link(match: re.Match[str]) -> str:
        name = match[1]
        return f"| [{name}]({folder}{name}.md)" if name in METHODS_BY_NAME.ours else match[0]

    return _METHOD.sub(link, text)


def result(method: str) -> str:
    """Return a method's published results: of each curriculum its own lines of the table of all methods."""
    parts = []
    for curriculum in runs_of(RESULTS):
        groups = compared(RESULTS, curriculum).groups
        if not any(group.method == method for group in groups):
            continue
        ((head, rule, *lines),) = (table.splitlines() for table in tables(curriculum, folder=""))
        own = [line for line, group in zip(lines, groups, strict=True) if group.method == method]
        parts.append("\n".join([f"On [{curriculum}](../benchmarks.md#{curriculum}):\n", head, rule, *own]))
    return "\n\n".join(parts) or NOT_MEASURED


def alone(task: str) -> list[Reference]:
    """Return the trainings of a task learned alone, by PPO with today's default settings and in today's physics."""
    rows = _references(REFERENCES)
    return matching(make_config(), Stage(task=task, steps=1), 1, rows, PHYSICS_VERSION)


@cache
def _references(file: Path) -> Sequence[Reference]:
    return read_rows(file, Reference, references.WHAT)


def steps_to(task: str, success: float) -> str:
    """Return the median over seeds of the steps until a task, learned alone by PPO, is solved to a share."""
    curves = [curve_of(row.curve) for row in alone(task)]
    found = [curve.steps[curve.success >= success] for curve in curves]
    firsts = [float(steps[0]) for steps in found if len(steps)]
    if not curves:
        return NOT_MEASURED
    if len(firsts) < len(curves):
        return f"reached by {len(firsts)} of {len(curves)} seeds"
    return f"{median(firsts):,.0f} control steps (median of {len(firsts)} seeds)"
