"""Curricula: sequences of stages, as data.

A curriculum is a name and a list of stages; a stage is a task, a number of control steps and, where its world is
another, what differs in it (`clrobot.envs.simulation.overrides.OVERRIDES` names what can). Curricula add and
multiply (`2 * CURRICULA["quick"]` has six stages). A file of the user's own is YAML:

    name: my-own
    stages:
      - {task: reach, steps: 50_000}
      - {task: push, steps: 200_000, overrides: {object.friction: 0.3}}
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
)

from clrobot.envs.simulation.overrides import checked
from clrobot.envs.tasks import TASKS, TASKS_BY_ID
from clrobot.errors import nearest, shown

# More steps than anybody will train; a counter holds them exactly.
MAX_STEPS = 10**12
MAX_STAGES = 1024  # the slot's index in an observation is at most 1023

# What would let a name lead out of the folder that it is given in.
_NOT_IN_NAMES = ("/", "\\", "\0")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def whole_number(value: Any) -> Any:
    """Turn text such as `1e3` (which YAML 1.1 reads as text) into a whole number, and refuse true and false."""
    if isinstance(value, bool):
        raise ValueError(f"{value}; expected a whole number")
    if isinstance(value, str):
        try:
            number = float(value.replace("_", ""))
        except ValueError:
            return value
        return int(number) if math.isfinite(number) and number == int(number) else value
    return value


def _number(value: Any) -> Any:
    """Turn text such as `1e-3` (which YAML 1.1 reads as text) into a number; the rest is for `checked` to judge."""
    try:
        return float(value.replace("_", "")) if isinstance(value, str) else value
    except ValueError:
        return value


Steps = Annotated[int, BeforeValidator(whole_number), Field(gt=0, le=MAX_STEPS)]


class Stage(_Frozen):
    """One stage: train on `task` for `steps` control steps (rounded up to whole updates by the algorithm).

    `overrides` put the task into another world: `{"object.friction": 0.3}` (see `clrobot.envs`' OVERRIDES).
    """

    task: str
    steps: Steps
    overrides: dict[str, int | float] = {}

    @field_validator("task")
    @classmethod
    def _known(cls, task: str) -> str:
        if task not in TASK_IDS:
            raise ValueError(unknown_task(task))
        return task

    @field_validator("overrides", mode="before")
    @classmethod
    def _possible(cls, overrides: Any, info: ValidationInfo) -> Any:
        task = TASKS_BY_ID.get(info.data.get("task", ""))
        if task is None or not isinstance(overrides, Mapping):
            return overrides  # refused elsewhere
        return checked(task, {name: _number(value) for name, value in overrides.items()})

    @model_serializer(mode="wrap")
    def _plain(self, usual: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out overrides where there are none: files and keys are then as they were before there were any."""
        plain: dict[str, Any] = usual(self)
        return {name: value for name, value in plain.items() if name != "overrides" or value}

    def __hash__(self) -> int:
        return hash((self.world, self.steps))

    def __str__(self) -> str:
        return f"{self.task} {self.steps:,}" + (f" ({self.world_description})" if self.overrides else "")

    @property
    def world(self) -> tuple[Any, ...]:
        """What two stages of one world share: the task and its overrides."""
        return self.task, *sorted(self.overrides.items())

    @property
    def world_description(self) -> str:
        """What differs in the stage's world, for people: `object.friction 0.3`, or nothing."""
        return ", ".join(f"{name} {value:g}" for name, value in self.overrides.items())


class Curriculum(_Frozen):
    """A named sequence of stages."""

    name: str = Field(min_length=1, max_length=100)
    stages: tuple[Stage, ...] = Field(min_length=1, max_length=MAX_STAGES)

    @field_validator("name")
    @classmethod
    def _stays_in_its_folder(cls, name: str) -> str:
        if name in (".", "..") or any(part in name for part in _NOT_IN_NAMES):
            raise ValueError(f"{shown(name)} cannot name a folder; expected a name without slashes")
        return name

    @property
    def slots(self) -> tuple[str, ...]:
        """One name for each stage: the task's, numbered from its second appearance (`push`, `push-2`)."""
        seen: Counter[str] = Counter()
        names = []
        for stage in self.stages:
            seen[stage.task] += 1
            names.append(stage.task if seen[stage.task] == 1 else f"{stage.task}-{seen[stage.task]}")
        return tuple(names)

    def __add__(self, other: Curriculum) -> Curriculum:
        return Curriculum(name=f"{self.name}+{other.name}", stages=self.stages + other.stages)

    def __rmul__(self, times: int) -> Curriculum:
        return Curriculum(name=f"{times}*{self.name}", stages=self.stages * times)

    def with_steps(self, steps: int) -> Curriculum:
        """Return the same curriculum with `steps` in every stage."""
        stages = tuple(Stage(task=s.task, steps=steps, overrides=s.overrides) for s in self.stages)
        return Curriculum(name=self.name, stages=stages)


TASK_IDS = tuple(task.id for task in TASKS)


def unknown_task(name: str) -> str:
    """Return the sentence on a task that there is not."""
    return f"unknown task {shown(name)}{nearest(name, TASK_IDS)}"
