"""Progress & Compress: who acts when, what a compression moves, and what the penalty does to the knowledge base."""

from __future__ import annotations

import numpy as np
import pytest
import torch as th
from support.models import collector, next_slot, same_bits, snapshot, tiny_learner, train_stage

from clrobot.agents.methods.progress_compress import ProgressCompress
from clrobot.agents.methods.shared.distillation_loss import behaviour, distillation_loss
from clrobot.agents.networks.knowledge_base import ProgressNetwork
from clrobot.agents.networks.multi_head import MultiHeadNetwork
from clrobot.agents.policies.ppo import PPOSlotPolicy


def build(slots: int, compressed: int) -> ProgressNetwork:
    th.manual_seed(0)
    network = ProgressNetwork(5, (8, 6), 3, head_gain=1.0)
    for _ in range(slots - 1):
        network.add_slot()
    network.compressed.fill_(compressed)
    return network


def method(**settings: float) -> ProgressCompress:
    tiny = {"compress_states": 400, "compress_steps": 150, "compress_batch": 64, "compress_rate": 0.03, "states": 100}
    return ProgressCompress(ProgressCompress.Settings(**(tiny | settings)))


def learner_of(method: ProgressCompress):
    return tiny_learner(**method.networks())


def test_the_active_column_reads_the_knowledge_base_as_a_progressive_column_does() -> None:
    network = build(2, 1)
    x = th.randn(4, 5)
    base, active = network.base, network.active
    h1 = th.tanh(base.trunk[0](x))
    h2 = th.tanh(base.trunk[1](h1))

    def lateral(i: int, h: th.Tensor) -> th.Tensor:
        part = active.laterals[i]
        return part.out(th.tanh(part.project(part.scales[0] * h)))

    g1 = th.tanh(active.layers[0](x))
    g2 = th.tanh(active.layers[1](g1) + lateral(0, h1))
    assert th.equal(network.forward_slot(x, 1), active.layers[2](g2) + lateral(1, h2))
    assert th.equal(network.forward_slot(x, 0), base.forward_slot(x, 0))


def test_compressed_slots_act_with_the_knowledge_base_alone() -> None:
    network = build(2, 2)
    obs = th.cat([th.randn(6, 5), th.tensor([0.0, 1, 1, 0, 7, 7])[:, None]], dim=1)
    before = network(obs)
    with th.no_grad():
        for p in network.active.parameters():
            p.copy_(th.randn_like(p))
    assert th.equal(network(obs), before)
    network.compressed.fill_(1)
    changed = (network(obs) != before).any(dim=1)
    assert changed.tolist() == [False, True, True, False, True, True]


def test_progress_trains_the_active_column_and_a_new_slot_keeps_its_hidden_layers() -> None:
    network = build(1, 1)
    assert {n.split(".")[0] for n, p in network.named_parameters() if p.requires_grad} == {"active"}
    before = snapshot(network)
    network.add_slot()
    assert {n.split(".")[0] for n, p in network.named_parameters() if p.requires_grad} == {"active"}
    after = snapshot(network)
    changed = {name for name, tensor in before.items() if not th.equal(after[name], tensor)}
    assert changed == {"active.layers.2.weight", "active.laterals.1.project.weight", "active.laterals.1.out.weight"}


def test_the_size_does_not_grow_but_for_heads() -> None:
    count = [sum(p.numel() for p in build(slots, 0).parameters()) for slots in (1, 2, 3)]
    assert count[1] - count[0] == count[2] - count[1] == 6 * 3 + 3


def test_a_compression_lowers_the_divergence_and_leaves_the_rest_alone() -> None:
    chosen = method()
    learner = learner_of(chosen)
    with th.no_grad():
        learner.policy.action_net.active.layers[-1].weight.normal_(generator=th.Generator().manual_seed(0))
    states = collector(learner, 0)(300).observations
    teacher = behaviour(learner.policy, states)
    network = learner.policy.action_net
    network.compressed.fill_(1)
    untaught = distillation_loss(learner.policy, teacher).item()
    network.compressed.fill_(0)
    rest = {n: t for n, t in snapshot(learner.policy).items() if ".base." not in n and "compressed" not in n}
    chosen.after_task(learner, 0, collector(learner, 0))
    assert int(network.compressed) == 1
    assert distillation_loss(learner.policy, teacher).item() < 0.25 * untaught  # a student of half the teacher's size
    after = snapshot(learner.policy)
    assert same_bits(rest, {name: after[name] for name in rest})
    assert not any(p.requires_grad for p in network.base.parameters())


def test_the_penalty_keeps_the_knowledge_base() -> None:
    """From one and the same state, a firmer λ lets the trunk move less and the first task drift less."""
    moved, drift = [], []
    for strength in (0.0, 1.0, 100.0):
        chosen = method(strength=strength)
        learner = learner_of(chosen)
        network = learner.policy.action_net
        for k in range(2):
            if k:
                next_slot(learner, k)
            with th.no_grad():
                network.active.layers[-1].weight.normal_(generator=th.Generator().manual_seed(k))
            if k == 1:
                old = collector(learner, 0)(200).observations
                before, trunk = behaviour(learner.policy, old), snapshot(network.base.trunk)
            chosen.before_task(learner, k)
            chosen.after_task(learner, k, collector(learner, k))
        after = snapshot(network.base.trunk)
        moved.append(sum(float((after[n] - t).square().sum()) for n, t in trunk.items()))
        drift.append(distillation_loss(learner.policy, before).item())
    assert moved[0] > moved[1] > moved[2] > 0
    assert drift[0] > drift[1] > drift[2]


def test_training_moves_the_active_column_and_finished_heads_stay() -> None:
    chosen = method(compress_steps=20)
    learner = learner_of(chosen)
    train_stage(learner, chosen, 0, iterations=1)
    first = snapshot(learner.policy.action_net)
    train_stage(learner, chosen, 1, task="button-press", iterations=1)
    second = snapshot(learner.policy.action_net)
    same = {name for name, tensor in first.items() if th.equal(second[name], tensor)}
    assert {"base.heads.0.weight", "base.heads.0.bias"} <= same
    assert "base.trunk.0.weight" not in same
    assert "active.layers.0.weight" not in same
    assert type(learner.policy.value_net) is MultiHeadNetwork
    # What the method remembers: F and θ* of the knowledge base's trunk, whatever the number of tasks.
    trunk = sum(p.numel() for p in learner.policy.action_net.base.trunk.parameters())
    assert chosen.memory_bytes() == chosen.memory_bound(learner, 9) == 2 * 4 * trunk


@pytest.mark.parametrize("compressed", [False, True])
def test_a_policy_built_anew_acts_the_same(compressed: bool) -> None:
    chosen = method(compress_steps=5)
    learner = learner_of(chosen)
    chosen.after_task(learner, 0, collector(learner, 0))
    next_slot(learner, 1)
    if compressed:
        chosen.after_task(learner, 1, collector(learner, 1))
    policy = learner.policy
    again = PPOSlotPolicy(
        policy.observation_space,
        policy.action_space,
        lambda _: 0.0,
        **chosen.networks(),
        widths=(8, 8),
        slots=2,
    )
    assert [n for n, p in policy.named_parameters() if p.requires_grad] == [
        n for n, p in again.named_parameters() if p.requires_grad
    ]
    again.load_state_dict(policy.state_dict())
    x = np.random.default_rng(0).normal(size=(6, policy.action_net.inputs))
    obs = np.column_stack([x, [0, 1, 5, 0, 1, 5]]).astype(np.float32)
    np.testing.assert_array_equal(
        policy.predict(obs, deterministic=True)[0], again.predict(obs, deterministic=True)[0]
    )
