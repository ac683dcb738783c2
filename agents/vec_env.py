"""From any Gymnasium vector environment to Stable-Baselines3's, with the task index as the last observation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv
from typing_extensions import override

# The largest task index that the observation space admits. It is fixed, since `set_env` refuses another space.
MAX_SLOT = 1023


_SOON = 5.0  # seconds in which a process may end its step and close
Rescale = Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]]


class EnvState(NamedTuple):
    """All that changes in N environments, in the shape that the environments give and take."""

    arrays: dict[str, NDArray[Any]]  # by name, each (N, …)
    generators: list[dict[str, Any]]  # of start states, one for each environment


def _row(infos: Mapping[str, Any], i: int) -> dict[str, Any]:
    """Return environment i's own info from a batched one: nested, where the mask `_key` says whose `key` is."""
    return {
        key: _row(value, i) if isinstance(value, Mapping) else value[i]
        for key, value in infos.items()
        if not key.startswith("_") and (f"_{key}" not in infos or infos[f"_{key}"][i])
    }


class SlotVecEnv(VecEnv):
    """Adapts `env` (N environments, same-step autoreset) and appends `slot` to every observation.

    Observations are (N, d + 1) float32; the last component is the slot's index, 0 … MAX_SLOT. An ended episode's info
    holds its return and length where Stable-Baselines3 looks for them, `episode`: `r` and `l`; not so an episode that
    began with steps behind it (`elapsed` of the reset's info), as the first ones of staggered simulations: it is
    shorter than the others, and its return is of a part.

    Attributes:
        slot: the slot's index.
        paid: the newest step's rewards before they were brought to a learner's scale, (N,).
    """

    def __init__(self, env: gym.vector.VectorEnv[Any, Any, Any], slot: int) -> None:
        """Wrap the environment.

        Raises:
            ValueError: the environment does not reset in the same step, or its observations are not a flat box.
        """
        mode = env.metadata.get("autoreset_mode")
        if mode != gym.vector.AutoresetMode.SAME_STEP:
            raise ValueError(f"autoreset mode {mode}; expected SAME_STEP: build the vector environment with it")
        space = env.single_observation_space
        if not isinstance(space, gym.spaces.Box) or len(space.shape) != 1:
            raise ValueError(f"observation space {space}; expected a Box of one dimension: flatten it first")
        self.env, self.slot = env, slot
        self._column = np.full((env.num_envs, 1), slot, np.float32)
        low = np.append(space.low, 0).astype(np.float32)
        high = np.append(space.high, MAX_SLOT).astype(np.float32)
        self.render_mode = None
        super().__init__(env.num_envs, gym.spaces.Box(low, high, dtype=np.float32), env.single_action_space)
        self._actions: NDArray[Any] = np.empty(0)
        self._seed: int | None = None
        self.paid: NDArray[Any] = np.zeros(env.num_envs)
        self._returns = np.zeros(env.num_envs)  # of the episodes so far
        self._lengths = np.zeros(env.num_envs, np.int64)
        self._whole = np.ones(env.num_envs, np.bool_)  # whether they are seen from their start

    def _with_slot(self, obs: NDArray[Any]) -> NDArray[np.float32]:
        return np.concatenate([obs.astype(np.float32, copy=False), self._column[: len(obs)]], axis=1)

    @override
    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Seed the next reset; environment i gets ``seed + i``."""
        self._seed = seed
        return [None if seed is None else seed + i for i in range(self.num_envs)]

    @override
    def reset(self) -> NDArray[np.float32]:
        """Start new episodes and return the observations (N, d + 1)."""
        obs, info = self.env.reset(seed=self._seed)
        self._seed = None
        self._returns[:], self._lengths[:] = 0.0, 0
        self._whole[:] = np.equal(info.get("elapsed", 0), 0)
        return self._with_slot(obs)

    def get_state(self) -> EnvState:
        """Return all that changes in the wrapped environments, and their episodes so far."""
        arrays, generators = self.env.get_state()  # type: ignore[attr-defined]
        return EnvState(arrays | {name: own.copy() for name, own in self._episodes.items()}, generators)

    def set_state(self, state: EnvState) -> None:
        """Continue from what `get_state` returned.

        Raises:
            KeyError, ValueError: it is the state of other environments.
        """
        for name, own in self._episodes.items():
            if state.arrays[name].shape != own.shape:
                raise ValueError(f"{name} of shape {state.arrays[name].shape}; expected {own.shape}")
            own[:] = state.arrays[name]
        self.env.set_state(state)  # type: ignore[attr-defined]

    @property
    def rescale(self) -> Rescale | None:
        """What brings rewards (n,) of slots (n,), as they were paid, to a learner's scale of now; None: they are."""
        own = getattr(self.env, "rescale", None)
        return None if own is None else lambda rewards, slots: own(rewards)

    @property
    def saves_state(self) -> bool:
        """Whether `set_state` goes on with the same bits; where not, a reset with the same seed comes before it."""
        return bool(getattr(self.env, "saves_state", True))

    @property
    def _episodes(self) -> dict[str, NDArray[Any]]:
        return {"episode_return": self._returns, "episode_length": self._lengths, "episode_whole": self._whole}

    @property
    def divergences(self) -> int:
        """How many times a simulation went to infinity."""
        return int(self.env.divergences)  # type: ignore[attr-defined]

    @property
    def solved(self) -> NDArray[np.bool_]:
        """Whether each episode under way has been solved at any step so far, (N,)."""
        return np.asarray(self.env.solved)  # type: ignore[attr-defined]

    @override
    def step_async(self, actions: NDArray[Any]) -> None:
        """Remember the actions for `step_wait`."""
        self._actions = actions

    @override
    def step_wait(
        self,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """Step; an ended episode's info has `terminal_observation`, `TimeLimit.truncated` and its final info."""
        obs, rewards, terminated, truncated, info = self.env.step(self._actions)
        dones = terminated | truncated
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        self.paid = info.get("unscaled_rewards", rewards)
        self._returns += self.paid
        self._lengths += 1
        for i in np.flatnonzero(dones):
            last = np.asarray(info["final_obs"][i])
            infos[i] = {
                **self._finished_episode(int(i)),
                **_row(info.get("final_info", {}), int(i)),
                "terminal_observation": self._with_slot(last[None])[0],
                "TimeLimit.truncated": bool(truncated[i] and not terminated[i]),
            }
        return self._with_slot(obs), rewards.astype(np.float32), dones, infos

    def _finished_episode(self, i: int) -> dict[str, Any]:
        """Return the info on environment i's episode, which has ended, and begin to count the next."""
        episode = {"episode": {"r": float(self._returns[i]), "l": int(self._lengths[i])}} if self._whole[i] else {}
        self._returns[i], self._lengths[i], self._whole[i] = 0.0, 0, True
        return episode

    @override
    def close(self) -> None:
        """Close the wrapped environment."""
        self.env.close()

    def abandon(self) -> None:
        """Close it; a process that is not gone soon is killed."""
        self.env.close(timeout=_SOON)

    @override
    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Return the wrapped environment's attribute, once for each index."""
        return [getattr(self.env, attr_name)] * len(list(self._get_indices(indices)))

    @override
    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set the wrapped environment's attribute: the simulations share one object."""
        setattr(self.env, attr_name, value)

    @override
    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Call the wrapped environment's method once, and return its result for each index."""
        result = getattr(self.env, method_name)(*args, **kwargs)
        return [result] * len(list(self._get_indices(indices)))

    @override
    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        """Return False for each index: the simulations carry no Gymnasium wrappers."""
        return [False] * len(list(self._get_indices(indices)))


class JointVecEnv(VecEnv):
    """Several slots' environments as one: what trains on all tasks at once steps them all in every batch."""

    def __init__(self, parts: Sequence[SlotVecEnv]) -> None:
        self.parts = tuple(parts)
        self.render_mode = None
        first = self.parts[0]
        super().__init__(sum(p.num_envs for p in self.parts), first.observation_space, first.action_space)
        self._bounds = np.cumsum([p.num_envs for p in self.parts])[:-1]

    @override
    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Seed the next reset; environment i gets ``seed + i``."""
        offsets = [0, *self._bounds]
        seeds: list[int | None] = []
        for part, offset in zip(self.parts, offsets, strict=True):
            seeds += part.seed(None if seed is None else seed + int(offset))
        return seeds

    @override
    def reset(self) -> NDArray[np.float32]:
        """Start new episodes and return the observations (N, d + 1)."""
        return np.concatenate([part.reset() for part in self.parts])

    @override
    def step_async(self, actions: NDArray[Any]) -> None:
        """Remember the actions for `step_wait`."""
        for part, own in zip(self.parts, np.split(actions, self._bounds), strict=True):
            part.step_async(own)

    @override
    def step_wait(
        self,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """Step every part; see `SlotVecEnv.step_wait`."""
        obs, rewards, dones, infos = zip(*(part.step_wait() for part in self.parts), strict=True)
        rows = [info for part in infos for info in part]
        return np.concatenate(obs), np.concatenate(rewards), np.concatenate(dones), rows

    def get_state(self) -> EnvState:
        """Return all that changes in all parts."""
        states = [part.get_state() for part in self.parts]
        arrays = {f"{i}.{name}": a for i, state in enumerate(states) for name, a in state.arrays.items()}
        return EnvState(arrays, [rng for state in states for rng in state.generators])

    def set_state(self, state: EnvState) -> None:
        """Continue from what `get_state` returned."""
        at = 0
        for i, part in enumerate(self.parts):
            prefix = f"{i}."
            own = {n.removeprefix(prefix): a for n, a in state.arrays.items() if n.startswith(prefix)}
            count = len(part.get_state().generators)  # none of environments that keep theirs to themselves
            part.set_state(EnvState(own, state.generators[at : at + count]))
            at += count

    @property
    def rescale(self) -> Rescale | None:
        """As of `SlotVecEnv`, each part's rewards by its own scale."""
        scales = {part.slot: part.rescale for part in self.parts}
        if all(scale is None for scale in scales.values()):
            return None

        def rescale(rewards: NDArray[Any], slots: NDArray[Any]) -> NDArray[Any]:
            found = rewards.copy()
            for slot, scale in scales.items():
                rows = slots == slot
                if scale is not None:
                    found[rows] = scale(rewards[rows], slots[rows])
            return found

        return rescale

    @property
    def saves_state(self) -> bool:
        """Whether every part does."""
        return all(part.saves_state for part in self.parts)

    @property
    def paid(self) -> NDArray[Any]:
        """The newest step's rewards before they were brought to a learner's scale, (N,)."""
        return np.concatenate([part.paid for part in self.parts])

    @property
    def divergences(self) -> int:
        """How many times a simulation of any part went to infinity."""
        return sum(part.divergences for part in self.parts)

    @override
    def close(self) -> None:
        """Close every part."""
        for part in self.parts:
            part.close()

    def abandon(self) -> None:
        """Close every part; a process that is not gone soon is killed."""
        for part in self.parts:
            with suppress(Exception):  # such as a broken one's: the others are left all the same
                part.abandon()

    @override
    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Return the parts' attribute, once for each environment."""
        everything = [value for part in self.parts for value in part.get_attr(attr_name)]
        return [everything[i] for i in self._get_indices(indices)]

    @override
    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set every part's attribute."""
        for part in self.parts:
            part.set_attr(attr_name, value)

    @override
    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Call every part's method once, and return its result for each environment."""
        results = [r for part in self.parts for r in part.env_method(method_name, *args, **kwargs)]
        return [results[i] for i in self._get_indices(indices)]

    @override
    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        """Return False for each index: the simulations carry no Gymnasium wrappers."""
        return [False] * len(list(self._get_indices(indices)))


TrainEnv = SlotVecEnv | JointVecEnv
