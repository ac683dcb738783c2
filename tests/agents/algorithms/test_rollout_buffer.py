"""PPO's minibatches from shuffled rows: Stable-Baselines3's, to the bit and in its order."""

from __future__ import annotations

import numpy as np
import torch as th
from stable_baselines3.common.buffers import RolloutBuffer
from support.models import tiny_learner

from clrobot.agents.algorithms.rollout_buffer import ShuffledRolloutBuffer


def filled(kind: type[RolloutBuffer]) -> RolloutBuffer:
    model = tiny_learner().model
    buffer = kind(6, model.observation_space, model.action_space, device="cpu", n_envs=3)
    rng = np.random.default_rng(0)
    for step in range(6):
        value, log_prob = th.from_numpy(rng.normal(size=(2, 3)).astype(np.float32))
        rows = [rng.normal(size=(3, n)).astype(np.float32) for n in (24, 4)]
        buffer.add(*rows, rng.normal(size=3), np.full(3, step == 0), value, log_prob)
    buffer.compute_returns_and_advantage(th.zeros(3), np.zeros(3))
    return buffer


def epochs(buffer: RolloutBuffer, size: int | None) -> list[th.Tensor]:
    np.random.seed(4)  # noqa: NPY002
    # Copies: a minibatch's memory is used again.
    return [column.clone() for _ in range(2) for batch in buffer.get(size) for column in batch if column is not None]


def test_the_minibatches_are_the_stock_buffers() -> None:
    for size in (4, 5, None):
        mine, theirs = (epochs(filled(kind), size) for kind in (ShuffledRolloutBuffer, RolloutBuffer))
        assert len(mine) == len(theirs)
        assert all(th.equal(a, b) for a, b in zip(mine, theirs, strict=True))


def test_what_widens_the_observations_sees_all_of_them_once_an_update() -> None:
    buffer = filled(ShuffledRolloutBuffer)
    seen = []

    def widen(observations: th.Tensor) -> th.Tensor:
        seen.append(observations.clone())
        return th.cat([observations, observations[:, :1]], dim=1)

    buffer.widen = widen
    for _ in range(3):
        for batch in buffer.get(4):
            assert batch.observations.shape[1] == 25
            assert th.equal(batch.observations[:, -1], batch.observations[:, 0])
    assert [tuple(part.shape) for part in seen] == [(18, 24)]
    assert buffer.observations.shape == (18, 24)  # the buffer's own stay
