"""A replay buffer whose batches may hold a set share of other experience: SAC's part in rehearsing earlier tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch as th
from numpy.typing import NDArray
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from stable_baselines3.common.vec_env import VecNormalize
from typing_extensions import override

from clrobot.agents.vec_env import Rescale

Source = Callable[[int], ReplayBufferSamples]  # from a number of transitions to as many of them


class MixedReplayBuffer(ReplayBuffer):
    """Stable-Baselines3's replay buffer; until `mix_in` is called it gives the same bits."""

    log_temperatures: th.Tensor | None = None
    """Logs of the temperatures of the slots whose transitions are mixed in, (k,); None where none are."""
    slots: th.Tensor | None = None
    """The slot's index of each transition of the newest batch, (B,)."""
    rescale: Rescale | None = None
    """Brings rewards, which lie here as they were paid, to the learner's scale of now; None: they are on it."""
    _mixed_in: tuple[Source, float] | None = None

    def mix_in(self, source: Source, share: float, log_temperatures: th.Tensor) -> None:
        """From now on let `source` give a share of every batch.

        Args:
            source: of transitions of earlier slots.
            share: in (0, 1), rounded to whole transitions: one at least, and one of this buffer's own at least.
            log_temperatures: logs of the temperatures at which those slots' stages ended, (k,).
        """
        self._mixed_in, self.log_temperatures = (source, share), log_temperatures

    def stop_mixing(self) -> None:
        """From now on give this buffer's own experience alone."""
        self._mixed_in = self.log_temperatures = None

    def transitions(self, rows: NDArray[np.int64], envs: NDArray[np.int64]) -> ReplayBufferSamples:
        """Return what simulations `envs` (n,) did at buffer rows `rows` (n,), in the form of a batch."""
        done = self.dones[rows, envs] * (1 - self.timeouts[rows, envs])  # an episode cut by its length is not over
        columns = (
            self.observations[rows, envs],
            self.actions[rows, envs],
            self.next_observations[rows, envs],
            done.reshape(-1, 1),
            self.rewards[rows, envs].reshape(-1, 1),
        )
        return self._on_scale(ReplayBufferSamples(*map(self.to_torch, columns)))

    @override
    def _get_samples(self, batch_inds: NDArray[Any], env: VecNormalize | None = None) -> ReplayBufferSamples:
        return self._on_scale(super()._get_samples(batch_inds, env))

    def _on_scale(self, batch: ReplayBufferSamples) -> ReplayBufferSamples:
        if self.rescale is None:
            return batch
        rewards = self.rescale(batch.rewards.cpu().numpy(), batch.observations[:, -1].long().cpu().numpy())
        return batch._replace(rewards=self.to_torch(rewards.astype(np.float32)))

    def evenly(self, count: int) -> ReplayBufferSamples:
        """Return so many of this buffer's own transitions, from all over it; no generator is asked."""
        filled = self.buffer_size if self.full else self.pos
        places = np.linspace(0, filled * self.n_envs - 1, count).astype(np.int64)
        rows, envs = np.divmod(places, self.n_envs)
        return self.transitions(rows, envs)

    @override
    def sample(self, batch_size: int, env: VecNormalize | None = None) -> ReplayBufferSamples:
        """Return a batch: what is mixed in first, then this buffer's own."""
        batch = self._batch(batch_size, env)
        self.slots = batch.observations[:, -1].long()
        return batch

    def _batch(self, batch_size: int, env: VecNormalize | None) -> ReplayBufferSamples:
        if self._mixed_in is None:
            return super().sample(batch_size, env)
        source, share = self._mixed_in
        count = max(0, min(max(1, round(share * batch_size)), batch_size - 1))
        own: Any = super().sample(batch_size - count, env)
        others: Any = source(count)
        # Optional fields, such as n-step discounts, are None in both.
        columns = (None if a is None else th.cat([a, b]) for a, b in zip(others, own, strict=True))
        return ReplayBufferSamples(*columns)  # type: ignore[arg-type]
