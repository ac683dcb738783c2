"""Earlier slots tried on a new task, and the fresh one: what is known of them before anything is learned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch as th
from numpy.typing import NDArray

from clrobot.agents.policies.policy import SlotPolicy
from clrobot.agents.vec_env import SlotVecEnv
from clrobot.deferred import Deferred
from clrobot.experiment.config import RunConfig, start_of
from clrobot.experiment.layout import layout
from clrobot.experiment.stage_env import stage_env

if TYPE_CHECKING:
    from scipy import stats
else:
    stats = Deferred("scipy.stats")  # half a second, which most trainings do not need

SIGNIFICANT = 0.05  # a chance below it is none
MOSTLY = 0.5  # a slot that solves so large a share of a trial needs no other argument


class Trial(NamedTuple):
    """What each of the slots that were tried did in each of n simulations of the new task, (slots, n)."""

    returns: NDArray[np.float64]
    """The sum of rewards over the trial's steps."""
    solved: NDArray[np.bool_]
    """Whether the task was solved at any of them."""


@th.no_grad()
def try_slots(config: RunConfig, policy: SlotPolicy, slot: int, seed: int) -> Trial:
    """Return how each slot that the settings try does in the task of `slot`: the earlier ones, and maybe it itself.

    A trial begins at an episode's start, and has sampled actions. The slots meet the same start states and the same
    noise; simulations and generator are the trial's own.

    Args:
        config: the run's settings.
        policy: as it is when the stage begins.
        slot: the new one, from 0; it has its head.
        seed: of start states and noise.
    """
    start, stage = start_of(config, slot), config.curriculum.stages[slot]
    common = layout(config.curriculum)
    env = SlotVecEnv(stage_env(stage, start.trial_envs, layout=common, threads=config.threads), slot)
    try:
        shape = start.tried(slot), env.num_envs
        trial = Trial(np.zeros(shape), np.zeros(shape, np.bool_))
        for head in range(shape[0]):
            generator = th.Generator().manual_seed(seed)
            env.seed(seed)
            obs: Any = env.reset()
            for _ in range(start.trial_steps):
                rows = th.as_tensor(obs, device=policy.device).clone()
                rows[:, -1] = head
                mean, log_std = policy.gaussian(rows)
                noise = th.randn(mean.shape, generator=generator).to(mean.device)
                obs, rewards, _, infos = env.step(policy.to_action(mean + log_std.exp() * noise).cpu().numpy())
                trial.returns[head] += rewards
                trial.solved[head] |= np.logical_or(env.solved, [info.get("is_success", False) for info in infos])
    finally:
        env.close()
    return trial


def ranked(returns: NDArray[np.float64]) -> list[int]:
    """Return the slots by mean return, the best one first.

    Args:
        returns: (K, n) of K slots; one with a return that is no number comes last.
    """
    means = returns.mean(1)
    means[~np.isfinite(means)] = -np.inf
    return [int(k) for k in np.argsort(-means, kind="stable")]


def is_above(best: NDArray[np.float64], fresh: NDArray[np.float64]) -> bool:
    """Return whether Welch's one-sided t-test puts returns (n,) above a fresh head's (m,).

    Returns without any spread are compared as they are.
    """
    if best.std() == 0 and fresh.std() == 0:
        return bool(best.mean() > fresh.mean())
    return bool(stats.ttest_ind(best, fresh, equal_var=False, alternative="greater").pvalue < SIGNIFICANT)


def solver(trial: Trial, least: float = 0.0) -> int | None:
    """Return the slot that solves the new task most often, of equals the one of the greater return.

    None where it never does, or in a smaller share of the simulations than `least`.
    """
    shares = trial.solved.mean(1)
    best = max(ranked(trial.returns), key=lambda k: shares[k])  # of equals the first, which has the greater return
    return best if shares[best] > 0 and shares[best] >= least else None


def clearly_better(trial: Trial, times: float) -> int | None:
    """Return the slot that does clearly better than a fresh head, which is the trial's last; None where none does.

    What a fresh head gets by chance says how much a return means: a reward that any behaviour brings tells no start
    from another, and a task in which chance gets much is soon learned anew. A slot's mean return is to be so many
    times the fresh head's, by what it shows of the task:

    - it solves it mostly: whatever it gets;
    - the one that solves it most often, at least once: `times`;
    - the one of the greatest return, though it never solves it: `times` squared. A head that pushes well gets much
      beside a drawer, and is a dead end there.

    Where chance costs (its return is negative), the slot's cost is to be less by that factor.

    Args:
        trial: of the earlier slots, and the fresh one.
        times: how many times the fresh head's return.
    """
    earlier = Trial(trial.returns[:-1], trial.solved[:-1])
    fresh = float(trial.returns[-1].mean())

    def is_clear(slot: int, factor: float) -> bool:
        mean = float(trial.returns[slot].mean())
        bar = fresh * factor if fresh > 0 else fresh / factor
        return bool(np.isfinite([mean, fresh]).all()) and mean > fresh and mean >= bar

    solves, most = solver(earlier), ranked(earlier.returns)[0]
    if solves is not None and (earlier.solved[solves].mean() >= MOSTLY or is_clear(solves, times)):
        return solves
    return most if is_clear(most, times**2) else None
