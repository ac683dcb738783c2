"""A comparison as text: for the terminal, Markdown, LaTeX, comma-separated values, or JSON."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final, Literal

from rich import box
from rich.table import Table
from rich.text import Text

from clrobot.comparison.comparison import Comparison
from clrobot.comparison.differences import Difference
from clrobot.comparison.groups import Group
from clrobot.comparison.sections import (
    Cell,
    Column,
    Row,
    Section,
    by_baseline,
    metric_sections,
    task_sections,
    with_differences,
)
from clrobot.errors import printable
from clrobot.results.catalogue import COST_SECTIONS, LEARNING_SECTIONS
from clrobot.results.numbers import DASH, json_text, percent
from clrobot.results.statistics import CONFIDENCE, MANY, Estimate, least_p
from clrobot.terminal import LiteralConsole

Format = Literal["table", "markdown", "csv", "latex", "json"]

_COLUMNS: Final = 5  # the most in one table
_LABEL: Final = 12  # characters of a label that a terminal has room for beside the numbers
_ENDLESS: Final = 10_000  # characters, more than any table has


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
    parts = [render(section) for section in _sections(comparison)]
    # In one line each: what follows a line's end is no comment of LaTeX's.
    foot = [_in_one_line(line) for line in _foot(comparison)]
    notes = [_literal(line) if form == "markdown" else f"% {line}" for line in foot]
    return printable("\n\n".join([*parts, *notes])) + "\n"


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Return the comparison in JSON's types: what is undefined is None.

    Returns:
        `statistic`; `rows`, each with `label`, `method`, `seeds`, `published`, `reference` (what forward
        transfer is measured against: own, shipped, both or None), under `metrics` and `final_success` the `value`,
        the interval's ends `low` and `high`, the numbers of runs `n` that define it and `undefined` that do not, and
        under `tasks` the same of what else each task is at the end; `differences`, paired by seed, each of a row
        (`label`) to another (`baseline`); `notes`, why rows may not be comparable; `remarks`, on
        references.
    """
    return {
        "statistic": comparison.statistic,
        "rows": [
            {
                "label": group.label,
                "method": group.method,
                "seeds": list(group.seeds),
                "published": group.published,
                "reference": group.reference,
                "metrics": {metric.name: asdict(group.estimates[metric.name]) for metric in comparison.metrics},
                "final_success": {slot: asdict(found) for slot, found in group.final_success.items()},
                "tasks": {
                    name: {slot: asdict(found) for slot, found in of_slots.items()}
                    for name, of_slots in group.tasks.items()
                    if name != "final"
                },
            }
            for group in comparison.groups
        ],
        "differences": [
            {
                "label": found.group.label,
                "baseline": found.baseline.label,
                "seeds": list(found.seeds),
                "metrics": {metric.name: asdict(found.estimates[metric.name]) for metric in comparison.metrics},
                "final_success": {slot: asdict(each) for slot, each in found.final_success.items()},
            }
            for found in comparison.differences
        ],
        "notes": list(comparison.notes),
        "remarks": list(comparison.remarks),
    }


def print_comparison(comparison: Comparison, console: LiteralConsole) -> None:
    """Show the comparison in the terminal: the value, below it the interval, and in bold what stands out."""
    for section in (part for whole in _sections(comparison) for part in _fitting(whole, console.width)):
        console.print(
            Text(_in_one_line(section.title), "table.title")
        )  # a table's own would be folded to the table's width
        table = _terminal_table(section)
        if console.measure(table, options=console.options.update(width=_ENDLESS)).maximum > console.width:
            # Rich would take the room from any column, numbers too.
            widths = [_width(column) for column in section.columns]
            spare = max(0, _room(console.width) - sum(2 + width for width in widths)) // max(1, len(widths))
            table = _terminal_table(section, [width + spare for width in widths])
        console.print(table)
    for line in _foot(comparison):
        console.print(line, style="dim")


def _terminal_table(section: Section, widths: Sequence[int] | None = None) -> Table:
    """Return a section as the terminal shows it, with columns of these many characters; None: as wide as they are."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("method", overflow="fold", min_width=_LABEL, width=None if widths is None else _LABEL)
    table.add_column("seeds", justify="right")
    for n, column in enumerate(section.columns):
        table.add_column(column.title, justify="right", width=None if widths is None else widths[n])
    for row, cells in _rows(section):
        texts = []
        for cell in cells:
            text = Text(cell.value, "bold" if cell.bold else "")
            texts.append(text.append(f"\n{cell.interval()}" if cell.ends else "", "not bold dim"))
        table.add_row(row.label, str(row.seeds), *texts)
    return table


def _room(width: int) -> int:
    """Return the characters that the columns of numbers have, each with two blanks after it, in a terminal."""
    return width - (1 + _LABEL + 2 + len("seeds") + 2)  # a long label is folded


def _fitting(section: Section, width: int) -> Iterable[Section]:
    """Yield the table, in parts of as many columns as stand in a terminal of that many characters side by side."""
    room = _room(width)
    first = taken = 0
    for n, column in enumerate(section.columns):
        if first < n and taken + 2 + _width(column) > room:
            yield section.part(first, n)
            first, taken = n, 0
        taken += 2 + _width(column)
    yield section.part(first, len(section.columns))


def _width(column: Column) -> int:
    words = [word for cell in column.cells for word in (cell.value, cell.interval())]
    return max(map(len, [*words, *column.title.split()]))


def _sections(comparison: Comparison) -> Iterable[Section]:
    """Yield every table, the tasks' in parts that fit a terminal."""
    yield from with_differences(comparison, LEARNING_SECTIONS)
    yield from metric_sections(comparison, COST_SECTIONS)
    for section in task_sections(comparison):
        yield from section.parts(_COLUMNS)


def _rows(section: Section) -> Iterable[tuple[Row, list[Cell]]]:
    for n, row in enumerate(section.rows):
        yield row, [column.cells[n] for column in section.columns]


def _foot(comparison: Comparison) -> list[str]:
    """Return what must be said below the tables, a sentence each."""
    statistic = "Mean" if comparison.statistic == "mean" else "Interquartile mean"
    seeds = [len(group.seeds) for group in comparison.groups]
    lines = [f"{statistic} over seeds; success at any step of an episode unless said otherwise."]
    if max(seeds) > 1:
        lines.append(
            f"Intervals: {percent(CONFIDENCE)} over seeds, Student's t below {MANY} of them and the bootstrap's from "
            f"{MANY} on; one without width says that all runs are equal."
        )
    if alone := [group.label for group in comparison.groups if len(group.seeds) == 1]:
        lines.append(f"One seed gives no interval: {', '.join(alone)}.")
    lines += differences_foot(comparison.differences)
    rows = [(group.label, group.estimates) for group in comparison.groups]
    rows += [(f"{d.group.label} less {d.baseline.label}", d.estimates) for d in comparison.differences]
    if left_out := _left_out(rows):
        lines.append(f"Undefined in some runs, which are left out there: {', '.join(left_out)}.")
    lines += comparison.remarks
    return [*lines, *(f"Not comparable as it stands: {note}" for note in comparison.notes)]


def differences_foot(differences: Sequence[Difference]) -> list[str]:
    """Return what must be said below differences, a sentence each."""
    if not differences:
        return []
    lines = [
        f"Differences are means over the seeds that both rows have, with their {percent(CONFIDENCE)} t interval; "
        "bold where that leaves out zero, of four seeds or more."
    ]
    for pairs in sorted({len(d.seeds) for d in differences}):
        if pairs > 1 and (p := least_p(pairs)) > 1 - CONFIDENCE:
            lines.append(f"Of {pairs} pairs no sign test can give a two-sided p below {p:.2f}.")
    return lines


def _left_out(rows: Iterable[tuple[str, Mapping[str, Estimate]]]) -> list[str]:
    return [
        f"{name} ({label}, {found.undefined} of {found.undefined + found.n})"
        for label, estimates in rows
        for name, found in estimates.items()
        if found.undefined and found.n
    ]


def _markdown(section: Section) -> str:
    headings = ["method", "seeds", *(column.title for column in section.columns)]
    lines = [f"**{_literal(section.title)}**", "", _markdown_row(map(_literal, headings))]
    lines.append(_markdown_row(["---", *["---:"] * (len(headings) - 1)]))
    for row, cells in _rows(section):
        words = [" ".join(filter(None, (f"**{c.value}**" if c.bold else c.value, c.interval()))) for c in cells]
        lines.append(_markdown_row([_literal(row.label), str(row.seeds), *words]))
    return "\n".join(lines)


def _in_one_line(text: str) -> str:
    return printable(" ".join(text.split()))


def _literal(text: str) -> str:
    """Return text that Markdown shows as it is, in one line: names are the user's, and none is markup or HTML."""
    return re.sub(r"[\\`*_\[\]<>&|~#]", r"\\\g<0>", _in_one_line(text))


def _markdown_row(words: Iterable[str]) -> str:
    return f"| {' | '.join(words)} |"


def _latex(section: Section) -> str:
    headings = ["method", "seeds", *(column.title for column in section.columns)]
    lines = [
        f"% {_in_one_line(section.title)}",
        f"\\begin{{tabular}}{{l{'r' * (len(headings) - 1)}}}",
        "\\hline",
        " & ".join(map(_escaped, headings)) + r" \\",
        "\\hline",
    ]
    for row, cells in _rows(section):
        values = [f"\\textbf{{{_escaped(c.value)}}}" if c.bold else _escaped(c.value) for c in cells]
        small = [f" {{\\scriptsize {_escaped(c.interval())}}}" if c.ends else "" for c in cells]
        words = [_escaped(row.label), str(row.seeds), *(a + b for a, b in zip(values, small, strict=True))]
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
    "≥": r"$\ge$",
    "−": "$-$",
    DASH: "--",
}


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in _in_one_line(text))


def _csv(comparison: Comparison) -> str:
    """Return one line for each row, and for each number its value, ends of the interval and runs."""
    found = [_numbers_of(group, comparison) for group in comparison.groups]
    names = list(dict.fromkeys(name for numbers in found for name in numbers))
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    headings = (f"{name}{end}" for name in names for end in ("", "_low", "_high", "_n"))
    writer.writerow(["label", "method", "seeds", *map(_in_one_line, headings)])
    nothing = Estimate(None, None, None, 0)
    for group, numbers in zip(comparison.groups, found, strict=True):
        estimates = [numbers.get(name, nothing) for name in names]
        writer.writerow(
            [
                _in_one_line(group.label),
                group.method,
                " ".join(map(str, group.seeds)),
                *(value for e in estimates for value in (e.value, e.low, e.high, e.n)),
            ]
        )
    return file.getvalue()


def _numbers_of(group: Group, comparison: Comparison) -> dict[str, Estimate]:
    """Return every number of a row by the name of its column."""
    found = {metric.name: group.estimates[metric.name] for metric in comparison.metrics}
    for name, of_slots in group.tasks.items() if comparison.tasks else ():
        found |= {f"{'final_success' if name == 'final' else name}.{slot}": e for slot, e in of_slots.items()}
    for baseline, differences in by_baseline(comparison).items():
        for difference in (d for d in differences if d.group is group):
            found |= {f"less {baseline}: {m.name}": difference.estimates[m.name] for m in comparison.metrics}
    return found
