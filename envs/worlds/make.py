"""Environments by task id; these are the entry points that Gymnasium knows."""

from __future__ import annotations

from typing import Any

import gymnasium as gym

from clrobot.envs.simulation.simulation import HORIZON
from clrobot.envs.tasks import TASKS, TASKS_BY_ID
from clrobot.envs.worlds.gym_env import TaskEnv
from clrobot.envs.worlds.vector_env import TaskVectorEnv


def make_env(task: str, **kwargs: Any) -> TaskEnv:
    """Return one simulation of the task of that id (KeyError if there is none).

    `overrides`, such as ``{"object.friction": 0.3}``, put it into another world (see `overrides.OVERRIDES`).
    """
    return TaskEnv(TASKS_BY_ID[task](), **kwargs)


def make_vector_env(task: str, num_envs: int = 1, **kwargs: Any) -> TaskVectorEnv:
    """Return `num_envs` simulations of the task of that id (KeyError if there is none); see `TaskVectorEnv`."""
    return TaskVectorEnv(TASKS_BY_ID[task](), num_envs, **kwargs)


def register() -> None:
    """Register every task with Gymnasium: `clrobot/Reach-v0` and so on."""
    for task in TASKS:
        gym.register(
            task.gym_id(),
            entry_point="clrobot.envs.worlds.make:make_env",
            vector_entry_point="clrobot.envs.worlds.make:make_vector_env",
            kwargs={"task": task.id},
            max_episode_steps=HORIZON,
        )
