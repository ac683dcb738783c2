"""The simulations that a stage is trained in."""

from __future__ import annotations

from collections.abc import Sequence

from clrobot.agents.vec_env import JointVecEnv, SlotVecEnv, TrainEnv
from clrobot.errors import UserError
from clrobot.experiment.config import RunConfig, make_algorithm
from clrobot.experiment.layout import layout
from clrobot.experiment.stage_env import stage_env
from clrobot.training.seeds import seed_for


def training_env(config: RunConfig, num_envs: int, slots: Sequence[int], stage: int) -> TrainEnv:
    """Return simulations of the slots (from 0) that a stage trains, side by side, seeded for `stage` (from 1).

    Where it trains several at once, each has simulations in proportion to its own stage's steps: over the whole
    curriculum it then gets about the control steps that it would have had alone.

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
    counts = shares(num_envs, [stages[slot].steps for slot in slots])
    common = layout(config.curriculum)
    parts = [
        SlotVecEnv(
            stage_env(
                stages[slot],
                count,
                layout=common,
                training=True,
                as_paid=make_algorithm(config).rewards_as_paid,
                threads=config.threads,
                processes=config.env_processes,
            ),
            slot,
        )
        for slot, count in zip(slots, counts, strict=True)
    ]
    return parts[0] if len(parts) == 1 else JointVecEnv(parts)


def shares(total: int, weights: Sequence[int]) -> list[int]:
    """Return how many of `total` each gets in proportion to its weight, and at least one.

    Quotas are rounded down, and what is left goes to the largest remainders (Hamilton's method).

    Args:
        total: as many as there are weights, or more.
        weights: positive.
    """
    spare = total - len(weights)  # one is everyone's
    # q_j = max(0, total w_j / Σ w - 1), scaled so that they sum to what is left
    quotas = [max(0.0, total * weight / sum(weights) - 1) for weight in weights]
    scale = spare / sum(quotas) if spare else 0.0
    counts = [int(scale * quota) for quota in quotas]
    by_remainder = sorted(range(len(weights)), key=lambda j: (counts[j] - scale * quotas[j], j))
    for j in by_remainder[: spare - sum(counts)]:
        counts[j] += 1
    return [1 + count for count in counts]
