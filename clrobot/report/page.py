"""Writes the page of one run, or of several side by side."""

from __future__ import annotations

import base64
import csv
import dataclasses
import functools
import hashlib
import importlib.resources
import io
import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jinja2
from markupsafe import Markup

from clrobot.errors import UserError
from clrobot.files import atomic
from clrobot.metrics import Score
from clrobot.plots import (
    DASH,
    NARROW,
    SECONDS,
    WIDE,
    Array,
    comparison_figure,
    cost_figure,
    curves_figure,
    duration,
    grouped,
    number,
    size,
    to_svg,
)
from clrobot.report import figures
from clrobot.report.contents import Contents, Matrix, Metrics, read_run
from clrobot.report.films import Films, Videos

if TYPE_CHECKING:
    from clrobot.comparison import Comparison, Group, Metric
    from clrobot.run_folder import RunFolder
    from clrobot.statistics import Estimate

HEADLINES = (
    ("average_success", "Average success", "mean success over the tasks trained, at the end"),
    ("forgetting", "Forgetting", "mean fall since each task’s own stage; less is better"),
    ("retention", "Retention", "share of each learned skill that is left"),
    ("backward_transfer", "Backward transfer", "how later stages changed earlier tasks"),
    ("forward_transfer", "Forward transfer", "faster (+) or slower (−) than learning from scratch"),
    ("zero_shot_transfer", "Zero-shot transfer", "gain on a task before its own stage"),
)
"""Key in ``metrics.json``, name, and meaning of each headline number."""

TASK_COLUMNS = (
    ("learned", "Learned"),
    ("final", "Final"),
    ("forgetting", "Forgetting"),
    ("retention", "Retention"),
    ("auc", "Area"),
    ("forward_transfer", "Forward transfer"),
)
"""Key in ``per_task`` and name of each column."""

MORE_TASK_COLUMNS = (("final_stochastic", "Final, sampled actions"), ("plasticity", "Plasticity"))
"""Columns that stand only where a run has measured them."""


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
    section = _section(contents, films, contents.name)
    return _write(path, films, title=section.name, sections=[section], comparison=None)


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
    from clrobot.comparison import compare  # SciPy is needed for several runs alone

    compared = compare(runs)
    contents = {run.path: read_run(run.path) for group in compared.groups for run in group.runs}
    films = Films(out.parent, videos)
    each = list(contents.values())
    names = figures.labels(each)
    sections = [_section(run, films, name, n) for n, (run, name) in enumerate(zip(each, names, strict=True), start=1)]
    side = _side_by_side(compared, contents, sections)
    return _write(out, films, title=side.title, sections=sections, comparison=side)


def _write(path: Path, films: Films, **shown: Any) -> Path:
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


def _section(run: Contents, films: Films, name: str, n: int = 0) -> Section:
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
    return _drawn(lambda width: curves_figure(scores, names, stage_ends, width=width), salt)


def _drawn(draw: figures.Draw, salt: str) -> Drawn:
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
        Download("scores.csv", _csv([[*columns, "task"], *scores])),
        Download("success_matrix.csv", _csv([["stage", "task trained", *names], *matrix])),
    ]


def _csv(rows: Sequence[Sequence[Any]]) -> str:
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
        bars=_drawn(lambda width: comparison_figure(panels, width), "bars") if panels else None,
        bars_summary=_bars_summary(groups),
        curves=[
            CurvesShown(shown.curriculum, _drawn(shown.draw, f"curves {n}"), _ends_summary(shown))
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
        costs=_drawn(lambda width: cost_figure(each, width), "costs"),
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
    return _csv(rows)


def _runs_csv(sections: Sequence[Section]) -> str:
    keys = [key for key, _, _ in HEADLINES]
    rows: list[list[Any]] = [["run", "curriculum", "method", "seed", *keys, "seconds", "parameters", "memory_bytes"]]
    for section in sections:
        config, metrics = section.run.config, section.metrics
        cost = [metrics.seconds.total, metrics.parameters.total, metrics.memory_bytes]
        headlines = [getattr(metrics, key) for key in keys]
        rows.append([section.name, config.curriculum.name, config.method, config.seed, *headlines, *cost])
    return _csv(rows)


def _count(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed{'' if len(seeds) == 1 else 's'} {', '.join(map(str, seeds))}"


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
