"""What a run's folder holds, read once and checked: all that a page or a figure shows comes from here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

import pydantic
import yaml

from clrobot.errors import UserError
from clrobot.files import check_record, read_plain
from clrobot.results.scores import Score
from clrobot.runs.score_book import read_scores

_Model = TypeVar("_Model", bound=pydantic.BaseModel)
_Number = Annotated[float, pydantic.Field(allow_inf_nan=False)]
_Rate = Annotated[float, pydantic.Field(ge=0, le=1)]
_Change = Annotated[float, pydantic.Field(ge=-1, le=1)]
Matrix = list[list[_Rate | None]]


class Task(pydantic.BaseModel):
    """One entry of ``per_task``."""

    slot: int
    task: str
    learned: _Rate | None
    final: _Rate | None
    forgetting: _Number | None
    retention: _Number | None = None
    auc: _Number | None = None
    forward_transfer: _Number | None = None
    zero_shot_transfer: _Number | None = None
    final_stochastic: _Rate | None = None
    plasticity: _Number | None = None


class Parameters(pydantic.BaseModel):
    """How large the policy is at the end."""

    trainable: int
    total: int


class Seconds(pydantic.BaseModel):
    """Wall-clock time by what it was spent on."""

    train: _Number
    evaluate: _Number
    method: _Number
    record: _Number | None = None
    save: _Number | None = None

    @property
    def by_kind(self) -> dict[str, float]:
        """What was measured, by the names of `clrobot.report.figures.bars.SECONDS`."""
        return {kind: seconds for kind, seconds in self if seconds is not None}

    @property
    def total(self) -> float:
        """All of it."""
        return sum(self.by_kind.values())


class Dormant(pydantic.BaseModel):
    """The shares of units that no longer do anything."""

    actor: _Rate | None = None
    critic: _Rate | None = None


class StageRecord(pydantic.BaseModel):
    """What the agent had become after a stage, and what the stage took."""

    stage: Annotated[int, pydantic.Field(ge=1)]
    parameters: Parameters | None = None
    memory_bytes: int | None = None
    dormant_share: Dormant = Dormant()
    seconds: Seconds | None = None


class Metrics(pydantic.BaseModel):
    """What is shown of ``metrics.json``; what older versions did not write is optional."""

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
    per_task: Annotated[list[Task], pydantic.Field(min_length=1)]
    success_matrix: Matrix
    success_matrix_final: Matrix
    isolated_forgetting: list[list[_Change | None]] | None = None
    parameters: Parameters
    memory_bytes: int
    gradient_steps: int | None = None
    per_stage: list[StageRecord] = []
    seconds: Seconds

    @pydantic.model_validator(mode="after")
    def _shapes(self) -> Self:
        slots = len(self.per_task)
        for name, rows in (("success_matrix", slots + 1), ("success_matrix_final", slots + 1)):
            _check_shape(name, getattr(self, name), rows, slots)
        if self.isolated_forgetting is not None:
            _check_shape("isolated_forgetting", self.isolated_forgetting, slots, slots)
        if stray := [record.stage for record in self.per_stage if record.stage > slots]:
            raise ValueError(f"per_stage tells of stage {stray[0]}, and there are {slots}")
        if len(self.stage_ends) != self.stages_done or self.stages_done > slots:
            raise ValueError(f"stages_done = {self.stages_done} does not fit stage_ends = {self.stage_ends}")
        return self

    @property
    def slot_names(self) -> list[str]:
        """One for each of the N slots."""
        return [task.task for task in self.per_task]


def _check_shape(name: str, matrix: list[list[Any]], rows: int, columns: int) -> None:
    widths = [len(row) for row in matrix]
    if widths != [columns] * rows:
        raise ValueError(f"{name} must have {rows} rows of {columns}, got rows of {widths}")


class _Stage(pydantic.BaseModel):
    task: str
    steps: int
    overrides: dict[str, float] = {}


class _Curriculum(pydantic.BaseModel):
    name: str
    stages: list[_Stage]


class Config(pydantic.BaseModel):
    """What is shown by name of ``config.yaml``."""

    curriculum: _Curriculum
    method: str
    seed: int


@dataclass(frozen=True)
class Contents:
    """A run, as its files tell it."""

    path: Path
    metrics: Metrics
    scores: list[Score]
    """In the order of the file."""
    config: Config
    environment: dict[str, Any]
    texts: dict[str, str]
    """``config.yaml``, ``metrics.json`` and ``scores.jsonl`` as they are."""

    @property
    def name(self) -> str:
        """The folder's."""
        return self.path.resolve().name


def read_run(run: Path) -> Contents:
    """Read what a run's folder holds; the run may be unfinished.

    Raises:
        UserError: A file is missing or is not what it should be.
    """
    if (problem := check_record(run)) is not None:
        raise UserError(f"{problem}; train again, or restore the file")
    texts = {name: _text(run / name) for name in ("metrics.json", "config.yaml")}
    metrics = _validated(Metrics, run / "metrics.json", _json(run / "metrics.json", texts["metrics.json"]))
    config = _validated(Config, run / "config.yaml", _yaml(run / "config.yaml", texts["config.yaml"]))
    environment = _json(run / "environment.json", _text(run / "environment.json"))
    if not isinstance(environment, dict):
        raise UserError(f"{run / 'environment.json'}: expected an object, got {type(environment).__name__}")
    scores = read_scores(run / "scores.jsonl")
    slots = len(metrics.per_task)
    if stray := [score for score in scores if max(score.stage, score.slot) > slots]:
        raise UserError(f"{run / 'scores.jsonl'}: {stray[0]} is not of the {slots} stages in metrics.json")
    texts["scores.jsonl"] = _text(run / "scores.jsonl")
    return Contents(run, metrics, scores, config, environment, texts)


_LIMIT = 2**28  # bytes


def _text(path: Path) -> str:
    try:
        return read_plain(path, _LIMIT).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}") from None


def _json(path: Path, text: str) -> object:
    try:
        content: object = json.loads(text)
        _check_writable(content)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON: {error}") from None
    return content


def _yaml(path: Path, text: str) -> object:
    try:
        content: object = yaml.safe_load(text)
        _check_writable(content)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is not YAML: {error}") from None
    return content


def _check_writable(content: object) -> None:
    """Raise ValueError for text that no page can hold: both formats can spell half of a surrogate pair."""
    json.dumps(content, ensure_ascii=False, skipkeys=True, default=str).encode()


def _validated(model: type[_Model], path: Path, content: object) -> _Model:
    try:
        return model.model_validate(content)
    except pydantic.ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or 'the file'}: {problem['msg']}" for problem in error.errors()
        )
        raise UserError(f"{path}: {problems}") from None
