"""How fast somebody else's environments are through clrobot's door, beside Gymnasium's own or EnvPool's bare pool."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from clrobot.envs.cores import usable_cores
from clrobot.envs.worlds.envpool_import import imported
from clrobot.envs.worlds.kinds import is_native, kind_of
from clrobot.envs.worlds.pool import OPEN_GOALS
from clrobot.envs.worlds.spec import WorldSpec
from clrobot.envs.worlds.spread import spread_over
from clrobot.errors import UserError

_STEPS = 200  # in a round: of EnvPool's tasks one episode, where theirs are not shorter
_BLOCK = 10  # steps in a turn: short, so that a drifting machine slows both
_ROUNDS = 5  # at least


class WorldSpeed(NamedTuple):
    """Steps a second of all environments together; of each turn the fastest round counts.

    Of Gymnasium's environments it is CPU time, since all are stepped in this process alone: so what else the machine
    does counts for neither. EnvPool's have threads of their own, and their time is the clock's.
    """

    task: str
    num_envs: int
    steps_per_second: int
    own_steps_per_second: int
    ratio: float
    median_ratio: float  # of whole rounds


class _Gymnasium:
    """Gymnasium's own vector environment."""

    name = "Gymnasium's own"
    clock = staticmethod(time.process_time)
    calls = _STEPS

    def __init__(self, spec: WorldSpec, num_envs: int) -> None:
        self._env: Any = gym.make_vec(
            gym.spec(spec.task.partition(":")[2]),
            num_envs,
            vectorization_mode="sync",
            vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP},
            disable_env_checker=True,
        )
        self.box: Any = self._env.single_action_space
        self.reset, self.step, self.close = self._env.reset, self._env.step, self._env.close
        self._num_envs = num_envs

    def steps(self) -> float:
        """Return the control steps of one round: every call is one, of each environment."""
        return self.calls * self._num_envs


class _EnvPool:
    """EnvPool's bare pool, of which the call after an episode's end resets it and is no step."""

    name = "EnvPool's own"
    clock = staticmethod(time.perf_counter)

    def __init__(self, spec: WorldSpec, num_envs: int) -> None:
        assert spec.horizon is not None
        self.calls = _STEPS + _STEPS // spec.horizon
        envpool = imported()
        name = spec.task.partition(":")[2]
        open_goals = {key: value for key, value in OPEN_GOALS.items() if key in envpool.make_spec(name)._config_keys}
        self._env: Any = envpool.make(
            name,
            env_type="gymnasium",
            num_envs=num_envs,
            num_threads=min(usable_cores(), num_envs),
            max_episode_steps=spec.horizon,
            seed=0,
            **open_goals,
        )
        self.box: Any = self._env.action_space
        self._taken = self._called = 0

    def step(self, actions: NDArray[Any]) -> None:
        """Step all, or begin the next episode of those that have ended."""
        self._taken += int(np.count_nonzero(self._env.step(actions)[4]["elapsed_step"]))
        self._called += 1

    def steps(self) -> float:
        """Return the control steps of one round, in the mean."""
        return self._taken * self.calls / self._called

    def reset(self, seed: int) -> None:
        """Begin all episodes; the seed is that of the pool."""
        self._env.reset()

    def close(self) -> None:
        """Let the pool go."""
        del self._env


_OWN: dict[str, type[_Gymnasium | _EnvPool]] = {"gymnasium": _Gymnasium, "envpool": _EnvPool}


def own_name(task: str) -> str:
    """Return what `world_speed` sets a world beside."""
    return _OWN[task.partition(":")[0]].name


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
    spec = WorldSpec(task)
    if kind.prefix == "envpool":
        spec = replace(spec, horizon=min(kind.horizon(spec), _STEPS))
    spec = replace(spec, measured=kind.examine(spec))
    ours: Any = kind.make(spec, num_envs)
    own = _OWN[kind.prefix](spec, num_envs)
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1.0, 1.0, (own.calls, *ours.action_space.shape)).astype(np.float32)
    own_actions = spread_over(own.box)(actions.reshape(own.calls, num_envs, *own.box.shape))
    rounds: list[tuple[list[float], list[float]]] = []
    started = time.perf_counter()
    while len(rounds) < _ROUNDS or time.perf_counter() - started < seconds:
        ours.reset(seed=0), own.reset(seed=0)
        turns: tuple[list[float], list[float]] = ([], [])
        for first in range(0, _STEPS, _BLOCK):
            last = first + _BLOCK == _STEPS
            both = (
                (0, ours.step, actions[first : first + _BLOCK]),
                (1, own.step, own_actions[first : None if last else first + _BLOCK]),
            )
            for side, step, taken in both if len(rounds) % 2 else both[::-1]:  # the first of two finds other caches
                turns[side].append(_seconds(own.clock, step, taken))
        rounds.append(turns)
    own_steps = own.steps()
    share = _STEPS * num_envs / own_steps  # of EnvPool's calls some begin an episode: the fewer, the longer they are
    ours.close(), own.close()
    times = np.array(rounds)  # s, (rounds, 2, turns)
    best = times.min(axis=0).sum(axis=1)
    whole = times.sum(axis=2)
    return WorldSpeed(
        task=task,
        num_envs=num_envs,
        steps_per_second=round(_STEPS * num_envs / best[0]),
        own_steps_per_second=round(own_steps / best[1]),
        ratio=round(float(share * best[1] / best[0]), 4),
        median_ratio=round(float(share * np.median(whole[:, 1] / whole[:, 0])), 4),
    )


def _seconds(clock: Callable[[], float], step: Callable[[Any], Any], actions: NDArray[Any]) -> float:
    began = clock()
    for action in actions:
        step(action)
    return clock() - began
