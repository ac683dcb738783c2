"""What an agent keeps beside one actor and critic, in bytes: what methods have to be compared by."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from torch import nn

from clrobot.agents.methods.shared.method import Method
from clrobot.agents.networks.slot_network import SlotNetwork
from clrobot.agents.policies.policy import SlotPolicy

_FLOAT_BYTES = 4


def bytes_beside(policy: SlotPolicy, method: Method) -> int:
    """Return the bytes of everything beyond one actor and critic.

    One actor and critic are what fine-tuning has: in each network a trunk, and a head for each slot. All else counts:
    what the method remembers, further columns and copies, masks (buffers of a network), and what task inference keeps
    of each slot.

    Args:
        policy: with its networks as they are now.
        method: with its memory as it is now.
    """
    networks = sum(max(0, _bytes(network) - _plain_bytes(network)) for network in _networks(policy))
    return method.memory_bytes() + networks + _bytes(policy.task_inference)


def _networks(module: nn.Module) -> Iterator[SlotNetwork]:
    """Yield the networks of actor and critic, targets too, but not those of which they are made."""
    for child in module.children():
        if isinstance(child, SlotNetwork):
            yield child
        else:
            yield from _networks(child)


def _bytes(module: nn.Module) -> int:
    return sum(t.numel() * t.element_size() for t in module.state_dict().values())


def _plain_bytes(network: SlotNetwork) -> int:
    """Return the bytes of a trunk of this network's widths and a head for each of its slots.

    With w_0 inputs, widths w_1 … w_L, o outputs and K slots: Σ_i (w_{i-1} + 1) w_i + K (w_L + 1) o numbers, and
    2 Σ_i w_i more with layer norms.
    """
    sizes = (network.inputs, *network.widths)
    trunk = sum((below + 1) * above for below, above in pairwise(sizes))
    norms = 2 * sum(network.widths) if network.layer_norm else 0
    heads = network.slots * (network.widths[-1] + 1) * network.outputs
    return _FLOAT_BYTES * (trunk + norms + heads)
