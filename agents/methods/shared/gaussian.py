"""What a policy does in states, as a module: so it can be asked with other parameters than its own."""

from __future__ import annotations

import torch as th
from torch import nn

from clrobot.agents.policies.policy import SlotPolicy


class Gaussian(nn.Module):
    """A policy's Gaussian as a module's `forward`, for torch's `functional_call`."""

    def __init__(self, policy: SlotPolicy) -> None:
        super().__init__()
        self.policy = policy

    def forward(self, obs: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
        """Return means and log standard deviations, each (n, A), for observations (n, d + 1)."""
        return self.policy.gaussian(obs)
