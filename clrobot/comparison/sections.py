"""A comparison as tables of cells, which the terminal, a paper and a page write each in its own way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from clrobot.comparison.comparison import Comparison
from clrobot.comparison.differences import Difference
from clrobot.results.catalogue import TASK_SECTIONS, Metric, task_metric
from clrobot.results.numbers import Kind, number_of_kind
from clrobot.results.statistics import Estimate

_ZERO: Final = 1e-9  # what rounding leaves of a difference that is none
# Of two or three runs an interval leans on a shape that nothing shows: of two seeds whose scores are counts of fifty
# episodes, one table in ten would have a difference where there is none.
_LEAST_RUNS: Final = 4
_SHORT: Final = 5  # characters of a number that may stand twice in an interval without width


class Cell(NamedTuple):
    """One number of one row.

    Attributes:
        estimate: the number and its interval.
        value: the number as text.
        ends: the interval's ends as text; None without one.
        best: whether no other row is better, and at least one is worse.
        clear: whether it is a difference whose interval leaves out zero.
    """

    estimate: Estimate
    value: str
    ends: tuple[str, str] | None
    best: bool = False
    clear: bool = False

    def interval(self, between: str = "…") -> str:
        """Return the interval as it stands beside its number; one without width may say that the runs are equal."""
        if self.ends is None:
            return ""
        equal = self.estimate.low == self.estimate.high
        return "all equal" if equal and len(self.ends[0]) > _SHORT else between.join(self.ends)

    @property
    def bold(self) -> bool:
        """Whether the number stands out."""
        return self.best or self.clear


class Row(NamedTuple):
    """What a table has a line for.

    Attributes:
        label: its heading.
        seeds: how many runs it is made of.
    """

    label: str
    seeds: int


@dataclass(frozen=True)
class Column:
    """One metric of every row.

    Attributes:
        title: its heading.
        better: which way.
        cells: one for each row of its table.
    """

    title: str
    better: Literal["higher", "lower"]
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Section:
    """A table of a comparison."""

    title: str
    rows: tuple[Row, ...]
    columns: tuple[Column, ...]

    def part(self, first: int, end: int) -> Section:
        """Return it with its columns from `first` on, without those from `end` on."""
        return Section(self.title, self.rows, self.columns[first:end])

    def parts(self, most: int) -> list[Section]:
        """Return it as tables of at most so many columns."""
        return [self.part(first, first + most) for first in range(0, len(self.columns), most)]


def metric_sections(comparison: Comparison, titles: Mapping[str, tuple[Metric, ...]]) -> list[Section]:
    """Return a table for each title, of those of its metrics that are shown; none of a title without any."""
    return [
        Section(title, _rows(comparison), tuple(_column(comparison, metric) for metric in metrics))
        for title, every in titles.items()
        if (metrics := [metric for metric in every if metric in comparison.metrics])
    ]


def with_differences(comparison: Comparison, titles: Mapping[str, tuple[Metric, ...]]) -> list[Section]:
    """Return the tables of `metric_sections`, each followed by that of its differences to each baseline."""
    found = []
    for section in metric_sections(comparison, titles):
        found.append(section)
        metrics = [metric for metric in titles[section.title] if metric in comparison.metrics]
        for baseline, differences in by_baseline(comparison).items():
            columns = tuple(
                Column(m.title, m.better, tuple(difference_cell(d.estimates[m.name], m.kind) for d in differences))
                for m in metrics
            )
            found.append(_of_differences(section.title, baseline, differences, columns))
    return found


def task_sections(comparison: Comparison) -> list[Section]:
    """Return the tables of each task, success at the end with its differences; none where rows have other tasks."""
    if comparison.slots is None or not comparison.tasks:
        return []
    found = []
    for title, name in TASK_SECTIONS.items():
        metric = task_metric(name)
        if not any(estimate.n for group in comparison.groups for estimate in group.tasks[name].values()):
            continue
        columns = tuple(
            Column(
                slot,
                metric.better,
                tuple(
                    cell(group.tasks[name][slot], metric.kind, comparison.leads_in_task(group, slot, name))
                    for group in comparison.groups
                ),
            )
            for slot in (comparison.later_slots if name == "forward_transfer" else comparison.slots) or ()
        )
        found.append(Section(title, _rows(comparison), columns))
        for baseline, differences in by_baseline(comparison).items() if name == "final" else ():
            columns = tuple(
                Column(slot, "higher", tuple(difference_cell(d.final_success[slot], "rate") for d in differences))
                for slot in comparison.slots
            )
            found.append(_of_differences(title, baseline, differences, columns))
    return found


def by_baseline(comparison: Comparison) -> dict[str, list[Difference]]:
    """Return the comparison's differences by the baseline's label."""
    found: dict[str, list[Difference]] = {}
    for difference in comparison.differences:
        found.setdefault(difference.baseline.label, []).append(difference)
    return found


def _of_differences(
    title: str, baseline: str, differences: Sequence[Difference], columns: tuple[Column, ...]
) -> Section:
    rows = tuple(Row(found.group.label, len(found.seeds)) for found in differences)
    return Section(f"{title}: less {baseline}, by seed", rows, columns)


def _rows(comparison: Comparison) -> tuple[Row, ...]:
    return tuple(Row(group.label, len(group.seeds)) for group in comparison.groups)


def _column(comparison: Comparison, metric: Metric) -> Column:
    cells = (
        cell(group.estimates[metric.name], metric.kind, comparison.leads(group, metric.name))
        for group in comparison.groups
    )
    return Column(metric.title, metric.better, tuple(cells))


def cell(estimate: Estimate, kind: Kind, best: bool = False) -> Cell:
    """Return an estimate as it is written."""
    return Cell(estimate, number_of_kind(estimate.value, kind), _ends(estimate, kind), best)


def difference_cell(estimate: Estimate, kind: Kind) -> Cell:
    """Return a difference as it is written: with its sign.

    It is clear where its interval leaves out zero, of four runs or more; one without width says that they were equal,
    and of a few equal ones nothing follows.
    """
    ends = _ends(estimate, kind, signed=True)
    low, high = estimate.low, estimate.high
    clear = (
        low is not None
        and high is not None
        and estimate.n >= _LEAST_RUNS
        and low < high
        and (low > _ZERO or high < -_ZERO)
    )
    return Cell(estimate, number_of_kind(estimate.value, kind, signed=True), ends, clear=clear)


def _ends(estimate: Estimate, kind: Kind, *, signed: bool = False) -> tuple[str, str] | None:
    if estimate.low is None or estimate.high is None:
        return None
    return number_of_kind(estimate.low, kind, signed=signed), number_of_kind(estimate.high, kind, signed=signed)
