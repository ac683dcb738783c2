"""The simulations that a stage is trained in."""

from __future__ import annotations

from clrobot.agents.algorithms.algorithm import Algorithm
from clrobot.agents.vec_env import JointVecEnv, SlotVecEnv, TrainEnv
from clrobot.errors import UserError
from clrobot.experiment.choices import method_classes
from clrobot.experiment.config import RunConfig
from clrobot.experiment.stage_env import stage_env
from clrobot.training.seeds import seed_for


def trains_all_at_once(config: RunConfig) -> bool:
    """Return whether every stage trains all the curriculum's slots, rather than its own."""
    return any(part.trains_all_tasks for part in method_classes(config.method))


def training_env(config: RunConfig, algorithm: Algorithm, stage: int) -> TrainEnv:
    """Return seeded simulations of `stage` (from 1), or of all the curriculum's stages side by side.

    Raises:
        UserError: there are fewer simulations than tasks to train at once.
    """
    stages, num_envs = config.curriculum.stages, algorithm.settings.num_envs
    env: TrainEnv
    if trains_all_at_once(config):
        if num_envs < len(stages):
            raise UserError(
                f"--{config.algo}.num-envs {num_envs} cannot hold all {len(stages)} tasks at once; "
                f"give {len(stages)} or more"
            )
        shares = [num_envs // len(stages) + (i < num_envs % len(stages)) for i in range(len(stages))]
        env = JointVecEnv(
            [
                SlotVecEnv(stage_env(s, share, stagger=True), i)
                for i, (s, share) in enumerate(zip(stages, shares, strict=True))
            ]
        )
    else:
        env = SlotVecEnv(stage_env(stages[stage - 1], num_envs, stagger=True), stage - 1)
    env.seed(seed_for(config.seed, "training", stage))
    return env
