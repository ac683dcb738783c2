"""A new slot that begins as a copy of an earlier one: it acts as that one does, and nothing earlier changes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch as th
from support.models import box_policy, same_bits, snapshot, state_std_policy

from clrobot.agents.networks.copied import CopiedNetwork
from clrobot.agents.networks.knowledge_base import ProgressNetwork
from clrobot.agents.networks.multi_head import MultiHeadNetwork
from clrobot.agents.networks.progressive import ProgressiveNetwork
from clrobot.agents.networks.randomly_reading import RandomlyReadingNetwork
from clrobot.agents.networks.slot_network import SlotNetwork
from clrobot.agents.policies.policy import SlotPolicy

EVERY = {
    "multi-head": MultiHeadNetwork,
    "layer-norm": partial(MultiHeadNetwork, layer_norm=True),
    "copied": CopiedNetwork,
    "progressive": ProgressiveNetwork,
    "progressive, layer norm": partial(ProgressiveNetwork, layer_norm=True),
    "randomly reading": RandomlyReadingNetwork,
}


def build(network_class: Callable[..., SlotNetwork], slots: int = 3) -> SlotNetwork:
    """A network whose slots were trained: every weight of the newest is moved before the next comes."""
    th.manual_seed(0)
    network = network_class(5, (8, 6), 3, head_gain=1.0)
    for _ in range(slots - 1):
        with th.no_grad():
            for p in network.parameters():
                if p.requires_grad:
                    p.add_(0.1 * th.randn_like(p))
        network.add_slot()
    return network


def rows() -> th.Tensor:
    return th.randn(20, 5, generator=th.Generator().manual_seed(1))


@pytest.mark.parametrize("source", [0, 1])
@pytest.mark.parametrize("network_class", EVERY.values(), ids=EVERY)
def test_the_newest_slot_acts_as_its_source_and_no_earlier_one_changes(network_class, source: int) -> None:
    network, x = build(network_class), rows()
    before = [network.forward_slot(x, slot) for slot in range(3)]
    assert not th.allclose(before[2], before[source])
    frozen = {name: p.clone() for name, p in network.named_parameters() if not p.requires_grad}
    network.begin_as(source)
    after = [network.forward_slot(x, slot) for slot in range(3)]
    assert th.equal(after[0], before[0])
    assert th.equal(after[1], before[1])
    assert all(th.equal(p, frozen[name]) for name, p in network.named_parameters() if name in frozen)
    exact = th.equal if isinstance(network, MultiHeadNetwork) else partial(th.allclose, atol=1e-6)
    assert exact(after[2], before[source])  # what is multiplied by zeros may be summed in another order
    assert len({p.untyped_storage().data_ptr() for p in network.parameters()}) == len(list(network.parameters()))


@pytest.mark.parametrize("network_class", EVERY.values(), ids=EVERY)
def test_of_some_outputs_the_others_stay_new(network_class) -> None:
    network, x = build(network_class), rows()
    with th.no_grad():
        network.layers(2)[-1].weight[1:].zero_()
        network.layers(2)[-1].bias[1:].fill_(7.0)
    network.begin_as(1, outputs=1)
    head = network.layers(2)[-1]
    assert th.equal(head.weight[:1], network.layers(1)[-1].weight[:1])
    assert bool((head.weight[1:] == 0).all())
    assert bool((head.bias[1:] == 7).all())
    assert th.allclose(network.forward_slot(x, 2)[:, :1], network.forward_slot(x, 1)[:, :1], atol=1e-6)


def test_what_a_copied_column_does_not_read_can_still_be_learned() -> None:
    network = build(ProgressiveNetwork)
    network.begin_as(0)
    network.forward_slot(rows(), 2).square().sum().backward()
    for lateral in network.columns[2].laterals:
        assert bool((lateral.out.weight.grad != 0).any())
    network = build(ProgressiveNetwork)
    network.begin_as(1)
    network.forward_slot(rows(), 2).square().sum().backward()
    for lateral in network.columns[2].laterals:
        assert bool((lateral.project.weight.grad[:, -6:] != 0).all(0).any())


def test_a_network_that_does_not_say_how_refuses() -> None:
    with pytest.raises(NotImplementedError):
        build(ProgressNetwork).begin_as(0)


# Policies --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("critic", [True, False])
@pytest.mark.parametrize("policy_of", [box_policy, state_std_policy], ids=["ppo", "sac"])
def test_a_policy_copies_the_mean_and_explores_anew(policy_of: Callable[..., SlotPolicy], critic: bool) -> None:
    policy = policy_of(5, 2, widths=(8,), slots=3, log_std_init=-0.5)
    with th.no_grad():
        for p in policy.parameters():
            p.add_(0.1 * th.randn_like(p))
    obs = th.cat([rows(), th.zeros(20, 1)], dim=1)
    at = [th.cat([obs[:, :-1], th.full((20, 1), float(slot))], dim=1) for slot in range(3)]
    log_stds, values = policy.gaussian(at[2])[1], policy.values(at[2], th.zeros(20, 2))
    earlier = snapshot(policy)
    policy.begin_as(1, critic=critic)
    mean, log_std = policy.gaussian(at[2])
    assert th.equal(mean, policy.gaussian(at[1])[0])
    assert th.equal(log_std, log_stds)
    expected = policy.values(at[1], th.zeros(20, 2)) if critic else values
    assert th.equal(policy.values(at[2], th.zeros(20, 2)), expected)
    changed = {name for name, tensor in snapshot(policy).items() if not th.equal(tensor, earlier[name])}
    changed = {name for name in changed if not name.startswith("critic_target.")}
    assert changed
    assert all(".heads.2." in name for name in changed)
    if policy_of is state_std_policy:
        assert same_bits(snapshot(policy.critic), snapshot(policy.critic_target))
