"""Progressive networks' control: columns that read random columns, of the same size, in the trained ones' place."""

from __future__ import annotations

import numpy as np
import torch as th
from support.models import tiny_learner, train_stage

from clrobot.agents.methods.progressive import Progressive
from clrobot.agents.networks.progressive import ProgressiveNetwork
from clrobot.agents.networks.randomly_reading import RandomlyReadingNetwork


def built(slots: int) -> RandomlyReadingNetwork:
    th.manual_seed(0)
    network = RandomlyReadingNetwork(5, (8, 6), 3, head_gain=1.0)
    for _ in range(slots - 1):
        network.add_slot()
    return network


def outputs(network: ProgressiveNetwork) -> list[th.Tensor]:
    x = th.randn(4, 5, generator=th.Generator().manual_seed(1))
    return [network.forward_slot(x, slot) for slot in range(network.slots)]


def changed_by(network: RandomlyReadingNetwork, module: th.nn.Module) -> set[int]:
    before = outputs(network)
    with th.no_grad():
        for p in module.parameters():
            p.add_(0.5)
    return {k for k, (a, b) in enumerate(zip(before, outputs(network), strict=True)) if not th.equal(a, b)}


def test_a_later_column_reads_the_random_one_and_not_what_was_learned() -> None:
    assert changed_by(built(3), built(3).trained[0]) == set()  # another network's: nothing
    network = built(3)
    assert changed_by(network, network.trained[0]) == {0}
    assert changed_by(network, network.trained[1]) == {1}
    assert changed_by(network, network.columns[0]) == {1, 2}
    assert changed_by(network, network.columns[1]) == {2}
    assert changed_by(network, network.columns[2]) == {2}


def test_a_column_that_trained_acts_as_before_when_the_next_one_comes() -> None:
    network = built(1)
    for slots in (1, 2, 3):
        before = outputs(network)
        network.add_slot()
        assert all(th.equal(a, b) for a, b in zip(before, outputs(network)[:slots], strict=True))


def test_only_the_newest_column_trains_and_it_has_a_progressive_ones_size() -> None:
    network, progressive = built(3), ProgressiveNetwork(5, (8, 6), 3, head_gain=1.0)
    progressive.add_slot()
    progressive.add_slot()
    trainable = {name: p.numel() for name, p in network.named_parameters() if p.requires_grad}
    assert all(name.startswith("columns.2.") for name in trainable)
    assert trainable == {name: p.numel() for name, p in progressive.named_parameters() if p.requires_grad}
    assert [layer.weight.shape for layer in network.layers(0)] == [
        layer.weight.shape for layer in progressive.layers(0)
    ]


def test_it_is_a_setting_of_progressive_and_earlier_actions_stay_to_the_bit() -> None:
    method = Progressive(Progressive.Settings(reads="random"))
    learner = tiny_learner(**method.networks())
    assert isinstance(learner.policy.actor_net, RandomlyReadingNetwork)
    assert all(isinstance(network, RandomlyReadingNetwork) for network in learner.policy.critic_nets)
    obs = np.column_stack([np.random.default_rng(0).normal(size=(8, 23)), np.zeros(8)]).astype(np.float32)
    train_stage(learner, method, 0)
    before = learner.model.predict(obs, deterministic=True)[0]
    train_stage(learner, method, 1, task="button-press")
    np.testing.assert_array_equal(learner.model.predict(obs, deterministic=True)[0], before)
