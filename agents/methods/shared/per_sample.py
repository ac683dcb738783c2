"""Gradients of what a policy says about single states: per sample, before any mean is taken."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch as th
from torch.func import functional_call, vjp, vmap

from clrobot.agents.compiler import load_compiler
from clrobot.agents.networks.slot_network import SlotNetwork, slot_of
from clrobot.agents.policies.policy import SlotPolicy

load_compiler()  # `vmap` needs it

_CHUNK = 250  # samples whose gradients are in memory at once

# From means and log standard deviations, each (B, A), to U numbers for each state, (B, U).
Quantities = Callable[[th.Tensor, th.Tensor], th.Tensor]


def per_sample_gradients(
    policy: SlotPolicy, obs: th.Tensor, quantities: Quantities
) -> Iterator[dict[str, th.Tensor]]:
    """Yield ∂u_i(s)/∂θ for U quantities u of the policy's Gaussian at each state, chunk by chunk of the states.

    With z the outputs of the actor's network, by the chain rule

        ∂u_i/∂θ = Σ_o (∂u_i/∂z_o) (∂z_o/∂θ),

    where the first factor is the policy's (PPO and SAC differ in it) and the second the network's.

    Args:
        policy: whose shared parameters are θ.
        obs: states of one slot (n, d + 1), the slot's index last.
        quantities: u, from the policy's `gaussian`; a state's may not depend on another state.

    Yields:
        For each of the shared parameters, by name, a tensor (chunk, U, *shape).
    """
    network = policy.actor_net
    slot = int(slot_of(obs[:1], policy.slots)[0])
    by_output = _gradients_by_output(policy, obs, quantities)
    shared = {name: p.detach() for name, p in network.shared_parameters()}
    rest = {name: p.detach() for name, p in network.named_parameters() if name not in shared}
    module = _OneSlot(network, slot)

    def gradients(x: th.Tensor, factors: th.Tensor) -> dict[str, th.Tensor]:
        # One state (d,) and its ∂u/∂z (U, O).
        def outputs(parameters: dict[str, th.Tensor]) -> th.Tensor:
            out: th.Tensor = functional_call(module, _prefixed(parameters | rest), (x[None],))[0]
            return out

        pull = vjp(outputs, shared)[1]
        pulled: dict[str, th.Tensor] = vmap(pull)(factors)[0]
        return pulled

    for x, factors in zip(th.split(obs[:, :-1], _CHUNK), th.split(by_output, _CHUNK), strict=True):
        yield vmap(gradients)(x, factors)


def _gradients_by_output(policy: SlotPolicy, obs: th.Tensor, quantities: Quantities) -> th.Tensor:
    """Return ∂u_i/∂z_o (n, U, O), without the quantities that depend on no output (such as PPO's σ)."""
    network = policy.actor_net
    with th.no_grad():
        z = network(obs)
    z.requires_grad_()
    # The policy goes on from z, so that autograd stops there.
    handle = network.register_forward_hook(lambda *_: z)
    try:
        with th.enable_grad():
            u = quantities(*policy.gaussian(obs))
    finally:
        handle.remove()
    gradients = [
        th.autograd.grad(column.sum(), z, retain_graph=True, materialize_grads=True)[0]
        for column in u.unbind(1)
        if column.requires_grad
    ]
    by_output = th.stack(gradients, dim=1)
    needed = by_output.any(dim=2).any(dim=0)
    needed[0] = True  # that there is something to take gradients of
    return by_output[:, needed]


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
