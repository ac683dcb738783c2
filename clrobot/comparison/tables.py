"""A comparison as text: for the terminal, Markdown, LaTeX, comma-separated values, or JSON."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, Final, Literal

from rich import box
from rich.table import Table
from rich.text import Text

from clrobot.comparison.comparison import Comparison, Group
from clrobot.comparison.sections import Cell, Section, metric_sections, task_section
from clrobot.errors import printable
from clrobot.results.catalogue import COST_SECTIONS, LEARNING_SECTIONS
from clrobot.results.numbers import DASH, json_text, percent
from clrobot.results.statistics import CONFIDENCE, Estimate
from clrobot.terminal import LiteralConsole

Format = Literal["table", "markdown", "csv", "latex", "json"]

_COLUMNS: Final = 5  # the most in one table: with intervals they still fit a terminal of 80 columns


def as_text(comparison: Comparison, form: Format, *, width: int = 80) -> str:
    """Return the comparison in a format, notes included (but in `csv`, which has no place for them).

    It may be printed: no name in it commands a terminal.
    """
    if form == "csv":
        return printable(_csv(comparison))
    if form == "json":
        return json_text(as_json(comparison)) + "\n"
    if form == "table":
        console = LiteralConsole(io.StringIO(), width=width, color_system=None)
        print_comparison(comparison, console)
        assert isinstance(console.file, io.StringIO)
        return printable(console.file.getvalue())
    render = _markdown if form == "markdown" else _latex
    parts = [render(section, comparison) for section in _sections(comparison)]
    # In one line each: what follows a line's end is no comment of LaTeX's.
    foot = [_in_one_line(line) for line in _foot(comparison)]
    notes = [_literal(line) if form == "markdown" else f"% {line}" for line in foot]
    return printable("\n\n".join([*parts, *notes])) + "\n"


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Return the comparison in JSON's types: what is undefined is None.

    Returns:
        `statistic`; `rows`, each with `label`, `method`, `seeds`, and under `metrics` and `final_success` the
        `value`, the interval's ends `low` and `high`, and the numbers of runs `n` that define it and `undefined` that
        do not; `notes`, why rows may not be comparable.
    """
    return {
        "statistic": comparison.statistic,
        "rows": [
            {
                "label": group.label,
                "method": group.method,
                "seeds": list(group.seeds),
                "metrics": {metric.name: asdict(group.estimates[metric.name]) for metric in comparison.metrics},
                "final_success": {slot: asdict(found) for slot, found in group.final_success.items()},
            }
            for group in comparison.groups
        ],
        "notes": list(comparison.notes),
    }


def print_comparison(comparison: Comparison, console: LiteralConsole) -> None:
    """Show the comparison in the terminal: the value, below it the interval, and the best in bold."""
    for section in _sections(comparison):
        table = Table(title=section.title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        table.add_column("method", overflow="fold", min_width=12)
        table.add_column("seeds", justify="right")
        for column in section.columns:
            words = [word for cell in column.cells for word in (cell.value, _interval(cell))]
            widest = max(map(len, [*words, *column.title.split()]))
            table.add_column(column.title, justify="right", min_width=widest)
        for group, cells in _rows(section, comparison):
            texts = []
            for cell in cells:
                text = Text(cell.value, "bold" if cell.best else "")
                texts.append(text.append(f"\n{_interval(cell)}" if cell.ends else "", "not bold dim"))
            table.add_row(group.label, str(len(group.seeds)), *texts)
        console.print(table)
    for line in _foot(comparison):
        console.print(line, style="dim")


def _sections(comparison: Comparison) -> Iterable[Section]:
    """Yield every table, the tasks' in parts that fit a terminal."""
    yield from metric_sections(comparison, LEARNING_SECTIONS | COST_SECTIONS)
    tasks = task_section(comparison)
    if tasks is not None:
        for first in range(0, len(tasks.columns), _COLUMNS):
            yield Section(tasks.title, tasks.columns[first : first + _COLUMNS])


def _rows(section: Section, comparison: Comparison) -> Iterable[tuple[Group, list[Cell]]]:
    for row, group in enumerate(comparison.groups):
        yield group, [column.cells[row] for column in section.columns]


def _interval(cell: Cell) -> str:
    return "…".join(cell.ends or ())


def _foot(comparison: Comparison) -> list[str]:
    """Return what must be said below the tables, a sentence each."""
    statistic = "Mean" if comparison.statistic == "mean" else "Interquartile mean"
    several = any(len(group.seeds) > 1 for group in comparison.groups)
    lines = [f"{statistic} over seeds; success at any step of an episode unless said otherwise."]
    if several:
        lines.append(f"Intervals: {percent(CONFIDENCE)} percentile bootstrap over seeds.")
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


def _markdown(section: Section, comparison: Comparison) -> str:
    headings = ["method", "seeds", *(column.title for column in section.columns)]
    lines = [f"**{_literal(section.title)}**", "", _markdown_row(map(_literal, headings))]
    lines.append(_markdown_row(["---", *["---:"] * (len(headings) - 1)]))
    for group, cells in _rows(section, comparison):
        words = [" ".join(filter(None, (f"**{c.value}**" if c.best else c.value, _interval(c)))) for c in cells]
        lines.append(_markdown_row([_literal(group.label), str(len(group.seeds)), *words]))
    return "\n".join(lines)


def _in_one_line(text: str) -> str:
    return printable(" ".join(text.split()))


def _literal(text: str) -> str:
    """Return text that Markdown shows as it is, in one line: names are the user's, and none is markup or HTML."""
    return re.sub(r"[\\`*_\[\]<>&|~#]", r"\\\g<0>", _in_one_line(text))


def _markdown_row(words: Iterable[str]) -> str:
    return f"| {' | '.join(words)} |"


def _latex(section: Section, comparison: Comparison) -> str:
    headings = ["method", "seeds", *(column.title for column in section.columns)]
    lines = [
        f"% {section.title}",
        f"\\begin{{tabular}}{{l{'r' * (len(headings) - 1)}}}",
        "\\hline",
        " & ".join(map(_escaped, headings)) + r" \\",
        "\\hline",
    ]
    for group, cells in _rows(section, comparison):
        values = [f"\\textbf{{{_escaped(c.value)}}}" if c.best else _escaped(c.value) for c in cells]
        small = [f" {{\\scriptsize {_escaped(_interval(c))}}}" if c.ends else "" for c in cells]
        words = [_escaped(group.label), str(len(group.seeds)), *(a + b for a, b in zip(values, small, strict=True))]
        lines.append(" & ".join(words) + r" \\")
    return "\n".join([*lines, "\\hline", "\\end{tabular}"])


_LATEX: Final = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "&": r"\&",
    "%": r"\%",
    "_": r"\_",
    "#": r"\#",
    "$": r"\$",
    "…": r"\,\ldots\,",
    "→": r"$\to$",
    "−": "$-$",
    DASH: "--",
}


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in _in_one_line(text))


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
                _in_one_line(group.label),
                group.method,
                " ".join(map(str, group.seeds)),
                *(value for e in numbers for value in (e.value, e.low, e.high, e.n)),
            ]
        )
    return file.getvalue()
