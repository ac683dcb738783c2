"""Curricula: sequences of stages, as data.

A curriculum is a name and a list of stages; a stage is a task, a number of control steps and, where its world is
another, what differs in it (`clrobot.envs.simulation.overrides.OVERRIDES` names what can). Curricula add and
multiply (`2 * CURRICULA["quick"]` has six stages). A file of the user's own is YAML:

    name: my-own
    stages:
      - {task: reach, steps: 50_000}
      - {task: push, steps: 200_000, overrides: {object.friction: 0.3}}

A task may also be any environment that is registered with Gymnasium. Where observations or actions then differ in
size, the curriculum says that they are padded, so that one network takes both:

    name: two-worlds
    pad: true
    stages:
      - {task: reach, steps: 50_000}
      - {task: "gymnasium:Reacher-v5", steps: 200_000, success: {return_above: -5}}
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from clrobot.envs.simulation.overrides import checked
from clrobot.envs.simulation.simulation import HORIZON
from clrobot.envs.tasks import TASKS_BY_ID
from clrobot.envs.worlds import spec as worlds
from clrobot.envs.worlds.kinds import is_native, kind_of
from clrobot.envs.worlds.kwargs import check_kwargs
from clrobot.errors import UserError, nearest, shown
from clrobot.results.fields import MAX_SLOTS

# More steps than anybody will train; a counter holds them exactly.
MAX_STEPS = 10**12
MAX_STAGES = MAX_SLOTS
MAX_HORIZON = 100_000  # of an episode: evaluation runs dozens of them at once, to their ends

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


def _no_truth(value: Any) -> Any:
    """Refuse true and false, which YAML also reads from `yes` and `on`."""
    if isinstance(value, bool):
        raise ValueError(f"{value}; expected a number")
    return value


Steps = Annotated[int, BeforeValidator(whole_number), Field(gt=0, le=MAX_STEPS)]
Horizon = Annotated[int, BeforeValidator(whole_number), Field(gt=0, le=MAX_HORIZON)]
Finite = Annotated[float, BeforeValidator(_no_truth), Field(ge=-worlds.HUGE, le=worlds.HUGE)]
Scale = Annotated[float, BeforeValidator(_no_truth), Field(gt=0, le=worlds.HUGE)]
Spread = Annotated[float, Field(ge=1 / worlds.HUGE, le=worlds.HUGE)]
Key = Annotated[str, Field(min_length=1, max_length=200)]  # of an environment's `info`


class Success(_Frozen):
    """What tells that an episode in a world of others' has been a success: a key, or the return."""

    key: Key | None = None
    """A key of the environment's `info`, whose value is true, or greater than `above`."""
    above: Finite | None = None
    return_above: Finite | None = None
    """The episode's return, which is judged at its end."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.key is None) == (self.return_above is None):
            raise ValueError("expected one of {key: NAME} and {return_above: NUMBER}")
        if self.above is not None and self.key is None:
            raise ValueError("above is a bound of a key's value; expected {key: NAME, above: NUMBER}")
        return self


class Measured(_Frozen):
    """What was found out about a world of others' before training, and stays (see `clrobot.envs`' `Measured`)."""

    offset: tuple[Finite, ...] = Field(min_length=1, max_length=worlds.MOST)
    scale: tuple[Spread, ...] = Field(max_length=worlds.MOST)
    actions: int = Field(ge=1, le=worlds.MOST)
    success: Key | None = None

    @model_validator(mode="after")
    def _same_length(self) -> Self:
        if len(self.offset) != len(self.scale):
            raise ValueError(f"{len(self.offset)} offsets and {len(self.scale)} scales; expected as many")
        return self


class Stage(_Frozen):
    """One stage: train on `task` for `steps` control steps (rounded up to whole updates by the algorithm)."""

    task: str
    """A native task's id, or the kind of world and the name there: `gymnasium:Pusher-v5`."""
    steps: Steps
    overrides: dict[str, int | float] = {}
    """What puts a native task into another world: `{"object.friction": 0.3}` (see `clrobot.envs`' OVERRIDES)."""
    kwargs: dict[str, Any] = {}
    """What a world of others' is made with: plain values that name no file (see `clrobot.envs`' `kwargs`)."""
    horizon: Horizon | None = None
    """The most control steps of an episode, in place of the world's own."""
    reward_scale: Scale | None = None
    """What rewards are multiplied by for the learner. None: 1 for native tasks, a running scale for others'."""
    success: Success | None = None
    """What tells success in a world of others'; None: `success` or `is_success` in its `info`, if it has one."""
    measured: Measured | None = None
    """Of a world of others', once it has been tried."""

    @field_validator("task")
    @classmethod
    def _known(cls, task: str) -> str:
        try:
            kind_of(task).check(task)
        except UserError as error:
            raise ValueError(str(error)) from error
        return task

    @field_validator("overrides", mode="before")
    @classmethod
    def _possible(cls, overrides: Any, info: ValidationInfo) -> Any:
        name = info.data.get("task", "")
        if not is_native(name):
            if overrides:
                raise ValueError(f"overrides are for clrobot's own tasks; {name} takes kwargs")
            return overrides
        task = TASKS_BY_ID.get(name)
        if task is None or not isinstance(overrides, Mapping):
            return overrides  # refused elsewhere
        return checked(task, {name: _number(value) for name, value in overrides.items()})

    @field_validator("kwargs")
    @classmethod
    def _plain_kwargs(cls, kwargs: dict[str, Any]) -> dict[str, Any]:
        check_kwargs(kwargs)
        return kwargs

    @field_validator("kwargs", "success", "measured")
    @classmethod
    def _of_others(cls, value: Any, info: ValidationInfo) -> Any:
        name = info.data.get("task", "")
        if value and is_native(name) and name:
            raise ValueError(f"{info.field_name} is for worlds of others'; {name} is one of clrobot's own tasks")
        return value

    @field_validator("horizon")
    @classmethod
    def _within_native(cls, horizon: int | None, info: ValidationInfo) -> int | None:
        if horizon is not None and is_native(info.data.get("task", "")) and horizon > HORIZON:
            raise ValueError(f"horizon {horizon:,}; expected 1 to {HORIZON}, the steps of clrobot's own tasks")
        return horizon

    @model_serializer(mode="wrap")
    def _plain(self, usual: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is as it is where nobody says: files and keys do not change with what could be said."""
        plain: dict[str, Any] = usual(self)
        if self.success is not None:
            plain["success"] = {name: value for name, value in plain["success"].items() if value is not None}
        return {name: value for name, value in plain.items() if value not in ({}, None)}

    def __hash__(self) -> int:
        return hash((self.world, self.steps))

    def __str__(self) -> str:
        return f"{self.task} {self.steps:,}" + (f" ({self.world_description})" if self.world_description else "")

    @property
    def name(self) -> str:
        """The task without the kind of its world, as files and figures name it: `Pusher-v5`."""
        return worlds.short_name(self.task)

    @property
    def native(self) -> bool:
        """Whether the task is of clrobot's own kind."""
        return is_native(self.task)

    @property
    def tells_success(self) -> bool:
        """Whether anything tells success; of a world of others', once it has been tried."""
        return self.native or self.success is not None or bool(self.measured and self.measured.success)

    @property
    def saves_state(self) -> bool:
        """Whether its world saves its state, so that a training goes on anywhere in it."""
        return kind_of(self.task).saves_state

    @property
    def world(self) -> tuple[Any, ...]:
        """What two stages of one world share: the task, and all that differs in its world."""
        others = self.model_dump(mode="json", exclude={"task", "steps", "overrides", "reward_scale"})
        return self.task, *sorted(self.overrides.items()), *([json.dumps(others, sort_keys=True)] if others else ())

    @property
    def world_description(self) -> str:
        """What differs in the stage's world, for people: `object.friction 0.3`, or nothing."""
        parts = [f"{name} {value:g}" for name, value in self.overrides.items()]
        parts += [f"{name} {value}" for name, value in self.kwargs.items()]
        return ", ".join([*parts, *([f"horizon {self.horizon}"] if self.horizon else ())])

    @property
    def spec(self) -> worlds.WorldSpec:
        """The world that is wanted."""
        success = self.success or Success.model_construct()
        return worlds.WorldSpec(
            task=self.task,
            overrides=self.overrides,
            kwargs=self.kwargs,
            horizon=self.horizon,
            success_key=success.key,
            key_above=success.above,
            success_above=success.return_above,
            measured=None if self.measured is None else worlds.Measured(**dict(self.measured)),
        )


Defaults = dict[Literal["ppo", "sac"], dict[str, bool | int | float | str]]


class Curriculum(_Frozen):
    """A named sequence of stages."""

    name: str = Field(min_length=1, max_length=100)
    stages: tuple[Stage, ...] = Field(min_length=1, max_length=MAX_STAGES)
    pad: bool = False
    """Bring observations and actions that differ in size to one size, with a mask that says whose they are."""
    heads: Literal["per-stage", "one"] = "per-stage"
    """Whether each stage has a head of its own, or all share one."""
    order: Literal["written", "seed", "drawn"] = "written"
    """Whether the stages come as they are written, or in an order drawn from the run's seed; drawn: they do, and it
    has been."""
    drawn_by: Annotated[int, BeforeValidator(whole_number), Field(ge=0, lt=2**31)] | None = None
    """The seed that drew the order, where it has been."""
    defaults: Defaults = {}
    """Settings of the algorithms that these tasks ask for: `{ppo: {gamma: 0.99}}`; flags and files override them."""

    @field_validator("name")
    @classmethod
    def _stays_in_its_folder(cls, name: str) -> str:
        if name in (".", "..") or any(part in name for part in _NOT_IN_NAMES):
            raise ValueError(f"{shown(name)} cannot name a folder; expected a name without slashes")
        return name

    @field_validator("heads", "order", mode="before")
    @classmethod
    def _one_of_few(cls, value: Any, info: ValidationInfo) -> Any:
        known = {"heads": ("per-stage", "one"), "order": ("written", "seed", "drawn")}[str(info.field_name)]
        if value not in known:
            raise ValueError(f"{info.field_name} {shown(value)}{nearest(str(value), known)}")
        return value

    @model_serializer(mode="wrap")
    def _plain(self, usual: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is as it is where nobody says, as a stage does."""
        plain: dict[str, Any] = usual(self)
        given = {name for name, field in type(self).model_fields.items() if getattr(self, name) != field.default}
        return {name: value for name, value in plain.items() if name in given}

    def __hash__(self) -> int:
        return hash((self.name, self.stages))

    @property
    def slots(self) -> tuple[str, ...]:
        """One name for each stage: the task's, numbered from its second appearance (`push`, `push-2`)."""
        seen: Counter[str] = Counter()
        names: dict[str, None] = {}
        for stage in self.stages:
            seen[stage.name] += 1
            slot = stage.name if seen[stage.name] == 1 else f"{stage.name}-{seen[stage.name]}"
            while slot in names:  # another task is called so
                seen[stage.name] += 1
                slot = f"{stage.name}-{seen[stage.name]}"
            names[slot] = None
        return tuple(names)

    @property
    def saves_state(self) -> bool:
        """Whether every stage's world saves its state."""
        return all(stage.saves_state for stage in self.stages)

    @property
    def planned(self) -> Curriculum:
        """The same before a seed drew the stages' order: what runs of several seeds have in common.

        Its stages are then in an order that no seed decides.
        """
        if self.order != "drawn":
            return self
        return self.with_stages(tuple(sorted(self.stages, key=Stage.model_dump_json)), order="seed", drawn_by=None)

    def with_stages(self, stages: tuple[Stage, ...], **changes: Any) -> Curriculum:
        """Return the same curriculum with other stages."""
        return Curriculum(**dict(self) | {"stages": stages} | changes)

    def __add__(self, other: Curriculum) -> Curriculum:
        return self.with_stages(self.stages + other.stages, name=f"{self.name}+{other.name}")

    def __rmul__(self, times: int) -> Curriculum:
        return self.with_stages(self.stages * times, name=f"{times}*{self.name}")

    def with_steps(self, steps: int) -> Curriculum:
        """Return the same curriculum with `steps` in every stage."""
        return self.with_stages(tuple(Stage(**dict(stage) | {"steps": steps}) for stage in self.stages))
