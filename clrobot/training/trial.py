"""Each earlier slot, and the fresh one, tried on a new task: what is known of them before anything is learned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch as th
from numpy.typing import NDArray

from clrobot.agents.policies.policy import SlotPolicy
from clrobot.agents.vec_env import SlotVecEnv
from clrobot.deferred import Deferred
from clrobot.experiment.config import RunConfig
from clrobot.experiment.layout import layout
from clrobot.experiment.stage_env import stage_env

if TYPE_CHECKING:
    from scipy import stats
else:
    stats = Deferred("scipy.stats")  # half a second, which most trainings do not need

SIGNIFICANT = 0.05  # a chance below it is none


@th.no_grad()
def trial_returns(config: RunConfig, policy: SlotPolicy, slot: int, seed: int) -> NDArray[np.float64]:
    """Return what each slot up to `slot`, the fresh one, gets in the task of `slot`: (slot + 1, trial_envs).

    A return is the sum of rewards over the trial's steps from an episode's start, with sampled actions. The slots
    meet the same start states and the same noise; simulations and generator are the trial's own.

    Args:
        config: the run's settings.
        policy: as it is when the stage begins.
        slot: the new one, from 0; it has its head.
        seed: of start states and noise.
    """
    start, stage = config.warm_start, config.curriculum.stages[slot]
    common = layout(config.curriculum)
    env = SlotVecEnv(stage_env(stage, start.trial_envs, layout=common, threads=config.threads), slot)
    try:
        returns = np.zeros((slot + 1, env.num_envs))
        for head in range(slot + 1):
            generator = th.Generator().manual_seed(seed)
            env.seed(seed)
            obs: Any = env.reset()
            for _ in range(start.trial_steps):
                rows = th.as_tensor(obs, device=policy.device).clone()
                rows[:, -1] = head
                mean, log_std = policy.gaussian(rows)
                noise = th.randn(mean.shape, generator=generator).to(mean.device)
                obs, rewards, *_ = env.step(policy.to_action(mean + log_std.exp() * noise).cpu().numpy())
                returns[head] += rewards
    finally:
        env.close()
    return returns


def ranked(returns: NDArray[np.float64]) -> list[int]:
    """Return the earlier slots by mean return, the best one first.

    Args:
        returns: (K + 1, n) of K earlier slots and the fresh one; a slot with one that is no number comes last.
    """
    means = returns[:-1].mean(1)
    means[~np.isfinite(means)] = -np.inf
    return [int(k) for k in np.argsort(-means, kind="stable")]


def is_above(best: NDArray[np.float64], fresh: NDArray[np.float64]) -> bool:
    """Return whether Welch's one-sided t-test puts returns (n,) above a fresh head's (m,).

    Returns without any spread are compared as they are.
    """
    if best.std() == 0 and fresh.std() == 0:
        return bool(best.mean() > fresh.mean())
    return bool(stats.ttest_ind(best, fresh, equal_var=False, alternative="greater").pvalue < SIGNIFICANT)
