"""PPO's rollout: advantages of several tasks on one scale, shuffled once an epoch, not gathered sample by sample."""

from __future__ import annotations

from collections.abc import Callable, Generator

import numpy as np
import torch as th
from numpy.typing import NDArray
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.type_aliases import RolloutBufferSamples
from typing_extensions import override

_COLUMNS = ("observations", "actions", "values", "log_probs", "advantages", "returns")
_LEAST_SPREAD = 1e-8  # Stable-Baselines3's


class ShuffledRolloutBuffer(RolloutBuffer):
    """Stable-Baselines3's buffer, whose minibatches are slices of rows that one gather has shuffled.

    Of one task the minibatches are the same, to the bit and in the same order; of several trained at once, advantages
    are normalised within each task first. A minibatch's observations last until the next one is asked for.

    Attributes:
        widen: called with an update's observations (N, d + 1) once, before they are shuffled; what it returns is
            what the minibatches hold, (N, …).
    """

    widen: Callable[[th.Tensor], th.Tensor] | None = None

    @override
    def reset(self) -> None:
        super().reset()
        self._rows: list[th.Tensor] = []  # an update's columns
        self._batch: th.Tensor = getattr(self, "_batch", th.empty(0, 0))  # a minibatch's observations

    @override
    def compute_returns_and_advantage(self, last_values: th.Tensor, dones: np.ndarray) -> None:
        super().compute_returns_and_advantage(last_values, dones)
        assert isinstance(self.observations, np.ndarray)
        slots: NDArray[np.float32] = self.observations[..., -1]  # (steps, simulations), as the advantages
        if (slots != slots[0, 0]).any():
            self._normalise_within(slots)

    def _normalise_within(self, slots: NDArray[np.float32]) -> None:
        """Normalise advantages within each slot.

        Stable-Baselines3 normalises a minibatch as a whole, in which a task of large rewards would drown the others.
        With

            A ← (A - mean_k A) / (std_k A + ε),   over the samples of slot k

        before it, what it finds has mean 0 and spread 1 already, but for the draw of the minibatch. Returns, which
        the critic learns, are computed before and stay as they are.
        """
        for slot in np.unique(slots):
            own = slots == slot
            advantages = self.advantages[own]
            self.advantages[own] = (advantages - advantages.mean()) / (advantages.std() + _LEAST_SPREAD)

    @override
    def get(self, batch_size: int | None = None) -> Generator[RolloutBufferSamples, None, None]:
        """Yield an epoch's minibatches."""
        assert self.full
        total = self.buffer_size * self.n_envs
        # Drawn as Stable-Baselines3 draws it, from the generator that it seeds.
        order = th.from_numpy(np.random.permutation(total)).to(self.device)  # noqa: NPY002
        if not self.generator_ready:
            # The arrays stay flat, as Stable-Baselines3 leaves them: it looks at them after the update.
            for name in _COLUMNS:
                setattr(self, name, self.swap_and_flatten(getattr(self, name)))
            observations, actions, *numbers = (self.to_torch(getattr(self, name), copy=False) for name in _COLUMNS)
            if self.widen is not None:
                observations = self.widen(observations)
            self._rows = [observations, actions, *(column.flatten() for column in numbers)]
            self.generator_ready = True
        observations, *others = self._rows
        others = [column.index_select(0, order) for column in others]
        size = batch_size or total
        if self._batch.shape != (min(size, total), observations.shape[1]):
            self._batch = observations.new_empty(min(size, total), observations.shape[1])
        for start in range(0, total, size):
            chosen = order[start : start + size]
            # Now, and into the same memory: rows that are widened then stay in the processor's cache.
            batch = th.index_select(observations, 0, chosen, out=self._batch[: len(chosen)])
            yield RolloutBufferSamples(batch, *(column[start : start + size] for column in others))
