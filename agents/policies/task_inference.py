"""Task inference: which slot an episode belongs to, from its first states and without a label."""

from __future__ import annotations

import math

import torch as th
from torch import nn

_NOISE = 0.02  # of observations, in their own scaled units: what never varies in a task must differ by more than this


class TaskInference(nn.Module):
    """One Gaussian for each slot over the observations of its episodes' first steps.

    An episode belongs to the slot under which its states so far are most likely,

        argmax_k Σ_t log N(x_t; m_k, C_k + s² I),

    with m_k and C_k the mean and covariance of the states that slot k's finished policy met in its first steps and
    s a small noise, since some components are constant. It is a rule about observations alone: no reward, no label,
    and two slots of the same task look alike (the newer is taken). It keeps d + d² numbers a slot, as buffers, so
    that they are saved with the weights.
    """

    mean: th.Tensor  # (slots, d)
    whitening: th.Tensor  # (slots, d, d): L⁻¹ with L Lᵀ = C + s² I; zeros where nothing was learned

    def __init__(self, size: int, slots: int) -> None:
        super().__init__()
        self.register_buffer("mean", th.zeros(slots, size))
        self.register_buffer("whitening", th.zeros(slots, size, size))

    def add_slot(self) -> None:
        """Make room for one more slot, of which nothing is known yet."""
        self.mean = th.cat([self.mean, th.zeros_like(self.mean[:1])])
        self.whitening = th.cat([self.whitening, th.zeros_like(self.whitening[:1])])

    def learn(self, slot: int, x: th.Tensor) -> None:
        """Learn a slot from observations (n, d) of its episodes' first steps, without the slot's index."""
        x = x.double()
        covariance = th.cov(x.T, correction=0) + _NOISE**2 * th.eye(x.shape[1], dtype=x.dtype, device=x.device)
        inverse = th.linalg.inv(th.linalg.cholesky(covariance))
        self.mean[slot] = x.mean(0).to(self.mean.dtype)
        self.whitening[slot] = inverse.to(self.whitening.dtype)

    def log_likelihood(self, x: th.Tensor) -> th.Tensor:
        """Return log N (B, slots) of observations (B, d); -inf for a slot that was not learned."""
        #   log N = -½ |L⁻¹ (x - m)|² + Σ log diag L⁻¹ - d/2 log 2π
        z = th.einsum("kij,bkj->bki", self.whitening, x[:, None] - self.mean)
        diagonal = self.whitening.diagonal(dim1=1, dim2=2)
        learned = diagonal[:, 0] > 0
        log_det = diagonal.clamp_min(th.finfo(x.dtype).tiny).log().sum(1)
        found = -0.5 * z.square().sum(2) + log_det - 0.5 * x.shape[1] * math.log(2 * math.pi)
        return found.masked_fill(~learned, -math.inf)

    @property
    def learned(self) -> int:
        """How many slots have been learned."""
        return int((self.whitening[:, 0, 0] > 0).sum())
