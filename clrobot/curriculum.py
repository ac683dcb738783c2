"""Curricula: sequences of stages, as data.

A curriculum is a name and a list of stages; a stage is a task, a number of control steps and, where its world is
another, what differs in it (`clrobot.envs.shift.OVERRIDES` names what can). Curricula add and
multiply (`2 * CURRICULA["quick"]` has six stages). A file of the user's own is YAML:

    name: my-own
    stages:
      - {task: reach, steps: 50_000}
      - {task: push, steps: 200_000, overrides: {object.friction: 0.3}}
"""

from __future__ import annotations

import difflib
import errno
import math
import reprlib
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_serializer,
)

from clrobot.envs.shift import checked
from clrobot.envs.tasks import TASKS, TASKS_BY_ID
from clrobot.errors import UserError

# More steps than anybody will train; a counter holds them exactly.
MAX_STEPS = 10**12

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

    `overrides` put the task into another world: `{"object.friction": 0.3}` (see `clrobot.envs.shift.OVERRIDES`).
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
        return f"{self.task} {self.steps:,}" + (f" ({self.told})" if self.overrides else "")

    @property
    def world(self) -> tuple[Any, ...]:
        """What two stages of one world share: the task and its overrides."""
        return self.task, *sorted(self.overrides.items())

    @property
    def told(self) -> str:
        """What differs in the stage's world, for people: `object.friction 0.3`, or nothing."""
        return ", ".join(f"{name} {value:g}" for name, value in self.overrides.items())


class Curriculum(_Frozen):
    """A named sequence of stages."""

    name: str = Field(min_length=1, max_length=100)
    stages: tuple[Stage, ...] = Field(min_length=1)

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


def _curriculum(name: str, *stages: tuple[str, int] | tuple[str, int, dict[str, float]]) -> Curriculum:
    return Curriculum(
        name=name,
        stages=tuple(Stage(task=t, steps=n, overrides=o[0] if o else {}) for t, n, *o in stages),
    )


# Neighbours differ in what the hand does: it presses, pushes, pulls, turns, grasps. Easy and hard take turns, so that
# the long training of a hard skill, which makes an agent forget, follows each easy one. What is most alike stands at
# least four stages apart (pick-place and shelf-place, drawer-open and lever-pull), so that transfer shows beside
# forgetting, and nothing undoes another. The steps are at least 1.7 times what PPO needs for a success of 0.9 in the
# task alone (`clrobot learning`).
_CR10 = _curriculum(
    "cr10",
    ("button-press", 80_000),
    ("push", 150_000),
    ("drawer-open", 100_000),
    ("pick-place", 250_000),
    ("door-close", 100_000),
    ("hammer", 320_000),
    ("lever-pull", 100_000),
    ("shelf-place", 360_000),
    ("dial-turn", 120_000),
    ("peg-unplug", 120_000),
)

CURRICULA: dict[str, Curriculum] = {
    c.name: c
    for c in (
        # Minutes, for a first look.
        _curriculum("quick", ("reach", 40_000), ("button-press", 60_000), ("drawer-open", 60_000)),
        # The same and then a harder skill, long enough for an unprotected agent to forget.
        _curriculum(
            "cr4", ("reach", 40_000), ("button-press", 60_000), ("drawer-open", 60_000), ("pick-place", 240_000)
        ),
        _CR10,
        # Everything once more: can an agent that has learned ten skills still learn, and how fast does it relearn?
        Curriculum(name="cr20", stages=(2 * _CR10).stages),
        # Two skills whose worlds change: what the agent sees does not tell in which one it is, but its slot does.
        _curriculum(
            "shift5",
            ("push", 150_000),
            ("drawer-open", 120_000, {"joint.damping": 4.0, "joint.friction": 5.0}),
            ("push", 150_000, {"object.friction": 0.3, "object.mass": 1.0}),
            ("drawer-open", 120_000, {"action.delay": 3}),
            ("push", 150_000, {"object.size": 1.3, "sensor.noise": 0.05}),
        ),
    )
}


def unknown_task(name: str) -> str:
    """Return the sentence on a task that there is not."""
    return f"unknown task {shown(name)}{nearest(name, TASK_IDS)}"


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the end of an error's sentence: the names nearest to `word`, or all of them."""
    known = list(known)
    close = difflib.get_close_matches(word[:100], known, n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(close)}?" if close else f"; expected one of {', '.join(known)}"


def shown(value: Any, room: int = 60) -> str:
    """Return a value as an error's sentence shows it: in one line, and cut when it is long."""
    try:
        text = reprlib.repr(value)
    except (ValueError, RecursionError):  # such as a whole number of more digits than Python prints
        text = type(value).__name__
    return cut(text, room)


def cut(text: str, room: int = 160) -> str:
    """Return text in one line without unprintable characters, and with its middle left out when it is long."""
    line = "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
    return line if len(line) <= room else f"{line[: room // 2 - 1]}…{line[-room // 2 :]}"


def load_curriculum(source: str | Path) -> Curriculum:
    """Return the curriculum of that name, or the one in that YAML file.

    Raises:
        UserError: no such name or file, or the file is malformed (its line is named).
    """
    text = str(source)
    if text in CURRICULA:
        return CURRICULA[text]
    path = Path(text)
    try:
        content = path.read_text(encoding="utf-8")
    except OSError as error:
        if not path.suffix and error.errno != errno.EISDIR:
            known = nearest(text, CURRICULA)
            raise UserError(f"unknown curriculum {shown(text)}{known}; or give a YAML file") from error
        raise UserError(f"curriculum file {cut(repr(text))}: {error.strerror}; give a readable YAML file") from error
    except UnicodeDecodeError as error:
        raise UserError(f"curriculum file {cut(text)}: not UTF-8 text; give a YAML file") from error
    except ValueError as error:  # characters that no path has
        raise UserError(f"unknown curriculum {shown(text)}{nearest(text, CURRICULA)}; or give a YAML file") from error
    return _parse(content, cut(text))


def parse_yaml(content: str, what: str) -> tuple[Any, Any]:
    """Return the YAML text's composed tree (which knows lines) and its data.

    Raises:
        UserError: it is not YAML; the sentence begins with `what` and names the line.
    """
    try:
        return yaml.compose(content, Loader=yaml.SafeLoader), yaml.safe_load(content)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise UserError(f"{what}{line}: {cut(problem)}; expected YAML") from error
    except Exception as error:
        # What PyYAML lets through: `!!int ""`, `!!bool x`, `!!timestamp x`, 2001-99-99, brackets without end, …
        raise UserError(f"{what}: {cut(str(error)) or type(error).__name__}; expected YAML") from error


def _parse(content: str, name: str) -> Curriculum:
    root, data = parse_yaml(content, f"curriculum file {name}")
    if not isinstance(data, dict):
        raise UserError(
            f"curriculum file {name}, line 1: {type(data).__name__}; expected a mapping with `name` and `stages`"
        )
    try:
        return Curriculum.model_validate(data)
    except ValidationError as error:
        first = most_telling(error)
        where = _line_of(root, first["loc"])
        raise UserError(f"curriculum file {name}, line {where}: {explain(error)}") from error


def most_telling(error: ValidationError) -> Any:
    """Return one of the errors: an unknown key before a missing one, since it is often the same, misspelt."""
    errors = error.errors()
    return next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])


def explain(failure: ValidationError) -> str:
    """Return one clause for pydantic's most telling error: where, what was wrong, and the value."""
    error = most_telling(failure)
    where = cut(".".join(str(part + 1 if isinstance(part, int) else part) for part in error["loc"]), 60)
    message = cut(error["msg"].removeprefix("Value error, "), 240 if error["type"] == "value_error" else 160)
    message = message[:1].lower() + message[1:]
    if error["type"] == "missing":
        return f"`{where}` is missing"
    if error["type"] == "extra_forbidden":
        return f"`{where}` is not a known key"
    if error["type"] == "value_error":
        return f"`{where}`: {message}" if where else message
    subject = f"`{where}`" if where else "it"
    return f"{subject} is {shown(error['input'])}; {message}"


def _line_of(node: Any, location: tuple[int | str, ...]) -> int:
    """Return the line (from 1) of the deepest key or item on the way to `location` in a composed YAML tree."""
    line = node
    for part in location:
        if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            line = node = node.value[part]
        elif isinstance(node, yaml.MappingNode):
            found = [(key, value) for key, value in node.value if key.value == part]
            if not found:
                break
            line, node = found[0]
        else:
            break
    return int(line.start_mark.line) + 1 if line is not None else 1
