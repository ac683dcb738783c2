"""The one place where a stage becomes simulations: its task, in its own world."""

from __future__ import annotations

from clrobot.envs.worlds.make import make_vector_env
from clrobot.envs.worlds.vector_env import TaskVectorEnv
from clrobot.experiment.curriculum import Stage


def stage_env(stage: Stage, num_envs: int = 1, *, stagger: bool = False, threads: int = 0) -> TaskVectorEnv:
    """Return `num_envs` simulations of a stage's task with the stage's overrides; stagger them for training.

    `threads` are those of the physics, 0 for all cores that the process may use.
    """
    return make_vector_env(stage.task, num_envs, threads=threads, stagger=stagger, overrides=stage.overrides)
