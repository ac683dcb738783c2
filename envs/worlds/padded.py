"""Worlds of different sizes in one layout: what a world lacks is zero, and a mask says whose numbers these are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray
from typing_extensions import override

from clrobot.envs.arrays import Array
from clrobot.envs.simulation.features import Mask
from clrobot.envs.worlds.foreign import LIMIT
from clrobot.envs.worlds.world import World
from clrobot.envs.worlds.wrapper import WorldWrapper


class PaddedWorld(WorldWrapper):
    """A world whose observations and actions are padded to those of others.

    Of d numbers that the world shows, an observation has these, zeros up to `size`, and then the mask: one number for
    each layout that there is, 1 for this world's own and 0 for the others. Of an action the world takes the first
    numbers, as many as it has.

    Args:
        world: with the fewer numbers.
        size: of the longest observation among all worlds.
        masks: how many layouts there are.
        mask: which one is this world's, from 0.
        actions: of the longest action among all worlds.
    """

    def __init__(self, world: World, size: int, masks: int, mask: int, actions: int) -> None:
        super().__init__(world)
        inner, taken = world.single_observation_space, world.single_action_space
        assert isinstance(inner, gym.spaces.Box)
        assert isinstance(taken, gym.spaces.Box)
        self._own, self._taken = inner.shape[0], taken.shape[0]
        self._size, self._mask = size, size + mask
        width = size + masks
        low, high = np.zeros(width, np.float32), np.ones(width, np.float32)
        low[:size], high[:size] = -LIMIT, LIMIT  # in every world: a learner keeps the space of the first
        self.single_observation_space = gym.spaces.Box(low, high, dtype=np.float32)
        self.single_action_space = gym.spaces.Box(-1.0, 1.0, (actions,), np.float32)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

    def _padded(self, obs: NDArray[np.float32]) -> NDArray[np.float32]:
        padded = np.zeros((len(obs), *self.single_observation_space.shape), np.float32)  # type: ignore[misc]
        padded[:, : self._own] = obs
        padded[:, self._mask] = 1.0
        return padded

    @override
    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        obs, info = super().reset(seed=seed, options=options)
        return self._padded(obs), info

    @override
    def step(self, actions: NDArray[Any]) -> tuple[NDArray[np.float32], Array, Mask, Mask, dict[str, Any]]:
        obs, rewards, terminated, truncated, infos = super().step(np.asarray(actions)[:, : self._taken])
        if "final_obs" in infos:
            infos = infos | {"final_obs": self._padded(infos["final_obs"])}
        return self._padded(obs), rewards, terminated, truncated, infos
