"""Writes the page of one run, or of several side by side."""

from __future__ import annotations

import base64
import csv
import dataclasses
import functools
import hashlib
import importlib.resources
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from markupsafe import Markup

from clrobot.errors import UserError
from clrobot.files import atomic
from clrobot.report.contents import Contents, Matrix, Metrics, read_run
from clrobot.report.figures import of_runs as figures
from clrobot.report.figures.bars import SECONDS
from clrobot.report.figures.curves import curves_figure
from clrobot.report.figures.style import NARROW, WIDE, Array, to_svg
from clrobot.report.films import Films, Videos
from clrobot.results.headlines import HEADLINES, MORE_TASK_COLUMNS, TASK_COLUMNS
from clrobot.results.numbers import duration, grouped, number, size
from clrobot.results.scores import Score


def write_report(run: Path, out: Path | None = None, videos: Videos = "link") -> Path:
    """Write the page of one run, from nothing but what its folder holds.

    Args:
        run: The folder, with ``metrics.json``, ``scores.jsonl``, ``config.yaml``, ``environment.json`` and
            the ``videos/stage_KK/<task>.mp4`` that were recorded. The run may be unfinished.
        out: The page's file; None: ``report.html`` in the run's folder.
        videos: Whether the page links to the films or holds them itself.

    Returns:
        The path of the page.

    Raises:
        UserError: A file is missing or is not what it should be, or the page cannot be written.
    """
    path = out or run / "report.html"
    films = Films(path.parent, videos)
    contents = read_run(run)
    section = section_of(contents, films, contents.name)
    return write_page(path, films, title=section.name, sections=[section], comparison=None)


def write_page(path: Path, films: Films, **shown: Any) -> Path:
    """Render the page and write it in one step; `shown` is what the template shows."""
    template = _environment().get_template("page.html.jinja")
    script = _read("script.js")
    html = template.render(
        films=films.embedded,
        headlines=HEADLINES,
        style=Markup(_read("style.css")),
        script=Markup(script),
        # No other script than this one may run, whatever a run's files hold.
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        **shown,
    )
    try:
        with atomic(path) as unfinished:
            unfinished.write_bytes(_encode(html))
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); make room for it and try again") from error
    return path


# One run ---------------------------------------------------------------------------------------------------


class Cell(NamedTuple):
    """One score of the matrix, and the film that shows it."""

    stage: int
    slot: int
    value: float | None
    video: str | None
    """Its address, or None where no film was recorded."""


class Download(NamedTuple):
    """A file that the page holds."""

    name: str
    address: str


class Drawn(NamedTuple):
    """A figure for a desk and for a phone."""

    wide: Markup
    narrow: Markup


@dataclasses.dataclass
class Section:
    """What the page shows of one run."""

    id: str
    """Begins the ids of the run's elements."""
    name: str
    run: Contents
    environment: list[tuple[str, str]]
    headlines: list[tuple[float | None, str, str]]
    task_columns: list[tuple[str, str]]
    matrix: list[list[Cell]]
    matrix_final: list[list[Cell]]
    drops: list[list[float | None]]
    """Isolated forgetting: a row for each stage but the first, a column for each task but the last."""
    curves: Drawn
    curves_summary: str
    downloads: list[Download]

    @property
    def metrics(self) -> Metrics:
        """The run's."""
        return self.run.metrics

    @property
    def films(self) -> int:
        """How many films there are to see."""
        return sum(cell.video is not None for row in self.matrix for cell in row)


def section_of(run: Contents, films: Films, name: str, n: int = 0) -> Section:
    """Return what the page shows of one run; `n` counts the runs of a page from 1, 0 is a page of one."""
    metrics = run.metrics
    names = metrics.slot_names
    addresses = [films.of_stage(run.path, stage) for stage in range(len(names) + 1)]
    prefix = f"run-{n}-" if n else ""
    return Section(
        id=prefix,
        name=name,
        run=run,
        environment=list(_flat(run.environment)),
        headlines=[(getattr(metrics, key), name, meaning) for key, name, meaning in HEADLINES],
        task_columns=[
            *TASK_COLUMNS,
            *(c for c in MORE_TASK_COLUMNS if any(getattr(task, c[0]) is not None for task in metrics.per_task)),
        ],
        matrix=_cells(addresses, names, metrics.success_matrix),
        matrix_final=_cells(addresses, names, metrics.success_matrix_final),
        drops=_rows(figures.drops(run)[1:, :-1]),
        curves=_curves(run.scores, names, metrics.stage_ends, prefix),
        curves_summary=_curves_summary(metrics),
        downloads=_downloads(run),
    )


def _cells(addresses: list[dict[str, str]], names: list[str], matrix: Matrix) -> list[list[Cell]]:
    return [
        [Cell(stage, slot, row[slot - 1], addresses[stage].get(f"{name}.mp4")) for slot, name in enumerate(names, 1)]
        for stage, row in enumerate(matrix)
    ]


def _curves(scores: list[Score], names: list[str], stage_ends: list[int], salt: str) -> Drawn:
    return drawn(lambda width: curves_figure(scores, names, stage_ends, width=width), salt)


def drawn(draw: figures.Draw, salt: str) -> Drawn:
    """Return a figure at both widths; `salt` keeps its ids apart from other figures'."""
    # matplotlib escapes the names on its own.
    return Drawn(*(Markup(to_svg(draw(width), salt)) for width in (WIDE, NARROW)))


def _curves_summary(metrics: Metrics) -> str:
    """The learning curves in words, for who cannot see them."""
    tasks = [
        f"{task.task} reached {number(task.learned)} in its own stage and ended at {number(task.final)}"
        for task in metrics.per_task
        if task.learned is not None
    ]
    return "Success of every task over the run. " + ("; ".join(tasks) or "No stage has finished") + "."


def _downloads(run: Contents) -> list[Download]:
    names = run.metrics.slot_names
    columns = [field.name for field in dataclasses.fields(Score)]
    scores = [
        [names[score.slot - 1] if column == "task" else getattr(score, column) for column in [*columns, "task"]]
        for score in run.scores
    ]
    rows = ["before training", *names]
    matrix = [[n, rows[n], *row] for n, row in enumerate(run.metrics.success_matrix)]
    return [
        Download("metrics.json", _data("application/json", run.texts["metrics.json"])),
        Download("scores.jsonl", _data("application/jsonl", run.texts["scores.jsonl"])),
        Download("scores.csv", csv_link([[*columns, "task"], *scores])),
        Download("success_matrix.csv", csv_link([["stage", "task trained", *names], *matrix])),
    ]


def csv_link(rows: Sequence[Sequence[Any]]) -> str:
    """Return rows as the address of a file of comma-separated values."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([[_plain(value) for value in row] for row in rows])
    return _data("text/csv", text.getvalue())


def _plain(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def _data(kind: str, text: str) -> str:
    return f"data:{kind};charset=utf-8;base64,{base64.b64encode(_encode(text)).decode()}"


def _encode(text: str) -> bytes:
    """UTF-8; what a folder's name has that is none is written as its escape."""
    return text.encode("utf-8", "backslashreplace")


def _flat(mapping: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Leaves of nested objects, by dotted name."""
    for key, value in mapping.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}".removeprefix("versions."), value if isinstance(value, str) else json.dumps(value)


def _rows(values: Array) -> list[list[float | None]]:
    return [[None if math.isnan(value) else float(value) for value in row] for row in values]


# The templates ---------------------------------------------------------------------------------------------


def _read(name: str) -> str:
    return importlib.resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_read),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["SECONDS"] = SECONDS
    environment.filters |= {"decimal": number, "bytes": size, "duration": duration, "grouped": grouped}
    return environment
