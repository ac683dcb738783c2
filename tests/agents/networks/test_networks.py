"""Heads and columns: who reads what, and what stays constant."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch as th

from clrobot.agents.networks.copied import CopiedNetwork
from clrobot.agents.networks.multi_head import MultiHeadNetwork
from clrobot.agents.networks.progressive import IndependentNetwork, ProgressiveNetwork
from clrobot.agents.networks.randomly_reading import RandomlyReadingNetwork
from clrobot.agents.networks.slot_network import SlotNetwork

EVERY = pytest.mark.parametrize(
    "network_class",
    [
        MultiHeadNetwork,
        ProgressiveNetwork,
        partial(ProgressiveNetwork, later_width=0.4),
        IndependentNetwork,
        CopiedNetwork,
        RandomlyReadingNetwork,
    ],
    ids=["multi-head", "progressive", "narrower", "independent", "copied", "randomly-reading"],
)


def build(network_class: Callable[..., SlotNetwork], slots: int) -> SlotNetwork:
    th.manual_seed(0)
    network = network_class(5, (8, 6), 3, head_gain=1.0)
    for _ in range(slots - 1):
        network.add_slot()
    return network


def observations(*slots: int) -> th.Tensor:
    x = th.randn(len(slots), 5, generator=th.Generator().manual_seed(1))
    return th.cat([x, th.tensor(slots, dtype=th.float32)[:, None]], dim=1)


@EVERY
def test_each_sample_takes_its_own_slot(network_class: Callable[..., SlotNetwork]) -> None:
    network = build(network_class, 3)
    obs = observations(2, 0, 1, 0, 2)
    mixed = network(obs)
    for i, slot in enumerate([2, 0, 1, 0, 2]):
        alone = network.forward_slot(obs[i : i + 1, :-1], slot)
        assert th.allclose(mixed[i], alone[0], atol=1e-6)
    assert not th.allclose(network.forward_slot(obs[:, :-1], 0), network.forward_slot(obs[:, :-1], 1), atol=1e-3)


@EVERY
def test_gradients_of_a_mixed_batch_are_those_of_its_parts(network_class: Callable[..., SlotNetwork]) -> None:
    network = build(network_class, 2)
    network.requires_grad_(True)
    obs = observations(0, 1, 1, 0)

    def gradients(loss: th.Tensor) -> list[th.Tensor]:
        return list(th.autograd.grad(loss, list(network.parameters()), materialize_grads=True))

    mixed = gradients(network(obs).square().sum())
    zeros = obs[[0, 3]], obs[[1, 2]]
    parts = [gradients(network(part).square().sum()) for part in zeros]
    for whole, a, b in zip(mixed, *parts, strict=True):
        assert th.allclose(whole, a + b, atol=1e-5)


@EVERY
def test_the_slot_index_itself_is_not_an_input(network_class: Callable[..., SlotNetwork]) -> None:
    network = build(network_class, 1)
    assert th.equal(network(observations(0, 0)), network(observations(7, 7)))  # both through the newest head


@EVERY
def test_a_slot_without_a_head_acts_through_the_newest(network_class: Callable[..., SlotNetwork]) -> None:
    network = build(network_class, 2)
    obs = observations(5, 5)
    assert th.equal(network(obs), network(observations(1, 1)))
    assert th.allclose(network(obs), network.forward_slot(obs[:, :-1], 1), atol=1e-6)


@EVERY
def test_adding_a_slot_leaves_earlier_outputs_as_they_were(network_class: Callable[..., SlotNetwork]) -> None:
    network = build(network_class, 2)
    obs = observations(0, 1, 1)
    before = network(obs)
    network.add_slot()
    assert th.equal(network(obs), before)


def test_a_mixed_batch_respects_hidden_layers_that_depend_on_the_slot() -> None:
    """One pass through the trunk serves all heads only where the trunk is the same for all."""

    class Scaled(MultiHeadNetwork):
        def activations(self, x: th.Tensor, slot: int) -> tuple[th.Tensor, ...]:
            return super().activations((1.0 + slot) * x, slot)

    network = build(Scaled, 3)
    obs = observations(2, 0, 1, 0)
    mixed = network(obs)
    for i, slot in enumerate([2, 0, 1, 0]):
        th.testing.assert_close(mixed[i], network.forward_slot(obs[i : i + 1, :-1], slot)[0])


def test_only_the_newest_head_and_the_trunk_train() -> None:
    network = build(MultiHeadNetwork, 3)
    trainable = {name for name, p in network.named_parameters() if p.requires_grad}
    assert trainable == {
        "trunk.0.weight", "trunk.0.bias", "trunk.1.weight", "trunk.1.bias", "heads.2.weight", "heads.2.bias",
    }  # fmt: skip


def test_only_the_newest_column_trains_and_frozen_gradients_are_none() -> None:
    network = build(ProgressiveNetwork, 3)
    network(observations(2, 2)).sum().backward()
    for name, p in network.named_parameters():
        assert (p.grad is not None) == name.startswith("columns.2."), name


@pytest.mark.parametrize("frozen", [0, 1])
def test_a_frozen_column_influences_a_later_one(frozen: int) -> None:
    """The law that a published implementation breaks: its later columns never read the first."""
    network = build(ProgressiveNetwork, 3)
    obs = observations(2, 2, 2)
    before = network(obs)
    with th.no_grad():
        for p in network.columns[frozen].parameters():
            p.copy_(th.randn_like(p))
    assert (network(obs) - before).abs().max() > 1e-3


def test_an_independent_column_reads_no_other() -> None:
    network = build(IndependentNetwork, 3)
    assert all(len(column.laterals) == 0 for column in network.columns)
    obs = observations(2, 2)
    before = network(obs)
    with th.no_grad():
        for column in network.columns[:2]:
            for p in column.parameters():
                p.copy_(th.randn_like(p))
    assert th.equal(network(obs), before)


def test_every_layer_above_the_first_has_a_lateral_with_a_scale_for_each_source() -> None:
    network = build(ProgressiveNetwork, 3)
    assert [len(column.laterals) for column in network.columns] == [0, 2, 2]
    assert [tuple(lateral.scales.shape) for lateral in network.columns[2].laterals] == [(2,), (2,)]
    network(observations(2)).sum().backward()
    for lateral in network.columns[2].laterals:
        assert (lateral.scales.grad != 0).all()


@pytest.mark.parametrize("constant", [False, True])
def test_a_derivative_by_the_inputs_goes_through_the_frozen_columns_too(constant: bool) -> None:
    """As an action's value is differentiated by the action: through what laterals read as through its own layers."""
    network = build(ProgressiveNetwork, 3)
    with th.no_grad():
        for lateral in network.columns[2].laterals:
            lateral.out.weight.mul_(10)  # begun at a tenth of the layer's gain, as laterals that have learned
    x = th.randn(4, 5, generator=th.Generator().manual_seed(3))
    found = []
    for forward in (network.forward_slot, lambda x, slot: network.forward_common(x, slot, constant=constant)):
        inputs = x.clone().requires_grad_()
        forward(inputs, 2).sum().backward()
        assert inputs.grad is not None
        found.append(inputs.grad)
    th.testing.assert_close(found[0], found[1])


def test_a_column_computes_the_papers_equation() -> None:
    """h_i = tanh(W_i h_{i-1} + U_i tanh(V_i α_i h_{i-1}^{(<k)})), written out for two columns."""
    network = build(ProgressiveNetwork, 2)
    x = th.randn(4, 5, generator=th.Generator().manual_seed(3))
    first, second = network.columns
    h1 = th.tanh(first.layers[0](x))
    h2 = th.tanh(first.layers[1](h1))

    def lateral(i: int, h: th.Tensor) -> th.Tensor:
        part = second.laterals[i]
        return part.out(th.tanh(part.project(part.scales[0] * h)))

    g1 = th.tanh(second.layers[0](x))
    g2 = th.tanh(second.layers[1](g1) + lateral(0, h1))
    expected = second.layers[2](g2) + lateral(1, h2)
    assert th.allclose(network.forward_slot(x, 1), expected, rtol=1e-5, atol=1e-6)


def test_shared_parameters_are_the_trunk_alone() -> None:
    assert [name for name, _ in build(MultiHeadNetwork, 2).shared_parameters()] == [
        "trunk.0.weight", "trunk.0.bias", "trunk.1.weight", "trunk.1.bias",
    ]  # fmt: skip
    assert list(build(ProgressiveNetwork, 2).shared_parameters()) == []


@pytest.mark.parametrize("later_width", [1.0, 0.4])
def test_what_frozen_columns_compute_can_be_handed_in(later_width: float) -> None:
    network = build(partial(ProgressiveNetwork, later_width=later_width), 3)
    x = observations(2, 2, 2)[:, :-1]
    assert network.precompute(x, 0) is None  # the first column reads no other
    for slot in (1, 2):
        precomputed = network.precompute(x, slot)
        assert precomputed.shape[0] == len(x)
        out = network.forward_precomputed(x, slot, precomputed)
        assert th.allclose(out, network.forward_slot(x, slot), rtol=1e-5, atol=1e-6)
    network.requires_grad_(True)
    assert network.precompute(x, 2) is None  # columns that train have to be computed anew


@EVERY
def test_other_parameters_can_be_put_in_the_place_of_its_own(network_class: Callable[..., SlotNetwork]) -> None:
    """As methods do that keep a policy as it was: nothing that a network notes of its weights outlives them."""
    network, obs = build(network_class, 3), observations(2, 2, 1)
    before = network(obs).detach()
    kept = {name: p.detach().clone() for name, p in network.named_parameters()}
    with th.no_grad():
        for p in network.parameters():
            p.mul_(1.5)
    assert not th.allclose(network(obs), before, atol=1e-3)
    assert th.allclose(th.func.functional_call(network, kept, (obs,)), before, atol=1e-6)
    assert not th.allclose(network(obs), before, atol=1e-3)


def test_a_class_that_computes_otherwise_takes_none_of_the_shorter_ways() -> None:
    class Scaled(ProgressiveNetwork):
        def activations(self, x: th.Tensor, slot: int) -> tuple[th.Tensor, ...]:
            return super().activations(2.0 * x, slot)

    network = build(Scaled, 2)
    obs = observations(1, 1)
    assert network.precompute(obs[:, :-1], 1) is None
    assert network.plain_layers(0) is None
    assert th.equal(network(obs), network.forward_slot(obs[:, :-1], 1))
