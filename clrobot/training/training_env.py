"""The simulations that a stage is trained in."""

from __future__ import annotations

from clrobot.agents.methods.shared.method import Method
from clrobot.agents.vec_env import JointVecEnv, SlotVecEnv, TrainEnv
from clrobot.errors import UserError
from clrobot.experiment.config import RunConfig
from clrobot.experiment.stage_env import stage_env
from clrobot.training.seeds import seed_for


def training_env(config: RunConfig, num_envs: int, method: Method, stage: int) -> TrainEnv:
    """Return seeded simulations of what `stage` (from 1) trains: its own slot, or several side by side.

    Raises:
        UserError: there are fewer simulations than slots to train at once.
    """
    stages = config.curriculum.stages
    slots = method.trained_slots(stage - 1, len(stages))
    if num_envs < len(slots):
        raise UserError(
            f"--{config.algo}.num-envs {num_envs} cannot hold all {len(slots)} tasks at once; "
            f"give {len(slots)} or more"
        )
    each, more = divmod(num_envs, len(slots))
    parts = [
        SlotVecEnv(stage_env(stages[slot], each + (i < more), stagger=True, threads=config.threads), slot)
        for i, slot in enumerate(slots)
    ]
    env: TrainEnv = parts[0] if len(parts) == 1 else JointVecEnv(parts)
    env.seed(seed_for(config.seed, "training", stage))
    return env
