"""A comparison as text: for the terminal, Markdown, LaTeX, or a file of comma-separated values."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from clrobot.comparison.comparison import Comparison, Group, Kind
from clrobot.results.statistics import CONFIDENCE, Estimate

Format = Literal["table", "markdown", "csv", "latex"]

DASH = "–"
"""What is undefined."""

_COLUMNS = 5
"""The most in one table: with intervals they still fit a terminal of 80 columns."""

_SECTIONS = (
    (
        "What was learned and kept",
        ("average_success", "average_success_final_step", "forgetting", "backward_transfer", "retention"),
    ),
    (
        "What came over from earlier tasks, and how learning went",
        ("forward_transfer", "zero_shot_transfer", "plasticity", "unlearned_share", "average_success_stochastic"),
    ),
    ("What it cost", ("parameters.total", "memory_bytes", "seconds.total", "environment_steps", "gradient_steps")),
    ("Where the seconds went", ("seconds.train", "seconds.evaluate", "seconds.method")),
)


@dataclass(frozen=True)
class _Cell:
    value: str
    interval: str
    """Empty without one, or when it has no width."""
    best: bool


@dataclass(frozen=True)
class _Section:
    title: str
    columns: tuple[tuple[str, tuple[_Cell, ...]], ...]
    """Each column's heading, and a cell for each row."""


def as_text(comparison: Comparison, form: Format, *, width: int = 80) -> str:
    """Return the comparison in a format, notes included (not in `csv`, which is for machines)."""
    if form == "csv":
        return _csv(comparison)
    if form == "table":
        console = Console(file=io.StringIO(), width=width, color_system=None)
        print_comparison(comparison, console)
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue()
    render = _markdown if form == "markdown" else _latex
    parts = [render(section, comparison) for section in _sections(comparison)]
    comment = "% " if form == "latex" else ""
    return "\n\n".join([*parts, *(f"{comment}{line}" for line in _foot(comparison))]) + "\n"


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Show the comparison in the terminal: the value, below it the interval, and the best in bold."""
    for section in _sections(comparison):
        table = Table(title=section.title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        table.add_column("method", overflow="fold", min_width=12)
        table.add_column("seeds", justify="right")
        for heading, column in section.columns:
            widest = max(len(word) for cell in column for word in (cell.value, cell.interval, *heading.split()))
            table.add_column(heading, justify="right", min_width=widest)
        for row, group in enumerate(comparison.groups):
            cells = [column[row] for _, column in section.columns]
            shown = [
                Text(c.value, "bold" if c.best else "").append(_below(c.interval), "not bold dim") for c in cells
            ]
            table.add_row(group.label, str(len(group.seeds)), *shown)
        console.print(table)
    for line in _foot(comparison):
        console.print(line, style="dim", markup=False, highlight=False)


def _below(interval: str) -> str:
    return f"\n{interval}" if interval else ""


def _sections(comparison: Comparison) -> Iterable[_Section]:
    titles = {metric.name: metric for metric in comparison.metrics}
    for title, names in _SECTIONS:
        columns = [
            (
                titles[name].title,
                tuple(
                    _cell(group.estimates[name], titles[name].kind, comparison.leads(group, name))
                    for group in comparison.groups
                ),
            )
            for name in names
            if name in titles
        ]
        yield _Section(title, tuple(columns))
    yield from _tasks(comparison)


def _tasks(comparison: Comparison) -> Iterable[_Section]:
    """Yield the final success of each task, where all rows have the same tasks."""
    if len({tuple(group.final_success) for group in comparison.groups}) > 1:
        return
    columns: list[tuple[str, tuple[_Cell, ...]]] = []
    for slot in comparison.groups[0].final_success:
        found = [group.final_success[slot] for group in comparison.groups]
        values = {estimate.value for estimate in found if estimate.value is not None}
        best = max(values) if len(values) > 1 else None
        columns.append((slot, tuple(_cell(e, "rate", e.value is not None and e.value == best) for e in found)))
    for first in range(0, len(columns), _COLUMNS):
        yield _Section("Success on each task at the end", tuple(columns[first : first + _COLUMNS]))


def _cell(estimate: Estimate, kind: Kind, best: bool) -> _Cell:
    if estimate.value is None:
        return _Cell(DASH, "", False)
    show = _SHOWN[kind]
    if estimate.low is None or estimate.high is None or estimate.low == estimate.high:
        return _Cell(show(estimate.value), "", best)
    return _Cell(show(estimate.value), f"{show(estimate.low)}…{show(estimate.high)}", best)


def _bytes(value: float) -> str:
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:,.1f} GB"


_SHOWN: dict[Kind, Callable[[float], str]] = {
    "rate": lambda value: f"{value + 0.0:.2f}".replace("-0.00", "0.00"),
    "seconds": lambda value: f"{value:,.1f}" if value < 10 else f"{value:,.0f}",
    "count": lambda value: f"{value:,.0f}",
    "bytes": _bytes,
}


def _foot(comparison: Comparison) -> list[str]:
    """Return what must be said below the tables, a sentence each."""
    statistic = "Mean" if comparison.statistic == "mean" else "Interquartile mean"
    several = any(len(group.seeds) > 1 for group in comparison.groups)
    lines = [f"{statistic} over seeds; success at any step of an episode unless said otherwise."]
    if several:
        lines.append(f"Intervals: {100 * CONFIDENCE:.0f} % percentile bootstrap over seeds.")
    if alone := [group.label for group in comparison.groups if len(group.seeds) == 1]:
        lines.append(f"One seed gives no interval: {', '.join(alone)}.")
    if left_out := _left_out(comparison.groups):
        lines.append(f"Undefined in some runs, which are left out there: {', '.join(left_out)}.")
    return [*lines, *(f"Not comparable as it stands: {note}" for note in comparison.notes)]


def _left_out(groups: Iterable[Group]) -> list[str]:
    return [
        f"{name} ({group.label}, {found.undefined} of {found.undefined + found.n})"
        for group in groups
        for name, found in group.estimates.items()
        if found.undefined and found.n
    ]


def _markdown(section: _Section, comparison: Comparison) -> str:
    headings = ["method", "seeds", *(heading for heading, _ in section.columns)]
    lines = [f"**{section.title}**", "", _row(headings), _row(["---", *["---:"] * (len(headings) - 1)])]
    for row, group in enumerate(comparison.groups):
        cells = [column[row] for _, column in section.columns]
        shown = [" ".join(filter(None, (f"**{c.value}**" if c.best else c.value, c.interval))) for c in cells]
        lines.append(_row([group.label.replace("|", "\\|"), str(len(group.seeds)), *shown]))
    return "\n".join(lines)


def _row(words: Iterable[str]) -> str:
    return f"| {' | '.join(words)} |"


def _latex(section: _Section, comparison: Comparison) -> str:
    headings = ["method", "seeds", *(heading for heading, _ in section.columns)]
    lines = [
        f"% {section.title}",
        f"\\begin{{tabular}}{{l{'r' * (len(headings) - 1)}}}",
        "\\hline",
        " & ".join(map(_escaped, headings)) + r" \\",
        "\\hline",
    ]
    for row, group in enumerate(comparison.groups):
        cells = [column[row] for _, column in section.columns]
        shown = [f"\\textbf{{{_escaped(c.value)}}}" if c.best else _escaped(c.value) for c in cells]
        small = [f" {{\\scriptsize {_escaped(c.interval)}}}" if c.interval else "" for c in cells]
        words = [_escaped(group.label), str(len(group.seeds)), *(a + b for a, b in zip(shown, small, strict=True))]
        lines.append(" & ".join(words) + r" \\")
    return "\n".join([*lines, "\\hline", "\\end{tabular}"])


_LATEX = {"&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "$": r"\$", "…": r"\,\ldots\,", DASH: "--", "→": r"$\to$"}


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


def _csv(comparison: Comparison) -> str:
    """Return one line for each row, and for each number its value, ends of the interval and runs."""
    slots = list(dict.fromkeys(slot for group in comparison.groups for slot in group.final_success))
    names = [metric.name for metric in comparison.metrics] + [f"final_success.{slot}" for slot in slots]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(
        ["label", "method", "seeds", *(f"{name}{end}" for name in names for end in ("", "_low", "_high", "_n"))]
    )
    nothing = Estimate(None, None, None, 0)
    for group in comparison.groups:
        found = dict(group.estimates) | {f"final_success.{slot}": e for slot, e in group.final_success.items()}
        numbers = [found.get(name, nothing) for name in names]
        writer.writerow(
            [
                group.label,
                group.method,
                " ".join(map(str, group.seeds)),
                *(value for e in numbers for value in (e.value, e.low, e.high, e.n)),
            ]
        )
    return file.getvalue()
