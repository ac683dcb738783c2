"""Elastic weight consolidation: the quadratic penalty weighted by the policy's Fisher information."""

from __future__ import annotations

from typing import ClassVar

import torch as th
from pydantic import Field
from stable_baselines3.common.base_class import BaseAlgorithm
from torch.func import functional_call, jacrev, vmap

from clrobot.agents.method import Collect
from clrobot.agents.methods.quadratic import Importance, QuadraticMethod, protected_parameters
from clrobot.agents.networks import SlotNetwork
from clrobot.agents.policies import PPOSlotPolicy

_CHUNK = 250  # samples whose Jacobians are held at once


def fisher_diagonal(network: SlotNetwork, slot: int, obs: th.Tensor, log_std: th.Tensor) -> Importance:
    """Return the diagonal of the Fisher information of a Gaussian policy's shared parameters.

        F = E_s E_{a~π(s)} [(∂ log π(a|s) / ∂θ)²],  per sample, then averaged
          = E_s Σ_i (∂μ_i(s) / ∂θ)² / σ_i²

    The second line takes the expectation over actions exactly: (a - μ) / σ² has mean 0 and variance 1 / σ².
    (Squaring a batch's mean gradient instead would make F far too small, and dependent on the batch's size.)

    Args:
        network: the actor's mean.
        slot: the task's slot.
        obs: on-policy states of the task (n, d), without the slot's index.
        log_std: the head's (A,).

    Returns:
        For each of the network's shared parameters, by name, a tensor of its shape.
    """
    shared = {name: p.detach() for name, p in network.shared_parameters()}
    rest = {name: p.detach() for name, p in network.named_parameters() if name not in shared}
    inverse_std = th.exp(-log_std.detach())

    def scaled_mean(parameters: dict[str, th.Tensor], x: th.Tensor) -> th.Tensor:
        # (A,): μ_i / σ_i, whose squared Jacobian is the term under the sum.
        mean: th.Tensor = functional_call(_OneSlot(network, slot), _prefixed(parameters | rest), (x[None],))[0]
        return mean * inverse_std

    jacobians = vmap(jacrev(scaled_mean), in_dims=(None, 0))
    total = {name: th.zeros_like(p) for name, p in shared.items()}
    for chunk in th.split(obs, _CHUNK):
        for name, jacobian in jacobians(shared, chunk).items():  # each (chunk, A, *shape)
            total[name] += jacobian.square().sum(dim=(0, 1))
    return {name: f / len(obs) for name, f in total.items()}


class _OneSlot(th.nn.Module):
    """One slot of a network as a module of its own, for `functional_call`."""

    def __init__(self, network: SlotNetwork, slot: int) -> None:
        super().__init__()
        self.network = network
        self.slot = slot

    def forward(self, x: th.Tensor) -> th.Tensor:
        return self.network.forward_slot(x, self.slot)


def _prefixed(parameters: dict[str, th.Tensor]) -> dict[str, th.Tensor]:
    return {f"network.{name}": p for name, p in parameters.items()}


class EWC(QuadraticMethod):
    """Elastic weight consolidation (Kirkpatrick et al. 2017) of the actor's trunk."""

    name: ClassVar = "ewc"
    summary: ClassVar = "elastic weight consolidation: weights that earlier tasks need are held by springs"

    class Settings(QuadraticMethod.Settings):
        """EWC's penalty."""

        states: int = Field(2000, ge=1)
        """On-policy states over which a task's Fisher information is averaged."""

    settings: Settings

    def importance(self, model: BaseAlgorithm, k: int, collect: Collect) -> Importance:
        """Return task k's Fisher diagonal."""
        policy = model.policy
        assert isinstance(policy, PPOSlotPolicy)
        obs = collect(self.settings.states).observations[:, :-1]
        fisher = fisher_diagonal(policy.action_net, k, obs, policy.log_stds[k])
        return {name: fisher[name] for name in protected_parameters(model)}
