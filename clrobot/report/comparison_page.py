"""The page of several runs side by side."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from clrobot.report.contents import Contents, read_run
from clrobot.report.figures import of_runs as figures
from clrobot.report.figures.bars import comparison_figure, cost_figure
from clrobot.report.films import Films, Videos
from clrobot.report.page import Download, Drawn, Section, csv_link, drawn, section_of, write_page
from clrobot.results.headlines import HEADLINES
from clrobot.results.numbers import DASH, duration, grouped, number, size

if TYPE_CHECKING:
    from clrobot.comparison.comparison import Comparison, Group, Metric
    from clrobot.results.statistics import Estimate
    from clrobot.runs.folder import RunFolder


def write_comparison(runs: Sequence[RunFolder], out: Path, videos: Videos = "link") -> Path:
    """Write the page of several runs: methods side by side over their seeds, then each run.

    Args:
        runs: Two or more. Those without a finished stage are left out, and the page says so.
        out: The page's file.
        videos: Whether the page links to the films or holds them itself.

    Returns:
        The path of the page.

    Raises:
        UserError: No run has a finished stage, a file is missing or is not what it should be, or the page cannot be
            written.
    """
    from clrobot.comparison.comparison import compare

    compared = compare(runs)
    contents = {run.path: read_run(run.path) for group in compared.groups for run in group.runs}
    films = Films(out.parent, videos)
    each = list(contents.values())
    names = figures.labels(each)
    sections = [
        section_of(run, films, name, n) for n, (run, name) in enumerate(zip(each, names, strict=True), start=1)
    ]
    side = _side_by_side(compared, contents, sections)
    return write_page(out, films, title=side.title, sections=sections, comparison=side)


# Several runs ----------------------------------------------------------------------------------------------


class Number(NamedTuple):
    """One cell of the comparison's tables."""

    estimate: Estimate
    best: bool
    text: str
    interval: str | None


class Table(NamedTuple):
    """Methods in rows, metrics in columns."""

    title: str
    columns: list[Metric]
    rows: list[tuple[Group, list[Number]]]


class FinalTable(NamedTuple):
    """Success on each task at the end, methods in rows."""

    curriculum: str
    slot_names: tuple[str, ...]
    rows: list[tuple[str, list[Estimate]]]


class CurvesShown(NamedTuple):
    """The learning curves of a curriculum."""

    curriculum: str
    drawn: Drawn
    summary: str


@dataclasses.dataclass
class SideBySide:
    """What the page shows of several runs together."""

    title: str
    lead: str
    notes: tuple[str, ...]
    single: bool
    """Whether no method has a second seed: no interval anywhere."""
    tables: list[Table]
    """What was learned and kept, other readings of it, and what it cost."""
    bars: Drawn | None
    """None where no method has any of these numbers."""
    bars_summary: str
    curves: list[CurvesShown]
    finals: list[FinalTable]
    costs: Drawn
    downloads: list[Download]


def _side_by_side(compared: Comparison, runs: Mapping[Path, Contents], sections: list[Section]) -> SideBySide:
    groups = compared.groups
    curricula = list(dict.fromkeys(run.config.curriculum.name for run in runs.values()))
    rates = [metric for metric in compared.metrics if metric.kind == "rate"]
    costs = [metric for metric in compared.metrics if metric.kind != "rate"]
    curves = figures.mean_curves(compared, runs)
    panels, each = figures.bars(compared, runs), figures.costs(compared, runs)
    return SideBySide(
        title=f"{' and '.join(curricula[:3])}: {_count(len(groups), 'method')} compared",
        lead=f"{_count(len(runs), 'run')}: " + "; ".join(f"{g.label} ({_seeds(g.seeds)})" for g in groups) + ".",
        notes=compared.notes,
        single=all(len(group.runs) < 2 for group in groups),
        tables=[
            _table("What was learned and kept", [m for m in rates if m.name not in _OTHER_READINGS], compared),
            _table("Other readings of success", [m for m in rates if m.name in _OTHER_READINGS], compared),
            _table("What it cost", costs, compared),
        ],
        bars=drawn(lambda width: comparison_figure(panels, width), "bars") if panels else None,
        bars_summary=_bars_summary(groups),
        curves=[
            CurvesShown(shown.curriculum, drawn(shown.draw, f"curves {n}"), _ends_summary(shown))
            for n, shown in enumerate(curves)
        ],
        finals=[
            FinalTable(
                final.curriculum,
                final.slot_names,
                [(g.label, [g.final_success[name] for name in final.slot_names]) for g in final.groups],
            )
            for final in figures.finals(compared)
        ],
        costs=drawn(lambda width: cost_figure(each, width), "costs"),
        downloads=[Download("comparison.csv", _comparison_csv(compared)), Download("runs.csv", _runs_csv(sections))],
    )


_OTHER_READINGS = ("average_success_final_step", "average_success_stochastic", "unlearned_share")
_SHOWN: dict[str, Callable[[float], str]] = {"rate": number, "seconds": duration, "count": grouped, "bytes": size}


def _table(title: str, columns: list[Metric], compared: Comparison) -> Table:
    rows = []
    for group in compared.groups:
        cells = []
        for metric in columns:
            found = group.estimates[metric.name]
            show = _SHOWN[metric.kind]
            text = DASH if found.value is None else show(found.value)
            ends = None if found.low is None or found.high is None else f"{show(found.low)} to {show(found.high)}"
            if ends == f"{text} to {text}":  # every seed has the same
                ends = None
            cells.append(Number(found, compared.leads(group, metric.name), text, ends))
        rows.append((group, cells))
    return Table(title, columns, rows)


def _bars_summary(groups: Sequence[Group]) -> str:
    """The comparison's figure in words."""
    told = []
    for group in groups:
        parts = [f"{title} {number(group.estimates[key].value)}" for key, title in figures.COMPARED]
        told.append(f"{group.label}: {', '.join(parts)}")
    return "; ".join(told) + "."


def _ends_summary(curves: figures.Curves) -> str:
    """The mean learning curves in words."""
    told = []
    for label, bands in curves.methods.items():
        ends = [
            f"{name} {number(float(band.mean[-1]) if len(band.mean) else None)}"
            for name, band in zip(curves.slot_names, bands, strict=True)
        ]
        told.append(f"{label} ended at {', '.join(ends)}")
    return "Mean success of every task over the run. " + "; ".join(told) + "."


def _comparison_csv(compared: Comparison) -> str:
    rows: list[list[Any]] = [["method", "metric", "value", "low", "high", "runs", "undefined"]]
    for group, metric in itertools.product(compared.groups, compared.metrics):
        e = group.estimates[metric.name]
        rows.append([group.label, metric.name, e.value, e.low, e.high, e.n, e.undefined])
    return csv_link(rows)


def _runs_csv(sections: Sequence[Section]) -> str:
    keys = [key for key, _, _ in HEADLINES]
    rows: list[list[Any]] = [["run", "curriculum", "method", "seed", *keys, "seconds", "parameters", "memory_bytes"]]
    for section in sections:
        config, metrics = section.run.config, section.metrics
        cost = [metrics.seconds.total, metrics.parameters.total, metrics.memory_bytes]
        headlines = [getattr(metrics, key) for key in keys]
        rows.append([section.name, config.curriculum.name, config.method, config.seed, *headlines, *cost])
    return csv_link(rows)


def _count(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed{'' if len(seeds) == 1 else 's'} {', '.join(map(str, seeds))}"
