"""Environments by task id, and how tasks are registered: these are the entry points that Gymnasium knows."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import gymnasium as gym

from clrobot.envs.simulation.simulation import HORIZON
from clrobot.envs.simulation.task import Task, gym_id
from clrobot.envs.simulation.task_check import is_task_id
from clrobot.envs.tasks import TASKS_BY_ID
from clrobot.envs.worlds.gym_env import TaskEnv
from clrobot.envs.worlds.vector_env import TaskVectorEnv
from clrobot.errors import UserError


def make_env(task: str, **kwargs: Any) -> TaskEnv:
    """Return one simulation of the task of that id.

    Args:
        task: an id, such as `reach`.
        kwargs: as `TaskEnv` takes them; `overrides`, such as ``{"object.friction": 0.3}``, put it into another world
            (see `overrides.OVERRIDES`).

    Raises:
        UserError: there is no such task.
    """
    return TaskEnv(TASKS_BY_ID[task](), **kwargs)


def make_vector_env(task: str, num_envs: int = 1, **kwargs: Any) -> TaskVectorEnv:
    """Return `num_envs` simulations of the task of that id; see `TaskVectorEnv` for the other arguments.

    Raises:
        UserError: there is no such task.
    """
    return TaskVectorEnv(TASKS_BY_ID[task](), num_envs, **kwargs)


def register() -> None:
    """Register every task with Gymnasium: `clrobot/Reach-v0` and so on.

    An installed distribution's task is registered by the name of its entry point, and imported when it is made.
    """
    names = list(TASKS_BY_ID.ours)
    with suppress(UserError):  # said by whatever asks for a task, not by `import clrobot`
        names += filter(is_task_id, TASKS_BY_ID.installed())
    for name in names:
        _register(name)


def register_task(task: type[Task]) -> None:
    """Add a task of your own: to curricula, to every verb, and to Gymnasium.

    What a cell of a notebook has defined is replaced when the cell is run again.

    Args:
        task: a class that derives from `Task`; it may do without an `expert`.

    Raises:
        UserError: it is no such class, its `id` is taken, or an attribute is not as `Task` says.
    """
    _register(TASKS_BY_ID.register(task))


def _register(task: str) -> None:
    if (name := gym_id(task)) not in gym.registry:
        gym.register(
            name,
            entry_point="clrobot.envs.worlds.make:make_env",
            vector_entry_point="clrobot.envs.worlds.make:make_vector_env",
            kwargs={"task": task},
            max_episode_steps=HORIZON,
        )
