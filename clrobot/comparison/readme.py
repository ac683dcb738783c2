"""Tables of a Markdown page, drawn from published data into the page's own marked blocks, so that none is typed.

A block is what stands between two comments:

    <!-- table: cr4 -->
    <!-- end -->

It names a curriculum, and may ask for another of its tables: `cr4 differences`, `cr4 costs`, `cr4 transfer`; `tuning`
is what settings were chosen on, and `speed`, `speed skills` and `speed tasks` what the bench measured.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from clrobot.agents.methods import METHODS_BY_NAME
from clrobot.comparison.comparison import Comparison, compared
from clrobot.comparison.groups import Group
from clrobot.comparison.labels import labelled
from clrobot.comparison.markdown import table
from clrobot.comparison.published import published_groups
from clrobot.comparison.sections import Cell, Column, Row, by_baseline, cell, difference_cell
from clrobot.comparison.speed_tables import NAME as SPEED
from clrobot.comparison.speed_tables import speed_tables
from clrobot.errors import UserError, nearest, shown
from clrobot.published.results import PublishedRun, read_results
from clrobot.published.rows import read_rows
from clrobot.published.speed import read_speed
from clrobot.published.tuning import FILE as TUNING_FILE
from clrobot.published.tuning import WHAT as TUNING
from clrobot.published.tuning import Trial
from clrobot.results.catalogue import Metric, run_metric, task_metric
from clrobot.results.numbers import DASH, number
from clrobot.results.statistics import estimate

_BLOCK: Final = re.compile(r"(<!-- table: *([^\n]*?) *-->\n)(.*?)(<!-- end -->)", re.DOTALL)
_MARKER: Final = "<!-- table:"

_LEARNED: Final = ("average_success", "forgetting", "forward_transfer_from_2")
_COSTS: Final = (
    "environment_steps.learning",
    "environment_steps.method",
    "gradient_steps.method",
    "memory_bytes",
    "parameters.total",
)


@dataclass(frozen=True)
class Block:
    """A marked block of a page.

    Attributes:
        name: what it asks for.
        there: the text within it.
        drawn: what the data says.
    """

    name: str
    there: str
    drawn: str


def blocks(
    text: str, results: Path | None = None, tuning: Path | None = None, speed: Path | None = None
) -> list[Block]:
    """Return the marked blocks of a page.

    Args:
        text: the page's.
        results: the file of results; of none those that come with clrobot.
        tuning: the same of tries.
        speed: the same of what the bench wrote.

    Raises:
        UserError: a block has no end, asks for something that there is not, or a file is damaged.
    """
    found = list(_BLOCK.finditer(text))
    if len(found) != text.count(_MARKER) or any(_MARKER in match[3] for match in found):
        raise UserError(f"a block of {_MARKER} … --> has no end; expected a line {'<!-- end -->'} after each")
    if not found:
        return []
    runs = read_results(results)
    return [Block(match[2], match[3], _drawn(match[2], runs, tuning, speed)) for match in found]


def with_tables(text: str, drawn: Sequence[Block]) -> str:
    """Return the page with every block as the data has it."""
    following = iter(drawn)
    return _BLOCK.sub(lambda match: f"{match[1]}{next(following).drawn}{match[4]}", text)


def _drawn(name: str, runs: Sequence[PublishedRun], tuning: Path | None, speed: Path | None) -> str:
    """Return the lines within a block, with an empty one before and after: else no table is seen there."""
    if name == "tuning":
        return _block([tuning_table(read_rows(TUNING_FILE if tuning is None else tuning, Trial, TUNING))])
    curriculum, _, kind = name.partition(" ")
    if curriculum == SPEED:
        return _block(speed_tables(kind, read_speed(speed)))
    comparison = of_curriculum(curriculum, runs, f"table {shown(name)}", "tuning", SPEED)
    if kind not in TABLES:
        raise UserError(f"table {shown(name)}: after the curriculum{nearest(kind, [k for k in TABLES if k])}")
    return _block(TABLES[kind](comparison))


def of_curriculum(curriculum: str, runs: Sequence[PublishedRun], what: str, *beside: str) -> Comparison:
    """Return the published runs of one curriculum side by side.

    Args:
        curriculum: its name.
        runs: of every curriculum.
        what: for a sentence.
        beside: what else could have been asked for.

    Raises:
        UserError: there is none, or there are several of that name.
    """
    by_stages: dict[str, list[PublishedRun]] = {}
    for run in runs:
        if run.first.curriculum == curriculum:
            by_stages.setdefault(run.first.stages, []).append(run)
    if not by_stages:
        there = list(dict.fromkeys(run.first.curriculum for run in runs))
        raise UserError(f"{what}: nothing is published for it{nearest(curriculum, [*there, *beside])}")
    if "" not in by_stages and len(by_stages) > 1:
        raise UserError(f"{what}: {len(by_stages)} curricula of that name are published; name them apart")
    # Runs of other stages or budgets under the name of one of ours are no rows of its table.
    return published_comparison(by_stages.get("") or next(iter(by_stages.values())))


def published_comparison(runs: Sequence[PublishedRun]) -> Comparison:
    """Return published runs of one curriculum side by side, the methods in their own order.

    Raises:
        UserError: a setting of one is not known today.
    """
    return compared(sorted(published_groups(runs, "mean", suffix=""), key=_place), "mean")


def _block(tables: Iterable[str]) -> str:
    return "\n" + "\n\n".join(tables) + "\n\n"


def _place(group: Group) -> tuple[int, str]:
    """Return where a row stands: the methods in their own order."""
    known = list(METHODS_BY_NAME)
    first = group.method.split("+")[0]
    return known.index(first) if first in known else len(known), group.label


# A curriculum's tables -------------------------------------------------------------------------------------


def _learned(comparison: Comparison) -> list[str]:
    return [_table(_rows(comparison), _columns(comparison, map(run_metric, _LEARNED)))]


def _costs(comparison: Comparison) -> list[str]:
    return [_table(_rows(comparison), _columns(comparison, map(run_metric, _COSTS)))]


def _differences(comparison: Comparison) -> list[str]:
    tables = []
    for baseline, found in by_baseline(comparison).items():
        columns = [
            Column(m.title, m.better, tuple(difference_cell(d.estimates[m.name], m.kind) for d in found))
            for m in map(run_metric, _LEARNED)
        ]
        rows = [Row(d.group.label, len(d.seeds)) for d in found]
        tables.append(_table(rows, columns, f"less {baseline}, by seed"))
    return tables or ["No method was measured by the seeds of a baseline."]


def _transfer(comparison: Comparison) -> list[str]:
    """Return forward transfer to each task: the tasks are the lines here, of which there are many."""
    slots = comparison.slots
    if slots is None:
        return ["The rows have other tasks."]
    metric = task_metric("forward_transfer")
    head = ["forward transfer to", *(f"{g.label} ({len(g.seeds)})" for g in comparison.groups)]
    rows = []
    for slot in slots[1:]:  # to the first nothing can be transferred
        cells = [
            _cell(difference_cell(group.tasks[metric.name][slot], metric.kind), len(group.seeds))
            for group in comparison.groups
        ]
        rows.append([slot, *cells])
    return [table(head, rows, numbers=range(1, len(head)))]


# What a block may ask of a curriculum, and the tables that it gets.
TABLES: Final[dict[str, Callable[[Comparison], list[str]]]] = {
    "": _learned,
    "differences": _differences,
    "costs": _costs,
    "transfer": _transfer,
}


def _rows(comparison: Comparison) -> list[Row]:
    return [Row(group.label, len(group.seeds)) for group in comparison.groups]


def _columns(comparison: Comparison, metrics: Iterable[Metric]) -> list[Column]:
    return [
        Column(m.title, m.better, tuple(cell(group.estimates[m.name], m.kind) for group in comparison.groups))
        for m in metrics
    ]


def _table(rows: Sequence[Row], columns: Sequence[Column], heading: str = "method") -> str:
    head = [heading, "seeds", *(column.title for column in columns)]
    lines = [
        [row.label, str(row.seeds), *(_cell(column.cells[n], row.seeds) for column in columns)]
        for n, row in enumerate(rows)
    ]
    return table(head, lines, numbers=range(1, len(head)))


def _cell(found: Cell, seeds: int) -> str:
    """Return a number with its interval, and of how many seeds it is made where some do not define it."""
    words = [f"**{found.value}**" if found.clear else found.value]
    if found.ends is not None:
        equal = found.estimate.low == found.estimate.high
        words.append("[all equal]" if equal else f"[{', '.join(found.ends)}]")
    if 0 < found.estimate.n < seeds:
        words.append(f"({found.estimate.n} of {seeds})")
    return " ".join(words)


# What settings were chosen on ------------------------------------------------------------------------------


def tuning_table(trials: Sequence[Trial]) -> str:
    """Return the tries, curriculum by curriculum and method by method, with the means over their seeds.

    Raises:
        UserError: there is none.
    """
    if not trials:
        raise UserError("table 'tuning': no try is published; expected a file that clrobot publish --tuning wrote")
    tries: dict[tuple[str, ...], list[Trial]] = {}
    places: dict[str, set[tuple[int, int]]] = {}
    for trial in trials:
        places.setdefault(trial.curriculum, set()).add((trial.evaluation_seed, trial.physics))
    for trial in trials:
        value = DASH if trial.tried is None else f"{trial.tried:g}"
        # A line's means are over the same start states, in the same physics.
        several = len(places[trial.curriculum]) > 1
        where = f", start states of {trial.evaluation_seed:,}, physics {trial.physics}" if several else ""
        which = (trial.curriculum + where, _tried_method(trial), trial.setting or DASH, value)
        tries.setdefault(which, []).append(trial)
    titles = {name: run_metric(name).title for name in _LEARNED} | {"mean_area": "mean area"}
    head = ["curriculum", "method", "setting", "value", "seeds", *titles.values()]
    lines = [
        [*which, str(len(own)), *(number(estimate([getattr(trial, name) for trial in own]).value) for name in titles)]
        for which, own in tries.items()
    ]
    return table(head, lines, numbers=range(3, len(head)))


def _tried_method(trial: Trial) -> str:
    """Return a try's method, and what else than the setting that was tried is not as usual."""
    parts = [] if trial.algo == "ppo" else [trial.algo]
    parts += [part for part in trial.settings.split() if part.partition("=")[0] != trial.setting]
    return labelled(trial.method, parts)
