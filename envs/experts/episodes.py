"""How an expert is driven through episodes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from clrobot.envs.arrays import Array
from clrobot.envs.simulation.features import Mask
from clrobot.envs.simulation.overrides import Overrides
from clrobot.envs.simulation.simulation import HORIZON, Simulation
from clrobot.envs.simulation.task import ScriptedPolicy, Task


class ExpertEpisodes(NamedTuple):
    """What an expert did in N episodes."""

    success: Mask  # solved at any step, (N,)
    success_final: Mask  # solved at the last step, (N,)
    returns: Array  # summed rewards, (N,)


def expert_in(sim: Simulation) -> ScriptedPolicy:
    """Return the expert of the simulations' task, which acts in them.

    Raises:
        ValueError: the task has none.
    """
    expert = sim.task.expert
    if expert is None:
        raise ValueError(f"{sim.task.id} has no expert; give its class one as `expert` (see {Task.__module__})")
    return expert(sim)


def run_expert(
    task: type[Task], episodes: int, seed: int = 0, *, threads: int = 0, overrides: Overrides | None = None
) -> ExpertEpisodes:
    """Play `episodes` episodes of a task's expert side by side; episode i starts from the seed ``seed + i``.

    A simulation that diverges ends its episode there. An expert reads the true state: of a world's overrides (see
    `overrides.OVERRIDES`), `sensor.noise` does not reach it.

    Raises:
        ValueError: the task has no expert, less than one episode is asked for, or an override is not valid.
    """
    if episodes < 1:
        raise ValueError(f"{episodes} episodes; expected at least one")
    sim = Simulation(task(), episodes, threads, overrides)
    policy = expert_in(sim)
    sim.seed(range(seed, seed + episodes))
    sim.reset()
    features, returns = sim.features(), np.zeros(episodes)
    for _ in range(HORIZON):
        features, rewards = sim.step(policy(features))
        returns += rewards
    return ExpertEpisodes(sim.solved.copy(), sim.solved_now.copy(), returns)
