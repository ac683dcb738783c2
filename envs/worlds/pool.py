"""EnvPool's simulations of one task as a vector environment that resets in the same step, and by seeds.

EnvPool's own pools reset on the step after the one that ends an episode, and take their seeds when they are made. So
here an episode that has ended is reset at once, and a reset with seeds makes the pool anew, which takes as long as
thousands of its steps. `MAKING` counts how often that is and its seconds. Where EnvPool's resets are wrong, each
simulation is made anew for every episode.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray
from typing_extensions import override

from clrobot.envs.simulation.features import Mask
from clrobot.envs.simulation.simulation import SavedState
from clrobot.envs.worlds.envpool_import import imported
from clrobot.envs.worlds.foreign import ForeignWorld
from clrobot.envs.worlds.world import spread

# EnvPool 1.2 moves the goals of these further away at every reset of a simulation (it writes the goal's place in the
# world where the next reset takes it from in the box's or the shelf's axes): each episode needs a new simulation.
DRIFTS: Final = frozenset({"MetaWorld/Hammer-v3", "MetaWorld/ShelfPlace-v3"})
OPEN_GOALS: Final = {"partially_observable": False}  # of Meta-World's tasks, which hide their goals otherwise
# Groups of their simulations that begin together where episodes are staggered. Each is a pool of its own, and many
# small ones cost more than a few. A rollout of cw10's 32 steps still sees every phase of its 200.
_DRIFTING_GROUPS: Final = 8
# Beyond which a reward is of a simulation that has gone to infinity, out of which MuJoCo has made finite numbers
# again: the learner's scale of all later ones would go with it.
_FINITE_REWARD: Final = 1e5
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
    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        self.env.once = options is not None and bool(options.get("once"))
        return super().reset(seed=seed, options=options)

    @override
    def _success(self, told: Mapping[str, Any], ended: Mask) -> Mask:
        """As of every world; what an exploded simulation tells is none."""
        return super()._success(told, ended) & ~self.env.diverged

    @override
    def phases(self) -> NDArray[np.int64]:
        return spread(self.num_envs, self.horizon, _DRIFTING_GROUPS) if self.env.renewed else super().phases()

    @override
    def let_go(self) -> None:
        self.env.let_go()

    @override
    def get_state(self) -> SavedState:
        """Return what counts over a whole stage; what the simulations hold is their own."""
        return SavedState({"divergences": np.array([self.env.divergences])}, [])

    @override
    def set_state(self, state: SavedState) -> None:
        """Go on counting; a reset with the same seed puts the simulations where they were."""
        self.env.divergences = int(state.arrays["divergences"][0])


class _Part(NamedTuple):
    """Simulations that EnvPool steps together.

    Attributes:
        pool: EnvPool's.
        ids: which of a `Pool`'s simulations they are, (n,); -1 where another part has that one by now.
    """

    pool: Any
    ids: NDArray[np.intp]


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
        renewed: whether each episode has new simulations.
        once: whether none are made when all episodes have ended at once; the next call is then a reset.
    """

    def __init__(self, name: str, num_envs: int, options: Mapping[str, Any], fps: float) -> None:
        self._envpool: Any = imported()
        self._name, self._options = name, dict(options)
        self.renewed, self.once = name in DRIFTS, False
        self._parts: list[_Part] = []
        self._seeds = np.zeros(num_envs, np.int64)
        self._episodes = np.zeros(num_envs, np.int64)
        spec: Any = self._envpool.make_spec(name, **self._options)
        self._space = spec.gymnasium_observation_space
        self.num_envs, self.divergences = num_envs, 0
        self.diverged = np.zeros(num_envs, np.bool_)  # in the newest step
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
        if seed is not None or not self._parts or self.renewed:
            # Made anew without seeds, they go on with what the seeds of before give: the next episode of each.
            episodes = self._episodes + 1 if seed is None and self._parts else np.zeros_like(self._episodes)
            seeds = self._seeds if episodes.any() else np.array(self._each(seed))
            self.let_go()  # the last ones go before the next ones come
            self._seeds, self._episodes = seeds, episodes
            self._parts = [self._make(np.arange(self.num_envs))]
        obs, _ = self._parts[0].pool.reset()
        self._obs = self._flat(obs)
        return self._obs, {}

    @override
    def step(
        self, actions: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Step all; where an episode ends, `final_obs` and `final_info` are of its last step.

        Where a number is not finite, or a reward huge, the episode is terminated, with zeros in its place.
        """
        self._obs, rewards, terminated, truncated, told = self._stepped(actions)
        diverged = self.diverged = ~(np.isfinite(self._obs).all(axis=1) & (np.abs(rewards) <= _FINITE_REWARD))
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

    def _stepped(self, actions: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any], Any]:
        """Step every part, all at a time, and return what they show in the order of the simulations."""
        if len(self._parts) == 1:
            obs, *rest, told = self._parts[0].pool.step(actions)
            return self._flat(obs), *rest, told
        for part in self._parts:
            part.pool.send(actions[np.maximum(part.ids, 0)])
        shown = [part.pool.recv() for part in self._parts]
        places = np.concatenate([part.ids for part in self._parts])
        order = np.argsort(places, kind="stable")[-self.num_envs :]  # what has another part by now comes first

        def joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
            return np.concatenate(parts)[order]

        rows = joined([self._flat(obs) for obs, *_ in shown])
        rewards, terminated, truncated = (joined([found[k] for found in shown]) for k in (1, 2, 3))
        infos = [told for *_, told in shown]
        flat = [key for key, value in infos[0].items() if isinstance(value, np.ndarray)]
        return rows, rewards, terminated, truncated, {key: joined([told[key] for told in infos]) for key in flat}

    def _restart(self, which: NDArray[np.intp]) -> None:
        if self.renewed:
            if self.once and len(which) == self.num_envs:
                return
            self._episodes[which] += 1
            self._parts = [
                _Part(pool, kept)
                for pool, ids in self._parts
                if ((kept := np.where(np.isin(ids, which), -1, ids)) >= 0).any()
            ]
            if self._episodes.sum() % self.num_envs < len(which):  # once for each episode of all
                _trim()
            self._parts.append(self._make(which))
            obs, _ = self._parts[-1].pool.reset()
            self._obs[which] = self._flat(obs)
            return
        obs, told = self._parts[0].pool.reset(which.astype(np.int32))
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

    def _make(self, ids: NDArray[np.intp]) -> _Part:
        """Make these simulations, by their seeds: of a later episode each has one that its first one gives."""
        began = time.perf_counter()
        seeds = [
            int(seed if not episode else np.random.SeedSequence([seed, episode]).generate_state(1)[0] % _SEEDS)
            for seed, episode in zip(self._seeds[ids].tolist(), self._episodes[ids].tolist(), strict=True)
        ]
        options = self._options | {"num_threads": min(self._options["num_threads"], len(ids))}
        pool = self._envpool.make(self._name, env_type="gymnasium", num_envs=len(ids), seed=seeds, **options)
        MAKING.pools += 1
        MAKING.simulations += len(ids)
        MAKING.seconds += time.perf_counter() - began
        return _Part(pool, np.asarray(ids))

    @override
    def render(self) -> tuple[NDArray[np.uint8], ...]:
        """Return a picture (height, width, 3) of each simulation."""
        pictures: dict[int, NDArray[np.uint8]] = {}
        for pool, ids in self._parts:
            pictures |= zip(ids.tolist(), pool.render(env_ids=np.arange(len(ids), dtype=np.int32)), strict=True)
        return tuple(pictures[i] for i in range(self.num_envs))

    def let_go(self) -> None:
        """Free what the simulations hold; the next reset makes them anew."""
        if self._parts:
            self._parts = []
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
