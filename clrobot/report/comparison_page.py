"""The page of several runs side by side."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from clrobot.comparison.comparison import Comparison, compare
from clrobot.comparison.groups import Group
from clrobot.comparison.sections import Cell, Section, cell, metric_sections, task_sections, with_differences
from clrobot.comparison.tables import differences_foot
from clrobot.report.contents import Contents, read_run, run_names
from clrobot.report.figures import of_comparison as figures
from clrobot.report.figures.bars import Bar, comparison_figure, differences_figure
from clrobot.report.figures.costs import cost_figure
from clrobot.report.films import Films, Videos, address
from clrobot.report.html import Download, Drawn, csv_link, drawn, write_page
from clrobot.report.run_section import run_section
from clrobot.results.catalogue import (
    COST_SECTIONS,
    HEADLINES,
    LEARNING_SECTIONS,
    PANELS,
    SKILL_PANELS,
    TASK_SECTIONS,
    Metric,
)
from clrobot.results.numbers import number, number_of_kind
from clrobot.runs.folder import RunFolder

_SUCCESS: Final = next(title for title, name in TASK_SECTIONS.items() if name == "final")

# Runs that a page shows whole, each with its own figures and files; of more it has a line each, and a link.
MOST_WHOLE: Final = 50


def write_comparison(runs: Sequence[RunFolder], out: Path, videos: Videos = "link") -> Path:
    """Write the page of several runs: methods side by side over their seeds, then each run.

    Args:
        runs: two or more. Those without a finished stage are left out, and the page says so.
        out: the page's file.
        videos: whether the page links to the films or holds them itself.

    Returns:
        The path of the page.

    Raises:
        UserError: no run has a finished stage, a file is missing or is not what it should be, or the page cannot be
            written.
    """
    compared = compare(runs)
    contents = {run.path: read_run(run.path) for group in compared.groups for run in group.runs}
    films = Films(out.parent, videos)
    each = list(contents.values())
    named = list(zip(run_names(each), each, strict=True))
    sections, listed = [], []
    if len(each) <= MOST_WHOLE:
        sections = [run_section(run, films, name, n) for n, (name, run) in enumerate(named, 1)]
    else:
        listed = [ListedRun(name, run, _page_of(run, out)) for name, run in named]
    side = _side_by_side(compared, contents, named)
    return write_page(out, films, title=side.title, sections=sections, listed=listed, comparison=side)


class ListedRun(NamedTuple):
    """A run of many, that is not shown whole; `page` is the address of its own page, if it has one."""

    name: str
    run: Contents
    page: str | None


def _page_of(run: Contents, out: Path) -> str | None:
    page = run.path / "report.html"
    return address(page, out.parent) if page.is_file() and not page.is_symlink() else None


class FinalTable(NamedTuple):
    """Success on each task at the end: for each method's label a cell for each slot."""

    curriculum: str
    slot_names: tuple[str, ...]
    rows: list[tuple[str, list[Cell]]]


class CurvesShown(NamedTuple):
    """The learning curves of a curriculum."""

    curriculum: str
    drawn: Drawn
    summary: str


class TransferShown(NamedTuple):
    """Forward transfer to each task of a curriculum."""

    curriculum: str
    drawn: Drawn
    summary: str
    ceiling: bool


class DifferencesShown(NamedTuple):
    """The differences of the methods to a baseline."""

    baseline: str
    drawn: Drawn
    summary: str


@dataclass
class SideBySide:
    """What the page shows of several runs together.

    Attributes:
        title: the page's.
        lead: which runs they are.
        notes: why rows may not be comparable, sentences.
        remarks: against what forward transfer is measured, sentences.
        single: whether no method has a second seed: no interval anywhere.
        learning: tables of what was learned and kept, a row for each method, each followed by its differences.
        differences_foot: what must be said of differences.
        costs: tables of what it cost.
        bars: None where no method has any of these numbers.
        bars_summary: the same in words.
        skill: how well tasks are still done, beside whether they are.
        skill_summary: the same in words.
        differences: for each baseline.
        curves: for each curriculum.
        finals: for each curriculum.
        transfers: for each curriculum.
        tasks: what else each task is at the end; nothing where the methods have other tasks.
        cost_bars: what each method took.
        downloads: the numbers as files.
    """

    title: str
    lead: str
    notes: tuple[str, ...]
    remarks: tuple[str, ...]
    single: bool
    learning: list[Section]
    differences_foot: list[str]
    costs: list[Section]
    bars: Drawn | None
    bars_summary: str
    skill: Drawn | None
    skill_summary: str
    differences: list[DifferencesShown]
    curves: list[CurvesShown]
    finals: list[FinalTable]
    transfers: list[TransferShown]
    tasks: list[Section]
    cost_bars: Drawn
    downloads: list[Download]


def _side_by_side(
    compared: Comparison, runs: Mapping[Path, Contents], named: Sequence[tuple[str, Contents]]
) -> SideBySide:
    groups = compared.groups
    curricula = list(dict.fromkeys(run.config.curriculum.name for run in runs.values()))
    panels, skill, costs = figures.bars(compared), figures.bars(compared, SKILL_PANELS), figures.costs(compared, runs)
    return SideBySide(
        title=f"{' and '.join(curricula[:3])}: {_count(len(groups), 'method')} compared",
        lead=f"{_count(len(runs), 'run')}: " + "; ".join(f"{g.label} ({_seeds(g.seeds)})" for g in groups) + ".",
        notes=compared.notes,
        remarks=compared.remarks,
        single=all(len(group.runs) < 2 for group in groups),
        learning=with_differences(compared, LEARNING_SECTIONS),
        differences_foot=differences_foot(compared.differences),
        costs=metric_sections(compared, COST_SECTIONS),
        bars=drawn(lambda width: comparison_figure(panels, width), "bars") if panels else None,
        bars_summary=_bars_summary(groups, PANELS),
        skill=drawn(lambda width: comparison_figure(skill, width), "skill") if skill else None,
        skill_summary=_bars_summary(groups, SKILL_PANELS),
        differences=[
            DifferencesShown(baseline, drawn(partial(differences_figure, each), f"less {n}"), _words(each))
            for n, (baseline, each) in enumerate(figures.difference_bars(compared).items())
        ],
        curves=[
            CurvesShown(curves.curriculum, drawn(curves.draw, f"curves {n}"), _ends_summary(curves))
            for n, curves in enumerate(figures.mean_curves(compared, runs))
        ],
        finals=[_final_table(final) for final in figures.final_successes(compared)],
        transfers=[_transfer(each, n) for n, each in enumerate(figures.transfers_by_task(compared))],
        tasks=[section for section in task_sections(compared) if section.title != _SUCCESS],  # that is a heat map
        cost_bars=drawn(lambda width: cost_figure(costs, width), "costs"),
        downloads=[Download("comparison.csv", _comparison_csv(compared)), Download("runs.csv", _runs_csv(named))],
    )


def _final_table(final: figures.FinalSuccess) -> FinalTable:
    rows = [(g.label, [cell(g.final_success[name], "rate") for name in final.slot_names]) for g in final.groups]
    return FinalTable(final.curriculum, final.slot_names, rows)


def _bars_summary(groups: Sequence[Group], metrics: Sequence[Metric]) -> str:
    """Return a figure of bars in words."""
    parts = []
    for group in groups:
        numbers = [f"{m.title} {number_of_kind(group.estimates[m.name].value, m.kind)}" for m in metrics]
        parts.append(f"{group.label}: {', '.join(numbers)}")
    return "; ".join(parts) + "."


def _transfer(transfer: figures.TransferByTask, n: int) -> TransferShown:
    shown = drawn(transfer.draw, f"transfer {n}")
    return TransferShown(transfer.curriculum, shown, _transfer_words(transfer), bool(transfer.ceiling))


def _transfer_words(transfer: figures.TransferByTask) -> str:
    """Return the figure of forward transfer in words."""
    rows = []
    for label, estimates in transfer.rows.items():
        named = zip(transfer.slot_names, estimates, strict=True)
        rows.append(f"{label}: {', '.join(f'{name} {number(e.value, signed=True)}' for name, e in named)}")
    return "; ".join(rows) + "."


def _words(panels: Mapping[str, Sequence[Bar]]) -> str:
    """Return the figure of differences in words."""
    parts = []
    for n, bar in enumerate(next(iter(panels.values()))):
        parts.append(f"{bar.label}: {', '.join(f'{title} {bars[n].text}' for title, bars in panels.items())}")
    return "; ".join(parts) + "."


def _ends_summary(curves: figures.Curves) -> str:
    """Return the mean learning curves in words."""
    parts = []
    for label, bands in curves.methods.items():
        ends = [
            f"{name} {number(float(band.mean[-1]) if len(band.mean) else None)}"
            for name, band in zip(curves.slot_names, bands, strict=True)
        ]
        parts.append(f"{label} ended at {', '.join(ends)}")
    return "Mean success of every task over the run. " + "; ".join(parts) + "."


def _comparison_csv(compared: Comparison) -> str:
    rows: list[list[Any]] = [["method", "metric", "value", "low", "high", "runs", "undefined"]]
    for group, metric in itertools.product(compared.groups, compared.metrics):
        e = group.estimates[metric.name]
        rows.append([group.label, metric.name, e.value, e.low, e.high, e.n, e.undefined])
    for found, metric in itertools.product(compared.differences, compared.metrics):
        e, label = found.estimates[metric.name], f"{found.group.label} less {found.baseline.label}"
        rows.append([label, metric.name, e.value, e.low, e.high, e.n, e.undefined])
    return csv_link(rows)


def _runs_csv(named: Sequence[tuple[str, Contents]]) -> str:
    names = [headline.name for headline in HEADLINES]
    rows: list[list[Any]] = [["run", "curriculum", "method", "seed", *names, "seconds", "parameters", "memory_bytes"]]
    for name, run in named:
        config, metrics = run.config, run.metrics
        cost = [metrics.seconds.total, metrics.parameters.total, metrics.memory_bytes]
        headlines = [metrics.value(headline) for headline in names]
        rows.append([name, config.curriculum.name, config.method, config.seed, *headlines, *cost])
    return csv_link(rows)


def _count(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _seeds(seeds: Sequence[int]) -> str:
    if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
        return f"seeds {seeds[0]} to {seeds[-1]}"
    return f"seed{'' if len(seeds) == 1 else 's'} {', '.join(map(str, seeds))}"
