"""What N simulations' agents see with noise and do with a delay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from clrobot.envs.arrays import Array
from clrobot.envs.simulation.actions import OPEN
from clrobot.envs.simulation.features import Features, Ids
from clrobot.envs.simulation.observation import COLUMNS
from clrobot.envs.simulation.overrides import Overrides

# What waits in the delay at the start of an episode: the hand stays, and the fingers stay open.
IDLE: Final = np.array([0.0, 0.0, 0.0, OPEN])


class Disturbance:
    """What N simulations' agents see with noise and do with a delay.

    An episode's noise follows from one number, drawn when it starts from the simulation's own generator and after
    the start state: the first episode starts the same in every world, and looking twice shows the same.
    """

    def __init__(self, n: int, overrides: Overrides, episode: tuple[int, int]) -> None:
        """Prepare N simulations, whose episodes show `episode` = (observations, numbers in each)."""
        self._scale = overrides.get("sensor.noise", 0.0)
        self._noise = np.zeros((n if self._scale else 0, *episode), np.float32)
        self._seeds = np.zeros(len(self._noise), np.int64)
        self._pending = np.tile(IDLE, (n, int(overrides.get("action.delay", 0)), 1))
        self._rows = np.arange(n)

    @classmethod
    def of(cls, n: int, overrides: Overrides, episode: tuple[int, int]) -> Disturbance | None:
        """Return the disturbance of a world, or None where there is neither noise nor delay."""
        disturbs = overrides.get("sensor.noise", 0.0) or overrides.get("action.delay", 0)
        return cls(n, overrides, episode) if disturbs else None

    def reset(self, ids: Ids, rngs: Sequence[np.random.Generator]) -> None:
        """Begin new episodes in the simulations `ids`; `rngs` are all N generators."""
        self._pending[ids] = IDLE
        if self._scale:
            for i in ids:
                self._seeds[i] = rngs[i].integers(2**63)
            self._draw(ids)

    def _draw(self, ids: Ids) -> None:
        for i in ids:
            self._noise[i] = np.random.default_rng(self._seeds[i]).standard_normal(self._noise.shape[1:], np.float32)

    def delayed(self, actions: Array) -> Array:
        """Return the actions that take effect now, (N, 4), and keep these (N, 4) for later."""
        if not self._pending.shape[1]:
            return actions
        due: Array = self._pending[:, 0].copy()
        self._pending[:, :-1] = self._pending[:, 1:]
        self._pending[:, -1] = actions
        return due

    @property
    def pending_displacement(self) -> Array:
        """The sum of the hand's displacements that wait in the delay, (N, 3), in actions' units."""
        displacement: Array = self._pending[:, :, :3].sum(axis=1)
        return displacement

    def with_noise(self, scaled: Array, elapsed: NDArray[np.int64], features: Features) -> Array:
        """Return scaled observations (N, OBS_SIZE) with their noise; what the task lacks stays zero."""
        if not self._scale:
            return scaled
        noise = self._scale * self._noise[self._rows, elapsed % self._noise.shape[1]]
        if features.other is None:
            noise[:, COLUMNS["other object position"]] = 0.0
        if features.joint is None:
            noise[:, COLUMNS["mechanism position"]] = 0.0
        seen: Array = scaled + noise
        return seen

    def get_state(self) -> dict[str, NDArray[Any]]:
        """Return a copy of all that changes, by name."""
        return {"noise_seeds": self._seeds.copy(), "pending": self._pending.copy()}

    def set_state(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Continue from what `get_state` returned.

        Raises:
            ValueError: it is the state of another world.
        """
        for name, own in (("noise_seeds", self._seeds), ("pending", self._pending)):
            if name not in arrays or arrays[name].shape != own.shape:
                raise ValueError(f"the state has no {name} of shape {own.shape}: it is of another world")
            own[:] = arrays[name]
        if self._scale:
            self._draw(self._rows)
