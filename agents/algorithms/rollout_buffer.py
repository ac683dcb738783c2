"""PPO's rollout, shuffled once an epoch instead of gathered sample by sample."""

from __future__ import annotations

from collections.abc import Callable, Generator

import numpy as np
import torch as th
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.type_aliases import RolloutBufferSamples
from typing_extensions import override

_COLUMNS = ("observations", "actions", "values", "log_probs", "advantages", "returns")


class ShuffledRolloutBuffer(RolloutBuffer):
    """Stable-Baselines3's buffer, whose minibatches are slices of rows that one gather has shuffled.

    The minibatches are the same, to the bit and in the same order. A minibatch's observations last until the next one
    is asked for.

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
