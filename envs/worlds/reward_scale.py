"""Rewards on a scale that a learner can use: a fixed factor, or a running one that belongs to the world alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from clrobot.envs.arrays import Array
from clrobot.envs.simulation.features import Mask
from clrobot.envs.simulation.simulation import SavedState
from clrobot.envs.worlds.world import World
from clrobot.envs.worlds.wrapper import WorldWrapper

DISCOUNT: Final = 0.99
LIMIT: Final = 10.0  # of scaled rewards, which are clipped to it
_LEAST: Final = 1e-8  # of the variance


class FixedRewards(WorldWrapper):
    """A world whose rewards are multiplied by a number."""

    def __init__(self, world: World, factor: float) -> None:
        super().__init__(world)
        self._factor = factor

    @override
    def step(self, actions: NDArray[Any]) -> tuple[NDArray[np.float32], Array, Mask, Mask, dict[str, Any]]:
        obs, rewards, terminated, truncated, infos = super().step(actions)
        return obs, self._factor * rewards, terminated, truncated, infos | {"unscaled_rewards": rewards}


class RunningRewards(WorldWrapper):
    """A world whose rewards are divided by the standard deviation of the discounted return so far.

    With g the discounted return of each environment's episode, σ² the variance of all g so far and ε = 1e-8:

        g_t = γ g_{t-1} + r_t        r̂_t = clip(r_t / √(σ² + ε), ±10)

    (Engstrom et al. 2020, "Implementation matters in deep policy gradients"; Stable-Baselines3's VecNormalize.) The
    scale begins with the world's first step and ends with its last: no other task's rewards move it, and it moves no
    other's. What was paid before it was divided stands in `infos` as `unscaled_rewards`, (N,): the divided rewards of
    two that act otherwise are on two scales, and cannot be compared.

    An algorithm that learns from rewards long after they were paid asks for them as they are, and has them divided
    when it learns (`rescale`), as VecNormalize does: divided when they were paid, the first ones of a replay buffer
    would be hundreds of times as large as what the same deed is paid later.

    Args:
        world: whose rewards.
        as_paid: leave them as they are.
    """

    def __init__(self, world: World, *, as_paid: bool = False) -> None:
        super().__init__(world)
        self._as_paid = as_paid
        self._returns = np.zeros(self.num_envs)
        self._moments = np.array([0.0, 0.0, 0.0])  # count, mean, sum of squared differences from the mean

    @override
    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        self._returns[:] = 0.0
        return super().reset(seed=seed, options=options)

    @override
    def step(self, actions: NDArray[Any]) -> tuple[NDArray[np.float32], Array, Mask, Mask, dict[str, Any]]:
        obs, rewards, terminated, truncated, infos = super().step(actions)
        self._returns = DISCOUNT * self._returns + rewards
        self._moments = _joined(self._moments, self._returns)
        learned = rewards if self._as_paid else self._divided(rewards)
        self._returns[terminated | truncated] = 0.0
        return obs, learned, terminated, truncated, infos | {"unscaled_rewards": rewards}

    @property
    def rescale(self) -> Callable[[Array], Array] | None:
        """What brings rewards as they were paid to the scale of now; None where they are already divided."""
        return self._divided if self._as_paid else None

    def _divided(self, rewards: Array) -> Array:
        count, _, squares = self._moments
        divided: Array = np.clip(rewards / np.sqrt(squares / count + _LEAST), -LIMIT, LIMIT)
        return divided

    @override
    def get_state(self) -> SavedState:
        """Return the scale beside the world's own state."""
        arrays, generators = super().get_state()
        own = {"reward_returns": self._returns.copy(), "reward_moments": self._moments.copy()}
        return SavedState(arrays | own, generators)

    @override
    def set_state(self, state: SavedState) -> None:
        if state.arrays["reward_returns"].shape != self._returns.shape:
            raise ValueError(f"returns of {state.arrays['reward_returns'].shape}; expected {self._returns.shape}")
        self._returns, self._moments = (state.arrays[f"reward_{name}"].copy() for name in ("returns", "moments"))
        super().set_state(state)


def _joined(moments: Array, values: Array) -> Array:
    """Return the moments of what was seen and of these values (N,) together.

    With counts n and m, means a and b and sums of squares S and T about them (Chan et al. 1979):

        mean = a + (b - a) m / (n + m)        S' = S + T + (b - a)² n m / (n + m)
    """
    (n, mean, squares), m = moments, len(values)
    difference = values.mean() - mean
    total = n + m
    joined = squares + ((values - values.mean()) ** 2).sum() + difference**2 * n * m / total
    return np.array([total, mean + difference * m / total, joined])
