"""EnvPool's simulations of one task as a vector environment that resets in the same step, and by seeds.

EnvPool's own pools reset on the step after the one that ends an episode, and take their seeds when they are made. So
here an episode that has ended is reset at once, and a reset with seeds makes the pool anew, which takes as long as
thousands of its steps. `MAKING` counts how often that is and its seconds.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray
from typing_extensions import override

from clrobot.envs.worlds.envpool_import import imported
from clrobot.envs.worlds.foreign import ForeignWorld

OPEN_GOALS: Final = {"partially_observable": False}  # of Meta-World's tasks, which hide their goals otherwise
_SEEDS: Final = 2**31  # EnvPool's are numbers of 32 bits with a sign


class Making:
    """How often pools were made in this process, and the seconds that it took.

    Attributes:
        pools: how many.
        simulations: in all of them.
        seconds: wall-clock time.
    """

    def __init__(self) -> None:
        self.pools, self.simulations, self.seconds = 0, 0, 0.0

    def so_far(self) -> tuple[int, float]:
        """Return the pools and the seconds."""
        return self.pools, self.seconds


MAKING: Final = Making()


class PoolWorld(ForeignWorld):
    """A pool's simulations as a world; those that go to infinity are counted, and begin anew."""

    env: Pool

    @property
    @override
    def divergences(self) -> int:
        return self.env.divergences

    @override
    def let_go(self) -> None:
        self.env.let_go()


class Pool(gym.vector.VectorEnv[NDArray[Any], NDArray[Any], Any]):
    """N simulations with same-step autoreset; observations (N, d), the parts of a dictionary by their names.

    Nothing is made before the first reset: the spaces are known without.

    Args:
        name: EnvPool's, such as `MetaWorld/Reach-v3`.
        num_envs: N.
        options: what else `envpool.make` takes.
        fps: control steps in a second of the simulations' own time.

    Attributes:
        divergences: how many times a simulation has shown or paid what is no finite number.
    """

    def __init__(self, name: str, num_envs: int, options: Mapping[str, Any], fps: float) -> None:
        self._envpool: Any = imported()
        self._name, self._options = name, dict(options)
        self._pool: Any = None
        spec: Any = self._envpool.make_spec(name, **self._options)
        self._space = spec.gymnasium_observation_space
        self.num_envs, self.divergences = num_envs, 0
        self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP, "render_fps": fps}
        self.single_observation_space = gym.spaces.Box(
            -np.inf, np.inf, (gym.spaces.flatdim(self._space),), np.float64
        )
        self.single_action_space = spec.gymnasium_action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._obs: NDArray[Any] = np.zeros((num_envs, *self.single_observation_space.shape))

    @override
    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Start new episodes everywhere, or where `options["reset_mask"]` (N,) is true.

        An integer seed gives simulation i the seed ``seed + i``. With seeds the pool is made anew.
        """
        if options is not None and "reset_mask" in options:
            self._restart(np.flatnonzero(options["reset_mask"]))
            return self._obs, {}
        if seed is not None or self._pool is None:
            self._make(self._each(seed))
        obs, _ = self._pool.reset()
        self._obs = self._flat(obs)
        return self._obs, {}

    @override
    def step(
        self, actions: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Step all; where an episode ends, `final_obs` and `final_info` are of its last step.

        Where a number is not finite the episode is terminated, with zeros in its place.
        """
        obs, rewards, terminated, truncated, told = self._pool.step(actions)
        self._obs = self._flat(obs)
        diverged = ~(np.isfinite(self._obs).all(axis=1) & np.isfinite(rewards))
        if diverged.any():
            self.divergences += int(diverged.sum())
            self._obs = np.where(diverged[:, None], 0.0, self._obs)
            rewards = np.where(diverged, 0.0, rewards)
            terminated, truncated = terminated | diverged, truncated & ~diverged
        ended: NDArray[np.bool_] = terminated | truncated
        if not ended.any():
            return self._obs, rewards, terminated, truncated, told
        infos = dict(told) | {
            "final_obs": self._obs,
            "_final_obs": ended,
            "final_info": told,
            "_final_info": ended,
        }
        self._obs = self._obs.copy()
        self._restart(np.flatnonzero(ended))
        return self._obs, rewards, terminated, truncated, infos

    def _restart(self, which: NDArray[np.intp]) -> None:
        obs, told = self._pool.reset(which.astype(np.int32))
        self._obs[told["env_id"]] = self._flat(obs)

    def _flat(self, obs: Any) -> NDArray[Any]:
        """Return observations as (n, d)."""
        if isinstance(obs, dict):
            parts = [obs[name] for name in sorted(obs)]
            return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)
        rows: NDArray[Any] = obs
        return rows.reshape(len(rows), -1)

    def _each(self, seed: int | Sequence[int | None] | None) -> list[int]:
        """Return a seed for each simulation; one that is not given is drawn."""
        if isinstance(seed, int | np.integer):
            return [(int(seed) + i) % _SEEDS for i in range(self.num_envs)]
        given = [None] * self.num_envs if seed is None else list(seed)
        drawn = np.random.SeedSequence().generate_state(self.num_envs)
        return [int(other if own is None else own) % _SEEDS for own, other in zip(given, drawn, strict=True)]

    def _make(self, seeds: list[int]) -> None:
        began = time.perf_counter()
        self.let_go()  # the last one goes before the next one comes
        self._pool = self._envpool.make(
            self._name, env_type="gymnasium", num_envs=self.num_envs, seed=seeds, **self._options
        )
        MAKING.pools += 1
        MAKING.simulations += self.num_envs
        MAKING.seconds += time.perf_counter() - began

    @override
    def render(self) -> tuple[NDArray[np.uint8], ...]:
        """Return a picture (height, width, 3) of each simulation."""
        return tuple(self._pool.render(env_ids=np.arange(self.num_envs, dtype=np.int32)))

    def let_go(self) -> None:
        """Free what the simulations hold; the next reset makes them anew."""
        if self._pool is not None:
            self._pool = None
            _trim()

    @override
    def close_extras(self, **kwargs: Any) -> None:
        self.let_go()


def _trim() -> None:
    """Give freed memory back to the system.

    A pool's simulations are made by several threads, in many pieces that glibc keeps for later ones, where they do
    not fit: of forty pools of 1 GB, one at a time, 3 GB would stay.
    """
    with suppress(OSError, AttributeError):  # another system's C library
        ctypes.CDLL(None).malloc_trim(0)
