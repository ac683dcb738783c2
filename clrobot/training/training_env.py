"""The simulations that a stage is trained in."""

from __future__ import annotations

from collections.abc import Sequence

from clrobot.agents.vec_env import JointVecEnv, SlotVecEnv, TrainEnv
from clrobot.errors import UserError
from clrobot.experiment.config import RunConfig
from clrobot.experiment.stage_env import stage_env
from clrobot.training.seeds import seed_for


def training_env(config: RunConfig, num_envs: int, slots: Sequence[int], stage: int) -> TrainEnv:
    """Return simulations of the slots (from 0) that a stage trains, side by side, seeded for `stage` (from 1).

    Where it trains several at once, each has simulations in proportion to its own stage's steps: over the whole
    curriculum it then gets about the control steps that it would have had alone.

    Raises:
        UserError: there are fewer simulations than slots to train at once.
    """
    stages = config.curriculum.stages
    if num_envs < len(slots):
        raise UserError(
            f"--{config.algo}.num-envs {num_envs} cannot hold all {len(slots)} tasks at once; "
            f"give {len(slots)} or more"
        )
    counts = shares(num_envs, [stages[slot].steps for slot in slots])
    parts = [
        SlotVecEnv(stage_env(stages[slot], count, stagger=True, threads=config.threads), slot)
        for slot, count in zip(slots, counts, strict=True)
    ]
    env: TrainEnv = parts[0] if len(parts) == 1 else JointVecEnv(parts)
    env.seed(seed_for(config.seed, "training", stage))
    return env


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
