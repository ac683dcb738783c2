"""The report of a run: one page that opens from the disk, with nothing to load but the run's own videos."""

import importlib.resources
import json
import pathlib
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, NamedTuple, Self, TypeVar

import jinja2
import pydantic
import yaml
from markupsafe import Markup

from clrobot.errors import UserError
from clrobot.files import atomic, check_record
from clrobot.metrics import Score, read_scores
from clrobot.plots import curves_figure, to_svg

DASH = "–"
"""What is undefined, or not measured yet."""

WIDE, NARROW = 7.2, 4.2
"""Width in inches of the curves on a desk and on a phone; each is drawn for its page, not scaled."""

HEADLINES = (
    ("average_success", "Average success", "mean success over the tasks trained, at the end"),
    ("forgetting", "Forgetting", "mean fall since each task’s own stage; less is better"),
    ("retention", "Retention", "share of each learned skill that is left"),
    ("backward_transfer", "Backward transfer", "how later stages changed earlier tasks"),
    ("forward_transfer", "Forward transfer", "faster (+) or slower (−) than learning from scratch"),
    ("zero_shot_transfer", "Zero-shot transfer", "gain on a task before its own stage"),
)
"""Key in ``metrics.json``, name, and meaning of each headline number."""


def write_report(run: pathlib.Path) -> pathlib.Path:
    """Write ``report.html`` into a run's folder, from nothing but what the folder holds.

    Args:
        run: The folder, with ``metrics.json``, ``scores.jsonl``, ``config.yaml``, ``environment.json`` and
            the ``videos/stage_KK/<task>.mp4`` that were recorded. The run may be unfinished.

    Returns:
        The path of the page.

    Raises:
        UserError: A file is missing or is not what it should be.
    """
    if (problem := check_record(run)) is not None:
        raise UserError(f"{problem}; train again, or restore the file")
    metrics = _validated(_Metrics, run / "metrics.json", _json(run / "metrics.json"))
    config = _validated(_Config, run / "config.yaml", _yaml(run / "config.yaml"))
    environment = _json(run / "environment.json")
    if not isinstance(environment, dict):
        raise UserError(f"{run / 'environment.json'}: expected an object, got {type(environment).__name__}")
    scores = read_scores(run / "scores.jsonl")
    slots = len(metrics.per_task)
    if stray := [score for score in scores if max(score.stage, score.slot) > slots]:
        raise UserError(f"{run / 'scores.jsonl'}: {stray[0]} is not of the {slots} stages in metrics.json")

    names = [task.task for task in metrics.per_task]
    template = _environment().from_string(
        importlib.resources.files(__package__).joinpath("report.html.jinja").read_text(encoding="utf-8")
    )
    html = template.render(
        run=run.resolve().name,
        config=config,
        config_text=_text(run / "config.yaml"),
        environment=list(_flat(environment)),
        metrics=metrics,
        headlines=[(getattr(metrics, key), name, meaning) for key, name, meaning in HEADLINES],
        matrix=_cells(run, names, metrics.success_matrix),
        matrix_final=_cells(run, names, metrics.success_matrix_final),
        curves=_curves(scores, names, metrics.stage_ends, WIDE),
        curves_narrow=_curves(scores, names, metrics.stage_ends, NARROW),
        curves_summary=_curves_summary(metrics),
    )
    path = run / "report.html"
    try:
        with atomic(path) as unfinished:
            unfinished.write_text(html, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); make room for it and try again") from error
    return path


# What the files must hold ----------------------------------------------------------------------------------

_Model = TypeVar("_Model", bound=pydantic.BaseModel)
_Number = Annotated[float, pydantic.Field(allow_inf_nan=False)]
_Rate = Annotated[float, pydantic.Field(ge=0, le=1)]
_Matrix = list[list[_Rate | None]]


class _Task(pydantic.BaseModel):
    """One entry of ``per_task``."""

    slot: int
    task: str
    learned: _Rate | None
    final: _Rate | None
    forgetting: _Number | None
    retention: _Number | None = None
    auc: _Number | None = None
    forward_transfer: _Number | None = None


class _Parameters(pydantic.BaseModel):
    trainable: int
    total: int


class _Seconds(pydantic.BaseModel):
    train: _Number
    evaluate: _Number
    method: _Number


class _Metrics(pydantic.BaseModel):
    """What the page shows of ``metrics.json``."""

    stages_done: int
    stage_ends: list[int]
    success_reading: str
    average_success: _Number | None
    forgetting: _Number | None
    backward_transfer: _Number | None
    forward_transfer: _Number | None
    zero_shot_transfer: _Number | None
    retention: _Number | None
    unlearned_share: _Number | None
    per_task: Annotated[list[_Task], pydantic.Field(min_length=1)]
    success_matrix: _Matrix
    success_matrix_final: _Matrix
    parameters: _Parameters
    memory_bytes: int
    seconds: _Seconds

    @pydantic.model_validator(mode="after")
    def _shapes(self) -> Self:
        slots = len(self.per_task)
        for name in ("success_matrix", "success_matrix_final"):
            widths = [len(row) for row in getattr(self, name)]
            if widths != [slots] * (slots + 1):
                raise ValueError(f"{name} must have {slots + 1} rows of {slots}, got rows of {widths}")
        if len(self.stage_ends) != self.stages_done or self.stages_done > slots:
            raise ValueError(f"stages_done = {self.stages_done} does not fit stage_ends = {self.stage_ends}")
        return self


class _Stage(pydantic.BaseModel):
    task: str
    steps: int


class _Curriculum(pydantic.BaseModel):
    name: str
    stages: list[_Stage]


class _Config(pydantic.BaseModel):
    """What the page shows by name of ``config.yaml``."""

    curriculum: _Curriculum
    method: str
    seed: int


def _text(path: pathlib.Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}") from None


def _json(path: pathlib.Path) -> object:
    try:
        content: object = json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON: {error}") from None
    return content


def _yaml(path: pathlib.Path) -> object:
    try:
        content: object = yaml.safe_load(_text(path))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is not YAML: {error}") from None
    return content


def _validated(model: type[_Model], path: pathlib.Path, content: object) -> _Model:
    try:
        return model.model_validate(content)
    except pydantic.ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or 'the file'}: {problem['msg']}" for problem in error.errors()
        )
        raise UserError(f"{path}: {problems}") from None


# What the page shows ---------------------------------------------------------------------------------------


class _Cell(NamedTuple):
    """One score of the matrix, and the video that shows it."""

    stage: int
    slot: int
    value: float | None
    video: str | None
    """Relative address, or None where no video was recorded."""


def _cells(run: pathlib.Path, names: list[str], matrix: _Matrix) -> list[list[_Cell]]:
    rows = []
    for stage, row in enumerate(matrix):
        videos = _videos(run, stage)
        rows.append(
            [
                _Cell(stage, slot, value, videos.get(f"{name}.mp4"))
                for slot, (name, value) in enumerate(zip(names, row, strict=True), start=1)
            ]
        )
    return rows


def _videos(run: pathlib.Path, stage: int) -> dict[str, str]:
    """The videos of one stage by file name. A name is looked up among these, never joined to a path."""
    folder = run / "videos" / f"stage_{stage:02d}"
    return {
        path.name: f"videos/{folder.name}/{urllib.parse.quote(path.name, safe='')}"
        for path in sorted(folder.glob("*.mp4"))
    }


def _curves(scores: list[Score], names: list[str], stage_ends: list[int], width: float) -> Markup:
    # matplotlib escapes the names on its own.
    return Markup(to_svg(curves_figure(scores, names, stage_ends, width=width)))


def _curves_summary(metrics: _Metrics) -> str:
    """The learning curves in words, for who cannot see them."""
    tasks = [
        f"{task.task} reached {_decimal(task.learned)} in its own stage and ended at {_decimal(task.final)}"
        for task in metrics.per_task
        if task.learned is not None
    ]
    return "Success of every task over the run. " + ("; ".join(tasks) or "No stage has finished") + "."


def _flat(mapping: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Leaves of nested objects, by dotted name."""
    for key, value in mapping.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value)


def _decimal(value: float | None) -> str:
    """Two decimals, with a true minus sign and no negative zero."""
    return DASH if value is None else f"{round(value, 2) + 0.0:.2f}".replace("-", "−")


def _bytes(count: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "decimal": _decimal,
        "bytes": _bytes,
        "duration": _duration,
        "grouped": lambda count: f"{count:,}".replace(",", "\N{NARROW NO-BREAK SPACE}"),
    }
    return environment
