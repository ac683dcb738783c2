"""The simulations that a stage is trained in."""

from __future__ import annotations

from collections.abc import Sequence

from clrobot.agents.vec_env import JointVecEnv, SlotVecEnv, TrainEnv
from clrobot.errors import UserError
from clrobot.experiment.config import RunConfig
from clrobot.experiment.layout import layout
from clrobot.experiment.stage_env import stage_env
from clrobot.training.seeds import seed_for


def training_env(config: RunConfig, num_envs: int, slots: Sequence[int], stage: int) -> TrainEnv:
    """Return simulations of the slots (from 0) that a stage trains, side by side, seeded for `stage` (from 1).

    Raises:
        UserError: there are fewer simulations than slots to train at once.
    """
    _check_number(config, num_envs, slots)
    env = _made(config, num_envs, slots)
    env.seed(seed_for(config.seed, "training", stage))
    return env


def spaces_of_training(config: RunConfig, num_envs: int, slots: Sequence[int]) -> TrainEnv:
    """Return what a learner is made with: the spaces of the simulations of a stage, and their number.

    Others' environments take long to make, and all are made again for the stage: here one stands for all.

    Raises:
        UserError: as `training_env`.
    """
    _check_number(config, num_envs, slots)
    env = _made(config, num_envs if config.curriculum.saves_state else len(slots), slots)
    env.num_envs = num_envs
    return env


def _check_number(config: RunConfig, num_envs: int, slots: Sequence[int]) -> None:
    if num_envs < len(slots):
        raise UserError(
            f"--{config.algo}.num-envs {num_envs} cannot hold all {len(slots)} tasks at once; "
            f"give {len(slots)} or more"
        )


def _made(config: RunConfig, num_envs: int, slots: Sequence[int]) -> TrainEnv:
    stages = config.curriculum.stages
    each, more = divmod(num_envs, len(slots))
    common = layout(config.curriculum)
    parts = [
        SlotVecEnv(
            stage_env(
                stages[slot],
                each + (i < more),
                layout=common,
                training=True,
                threads=config.threads,
                processes=config.env_processes,
            ),
            slot,
        )
        for i, slot in enumerate(slots)
    ]
    return parts[0] if len(parts) == 1 else JointVecEnv(parts)
