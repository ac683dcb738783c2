"""A comparison as tables of cells, which the terminal, a paper and a page write each in its own way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from clrobot.comparison.comparison import Comparison
from clrobot.results.catalogue import Metric
from clrobot.results.numbers import Kind, number_of_kind
from clrobot.results.statistics import Estimate


class Cell(NamedTuple):
    """One number of one row.

    Attributes:
        estimate: the number and its interval.
        value: the number as text.
        ends: the interval's ends as text; None without one, or where it has no width.
        best: whether no other row is better, and at least one is worse.
    """

    estimate: Estimate
    value: str
    ends: tuple[str, str] | None
    best: bool


@dataclass(frozen=True)
class Column:
    """One metric of every row.

    Attributes:
        title: its heading.
        better: which way.
        cells: one for each of the comparison's groups.
    """

    title: str
    better: Literal["higher", "lower"]
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Section:
    """A table of a comparison: a row for each of its groups."""

    title: str
    columns: tuple[Column, ...]


def metric_sections(comparison: Comparison, titles: Mapping[str, tuple[Metric, ...]]) -> list[Section]:
    """Return a table for each title, of those of its metrics that have been measured."""
    found = []
    for title, metrics in titles.items():
        measured = [metric for metric in metrics if metric in comparison.metrics]
        columns = tuple(Column(m.title, m.better, _cells(comparison, m)) for m in measured)
        found.append(Section(title, columns))
    return found


def _cells(comparison: Comparison, metric: Metric) -> tuple[Cell, ...]:
    return tuple(
        cell(group.estimates[metric.name], metric.kind, comparison.leads(group, metric.name))
        for group in comparison.groups
    )


def task_section(comparison: Comparison) -> Section | None:
    """Return the table of success on each task at the end; None where the rows have other tasks."""
    if comparison.slots is None:
        return None
    columns = tuple(
        Column(
            slot,
            "higher",
            tuple(
                cell(group.final_success[slot], "rate", comparison.leads_in_task(group, slot))
                for group in comparison.groups
            ),
        )
        for slot in comparison.slots
    )
    return Section("Success on each task at the end", columns)


def cell(estimate: Estimate, kind: Kind, best: bool = False) -> Cell:
    """Return an estimate as it is written."""
    ends = None
    if estimate.low is not None and estimate.low != estimate.high:
        ends = number_of_kind(estimate.low, kind), number_of_kind(estimate.high, kind)
    return Cell(estimate, number_of_kind(estimate.value, kind), ends, best)
