"""How fast somebody else's environments are through clrobot's door, beside Gymnasium's own vector environment."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode

from clrobot.envs.worlds.kinds import is_native, kind_of
from clrobot.envs.worlds.spec import WorldSpec
from clrobot.errors import UserError

_STEPS = 200  # in a round
_BLOCK = 10  # steps in a turn: short, so that a drifting machine slows both
_ROUNDS = 5  # at least


class WorldSpeed(NamedTuple):
    """Steps a second of CPU time, of all environments together; of each turn the fastest round counts."""

    task: str
    num_envs: int
    steps_per_second: int
    own_steps_per_second: int
    ratio: float
    median_ratio: float  # of whole rounds


def world_speed(task: str, num_envs: int, seconds: float) -> WorldSpeed:
    """Measure `task` for about so many seconds, as it is trained: at its scales, checked, with success and autoreset.

    Both take turns, each with random actions within its bounds.

    Raises:
        UserError: there is no such world, or it cannot be used.
    """
    if is_native(task):
        raise UserError(f"--world {task}; expected a world of others', such as gymnasium:Reacher-v5")
    kind = kind_of(task)
    kind.check(task)
    spec = WorldSpec(task, measured=kind.examine(WorldSpec(task)))
    ours: Any = kind.make(spec, num_envs)
    own: Any = gym.make_vec(
        gym.spec(task.partition(":")[2]),
        num_envs,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP},
        disable_env_checker=True,
    )
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1.0, 1.0, (_STEPS, *ours.action_space.shape)).astype(np.float32)
    low, high = own.single_action_space.low, own.single_action_space.high
    own_actions = (low + (high - low) * (actions.reshape(_STEPS, *own.action_space.shape) + 1) / 2).astype(low.dtype)
    rounds: list[tuple[list[float], list[float]]] = []
    started = time.perf_counter()
    while len(rounds) < _ROUNDS or time.perf_counter() - started < seconds:
        ours.reset(seed=0), own.reset(seed=0)
        turns: tuple[list[float], list[float]] = ([], [])
        for first in range(0, _STEPS, _BLOCK):
            turn = slice(first, first + _BLOCK)
            turns[0].append(_seconds(ours.step, actions[turn]))
            turns[1].append(_seconds(own.step, own_actions[turn]))
        rounds.append(turns)
    ours.close(), own.close()
    times = np.array(rounds)  # s, (rounds, 2, turns)
    best = times.min(axis=0).sum(axis=1)
    whole = times.sum(axis=2)
    return WorldSpeed(
        task=task,
        num_envs=num_envs,
        steps_per_second=round(_STEPS * num_envs / best[0]),
        own_steps_per_second=round(_STEPS * num_envs / best[1]),
        ratio=round(float(best[1] / best[0]), 4),
        median_ratio=round(float(np.median(whole[:, 1] / whole[:, 0])), 4),
    )


def _seconds(step: Callable[[Any], Any], actions: Any) -> float:
    began = time.process_time()  # both step in this process alone: so what else the machine does counts for neither
    for action in actions:
        step(action)
    return time.process_time() - began
