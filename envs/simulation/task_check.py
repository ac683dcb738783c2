"""Whether a task that is not ours is what `Task` asks for: found before hours are trained, in one sentence.

Trying a task takes some milliseconds: about what its scene takes to compile.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from clrobot.envs.simulation.actions import ACTION_SIZE
from clrobot.envs.simulation.features import Features
from clrobot.envs.simulation.simulation import Simulation
from clrobot.envs.simulation.task import Task
from clrobot.errors import UserError, cut, shown

_ID: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z][a-z0-9]*)*")  # the Gymnasium id is made of it; `push-2` is a slot
_N: Final = 2  # simulations to try it in
_SLACK: Final = 1e-6  # by which sums and rewards may be off


def is_task_id(name: str) -> bool:
    """Return whether a task may have this id."""
    return _ID.fullmatch(name) is not None


def task_id(task: object) -> str:
    """Return the id of a task's class, once it has been tried.

    Raises:
        UserError: it is no task's class, or not what `Task` asks for.
    """
    if not (isinstance(task, type) and issubclass(task, Task)):
        raise UserError(f"{shown(task)} is no task; give a class that derives from clrobot.Task")
    name = getattr(task, "id", None)
    if not (isinstance(name, str) and is_task_id(name)):
        has = "has no id" if name is None else f"has the id {shown(name)}"
        raise UserError(f"task {task.__name__} {has}; expected lower-case words joined by hyphens, such as my-task")
    if lacking := sorted(getattr(task, "__abstractmethods__", ())):
        raise UserError(f"task {name} lacks {lacking[0]}(); define it in {task.__name__} (see clrobot.Task)")
    _check_weights(name, getattr(task, "weights", None))
    _check_varies(name, getattr(task, "varies", None))
    _try(task)
    return name


def _check_weights(name: str, weights: object) -> None:
    numbers: list[Any] = list(weights.values()) if isinstance(weights, Mapping) else [None]
    if not all(isinstance(w, int | float) and math.isfinite(w) for w in numbers):
        raise UserError(f"task {name}: weights is {shown(weights)}; expected a number for each name of a reward term")
    if abs(sum(numbers) - 1.0) > _SLACK:
        raise UserError(
            f"task {name}: its weights sum to {sum(numbers):g}; expected 1, so that rewards lie in [0, 1]"
        )


def _check_varies(name: str, varies: object) -> None:
    if not (isinstance(varies, Mapping) and varies):
        raise UserError(f"task {name}: varies is {shown(varies)}; expected a Box for each value drawn at a start")
    for what, box in varies.items():
        try:
            low, high = (np.asarray(side, float) for side in box)
            fits = low.ndim == 1 and low.shape == high.shape and len(low) > 0 and bool((low <= high).all())
        except (TypeError, ValueError):
            fits = False
        if not fits:
            raise UserError(
                f"task {name}: varies[{shown(what)}] is {shown(box)}; expected Box(low, high), two tuples"
            )


def _try(task: type[Task]) -> None:
    """Try a task in two simulations: its scene, a start, what it shows, its reward, its success and its expert."""
    sim = _tried(task, "its scene", lambda: Simulation(task(), _N, threads=1))
    sim.seed(range(_N))
    _tried(task, "place()", sim.reset)
    _check_step(task, sim)
    actions = np.zeros((_N, ACTION_SIZE))
    if (script := task.expert) is not None:
        expert = _tried(task, "its expert", lambda: script(sim))
        actions = _tried(task, "its expert", lambda: np.asarray(expert(sim.features())))
        _expect(task, "its expert's action", actions, (_N, ACTION_SIZE))
    _tried(task, "a step", lambda: sim.step(actions))
    _check_step(task, sim)
    _tried(task, "an observation", sim.observe)


def _check_step(task: type[Task], sim: Simulation) -> None:
    """Check what the task says of the simulations as they are."""
    features = _tried(task, "features()", sim.features)
    if not isinstance(features, Features):
        raise UserError(f"task {task.id}: features() returns {shown(features)}; expected clrobot.envs' Features")
    for name, shape in (("object", (_N, 3)), ("goal", (_N, 3)), ("other", (_N, 3)), ("joint", (_N,))):
        value = getattr(features, name)
        if value is not None or name in ("object", "goal"):
            _expect(task, f"features().{name}", value, shape)
    terms = _tried(task, "reward_terms()", lambda: sim.task.reward_terms(sim, features))
    if not isinstance(terms, Mapping) or set(terms) != set(task.weights):
        given = ", ".join(map(str, terms)) if isinstance(terms, Mapping) else shown(terms)
        raise UserError(
            f"task {task.id}: reward_terms() gives {cut(given, 60)}; expected those of weights: "
            f"{cut(', '.join(task.weights), 60)}"
        )
    for name, term in terms.items():
        _expect(task, f"reward term {shown(name)}", term, (_N,))
        if not bool(((np.asarray(term) >= -_SLACK) & (np.asarray(term) <= 1 + _SLACK)).all()):
            raise UserError(f"task {task.id}: reward term {shown(name)} is {shown(term)}; expected values in [0, 1]")
    success = _tried(task, "success()", lambda: sim.task.success(sim, features))
    _expect(task, "success()", success, (_N,), np.bool_)


def _tried(task: type[Task], what: str, call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:
        reason = cut(f"{type(error).__name__}: {error}")
        raise UserError(f"task {task.id}: {what} fails ({reason}); mend it") from error


def _expect(task: type[Task], what: str, value: Any, shape: tuple[int, ...], kind: type = np.number) -> None:
    """Refuse what is no array of this shape, for N = 2, and kind."""
    if not isinstance(value, np.ndarray) or value.shape != shape or not np.issubdtype(value.dtype, kind):
        is_ = (
            f"has the shape {value.shape} and type {value.dtype}"
            if isinstance(value, np.ndarray)
            else f"is {shown(value)}"
        )
        wanted = f"({', '.join(['N', *map(str, shape[1:])])}{',' if len(shape) == 1 else ''})"
        noun = "truth values" if kind is np.bool_ else "numbers"
        raise UserError(f"task {task.id}: {what} {is_}; expected {noun} of the shape {wanted}, for N = {_N}")
    if not np.isfinite(value).all():
        raise UserError(f"task {task.id}: {what} is {shown(value)}; expected finite numbers")
