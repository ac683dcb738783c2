"""PackNet: how many weights a task keeps, who reads them, and that nothing moves them afterwards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch as th
from support.models import next_slot, same_bits, snapshot, tiny_env, tiny_learner, train_stage
from support.trainings import settings

from clrobot.agents.methods.packnet import PackNet
from clrobot.agents.methods.shared.composite import Composite
from clrobot.agents.methods.shared.gradient_hooks import gradient_hooks
from clrobot.agents.methods.shared.plasticity import Plasticity, PlasticitySettings
from clrobot.agents.networks.multi_head import MultiHeadNetwork
from clrobot.agents.networks.packed import FREE, PackedNetwork, owner_of
from clrobot.agents.policies.ppo import PPOSlotPolicy
from clrobot.errors import UserError
from clrobot.experiment.config import make_config
from clrobot.runs.score_book import read_scores
from clrobot.training.training import train
from clrobot.training.untrained import untrained

SHAPE = (5, (8, 6), 3)


def packed(*keeps: float, layer_norm: bool = False) -> PackedNetwork:
    """A network with a slot packed for each of `keeps`, whose weights are redrawn before each packing."""
    th.manual_seed(0)
    network = PackedNetwork(*SHAPE, head_gain=1.0, layer_norm=layer_norm)
    for k, keep in enumerate(keeps):
        if k:
            network.add_slot()
        with th.no_grad():
            for parameter, mask in network.trainable():
                parameter.copy_(th.where(mask, th.randn_like(parameter), parameter))
        network.pack(keep)
    return network


def test_before_anything_is_packed_it_is_a_multi_head_network() -> None:
    th.manual_seed(0)
    plain = MultiHeadNetwork(*SHAPE, head_gain=1.0)
    th.manual_seed(0)
    network = PackedNetwork(*SHAPE, head_gain=1.0)
    x = th.randn(4, 5)
    assert th.equal(network.forward_slot(x, 0), plain.forward_slot(x, 0))


def test_packing_keeps_the_largest_weights_and_counts_exactly() -> None:
    th.manual_seed(0)
    network = PackedNetwork(2, (2,), 1, head_gain=1.0)
    with th.no_grad():
        network.trunk[0].weight.copy_(th.tensor([[0.1, -3.0], [2.0, -0.2]]))
    network.pack(0.5)
    assert network.owners(0).tolist() == [[FREE, 1], [1, FREE]]
    assert network.trunk[0].weight.tolist() == [[0.0, -3.0], [2.0, 0.0]]
    network.add_slot()
    with th.no_grad():
        network.trunk[0].weight[0, 0] = -0.5
    network.pack(0.5)  # of the two that are left, one
    assert network.owners(0).tolist() == [[2, 1], [1, FREE]]


def test_each_layer_keeps_its_own_share() -> None:
    network = packed(0.3, 0.5)
    for layer, size in ((0, 5 * 8), (1, 8 * 6)):
        owners = network.owners(layer)
        first = round(0.3 * size)
        second = round(0.5 * (size - first))
        assert [int((owners == k).sum()) for k in (1, 2, FREE)] == [first, second, size - first - second]


def test_the_shares_of_unknown_many_tasks_leave_room_that_falls_as_one_over_k() -> None:
    """With keep = 1/4: 1/4, 1/5, 1/6, … of what is free, which leaves 3/4, 3/5, 3/6, … of all."""
    method = PackNet(PackNet.Settings(keep=0.25))
    learner = tiny_learner(**method.networks(), widths=(40, 40))
    free = []
    for k in range(4):
        learner.begin_slot((k,), tiny_env(slot=k), 64)
        method.before_phase(learner, k, "train")
        method.before_phase(learner, k, "retrain")
        free.append(float((learner.policy.action_net.owners(1) == FREE).float().mean()))
    assert free == pytest.approx([3 / 4, 3 / 5, 3 / 6, 3 / 7], abs=1e-3)


@pytest.mark.parametrize("tasks", [1, 4])
def test_where_it_is_known_how_many_tasks_come_each_owns_as_many_weights(tasks: int) -> None:
    """Of 40 · 40 weights, 1/N each, and the last one leaves none."""
    method = PackNet(PackNet.Settings(tasks=tasks))
    learner = tiny_learner(**method.networks(), widths=(40, 40))
    for k in range(tasks):
        learner.begin_slot((k,), tiny_env(slot=k), 64)
        method.before_phase(learner, k, "retrain")
    owners = learner.policy.action_net.owners(1)
    assert [int((owners == owner_of(k)).sum()) for k in range(tasks)] == [1600 // tasks] * tasks
    assert not (owners == FREE).any()


def test_fewer_tasks_than_the_curriculum_has_are_refused_in_a_sentence() -> None:
    config = make_config(method="packnet", packnet={"tasks": 2})
    with pytest.raises(UserError, match=r"^--packnet.tasks is 2, and the curriculum has 3 tasks; give 3, or 0"):
        untrained(config)
    assert PackNet(PackNet.Settings(tasks=3)).why_not_here("ppo", 3) is None
    assert PackNet(PackNet.Settings()).why_not_here("ppo", 300) is None


def test_free_weights_can_be_drawn_anew_and_nothing_else_is() -> None:
    """As a new layer's, orthogonal of gain √2, in the free places; without it they stay the zeros of pruning."""
    for free, drawn in (("zeros", False), ("drawn", True)):
        method = PackNet(PackNet.Settings(free=free))
        learner = tiny_learner(**method.networks())
        train_stage(learner, method, 0)
        old = np.column_stack([np.random.default_rng(0).normal(size=(4, 23)), np.zeros(4)]).astype(np.float32)
        acts = learner.model.predict(old, deterministic=True)[0]
        next_slot(learner, 1)
        before = snapshot(learner.policy.action_net)
        method.before_task(learner, 1)
        after = snapshot(learner.policy.action_net)
        places = {name: before[name] != after[name] for name in before if not th.equal(before[name], after[name])}
        assert set(places) == ({"trunk.0.weight", "trunk.1.weight"} if drawn else set())
        for i in (0, 1) if drawn else ():
            assert th.equal(places[f"trunk.{i}.weight"], learner.policy.action_net.owners(i) == FREE)
        np.testing.assert_array_equal(learner.model.predict(old, deterministic=True)[0], acts)


@pytest.mark.usefixtures("quick_training")
def test_the_dip_of_pruning_is_outside_the_learning_curve(tmp_path: Path) -> None:
    """Eleven points in 640 steps; pruning ends the first 384: seven of them, all before it; and then the end."""
    evaluation = {"episodes": 2, "curve_points": 9, "curve_episodes": 2}
    run = train(make_config(**settings("packnet") | {"steps": 640, "evaluation": evaluation}), tmp_path / "run")
    scores = [score for score in read_scores(run.scores_file) if score.stage == 1]
    assert [score.step for score in scores if score.step < 640] == [0, 64, 128, 192, 256, 320, 384]
    finetune = train(
        make_config(**settings("finetune") | {"steps": 640, "evaluation": evaluation}), tmp_path / "other"
    )
    other = [score for score in read_scores(finetune.scores_file) if score.stage == 1]
    assert [score.step for score in other if score.step < 640] == [64 * n for n in range(10)]
    # The last one is the network before it was pruned: fine-tuning's, which is the same until then.
    assert scores[:7] == other[:7]


def test_a_slot_reads_its_own_and_earlier_weights_alone() -> None:
    network = packed(0.3, 0.5)
    network.add_slot()
    x = th.randn(4, 5)
    before = [network.forward_slot(x, k) for k in range(3)]
    for owner, changed in ((1, {0, 1, 2}), (2, {1, 2}), (FREE, {2})):
        with th.no_grad():
            saved = network.trunk[0].weight.clone()
            network.trunk[0].weight[network.owners(0) == owner] += 0.5
            after = [network.forward_slot(x, k) for k in range(3)]
            network.trunk[0].weight.copy_(saved)
        assert {k for k in range(3) if not th.equal(before[k], after[k])} == changed


def test_masks_hold_in_a_mixed_batch() -> None:
    network = packed(0.3, 0.5)
    network.add_slot()
    slots = [2, 0, 1, 0, 2]
    obs = th.cat([th.randn(5, 5), th.tensor(slots, dtype=th.float32)[:, None]], dim=1)
    mixed = network(obs)
    for i, slot in enumerate(slots):
        th.testing.assert_close(mixed[i], network.forward_slot(obs[i : i + 1, :-1], slot)[0])
    loss = network(obs[[1, 3]]).square().sum()
    loss.backward()
    for layer in (0, 1):
        assert (network.trunk[layer].weight.grad[network.owners(layer) != 1] == 0).all()


def masks_of(network: PackedNetwork) -> dict[str, th.Tensor]:
    names = {parameter: name for name, parameter in network.named_parameters()}
    return {names[parameter]: mask for parameter, mask in network.trainable()}


def test_what_may_change_is_the_free_weights_then_the_slots_own() -> None:
    network = packed(layer_norm=True)
    assert all(mask.all() for _, mask in network.trainable())
    assert network.frozen() == 0
    network = packed(0.3, layer_norm=True)
    masks = masks_of(network)
    assert th.equal(masks["trunk.0.weight"], network.owners(0) == 1)
    assert masks["trunk.0.bias"].all()
    assert masks["norms.1.weight"].all()
    network.add_slot()
    masks = masks_of(network)
    assert th.equal(masks["trunk.0.weight"], network.owners(0) == FREE)
    assert not masks["trunk.0.bias"].any()
    assert not masks["norms.1.weight"].any()
    assert network.frozen() == sum(int((~m).sum()) for m in masks.values())


def observations(learner, slot: int) -> np.ndarray:
    x = np.random.default_rng(0).normal(size=(16, learner.policy.action_net.inputs))
    return np.column_stack([x, np.full(16, slot)]).astype(np.float32)


@pytest.mark.parametrize("keep_moments", [False, True])
def test_earlier_actions_are_bit_identical_after_later_stages(keep_moments: bool) -> None:
    """Also with Adam's moments carried over, which move weights that have no gradient."""
    method = PackNet(PackNet.Settings(keep=0.4))
    learner = tiny_learner(**method.networks(), layer_norm=True)
    actions, frozen = [], []
    for k, task in enumerate(("reach", "button-press", "drawer-open")):
        train_stage(learner, method, k, task=task, keep_moments=keep_moments)
        actions.append(learner.model.predict(observations(learner, k), deterministic=True)[0])
        network = learner.policy.action_net
        frozen.append([network.trunk[i].weight[network.owners(i) == owner_of(k)].clone() for i in (0, 1)])
    for k in range(3):
        again, _ = learner.model.predict(observations(learner, k), deterministic=True)
        np.testing.assert_array_equal(again, actions[k])
        for i in (0, 1):
            owned = network.owners(i) == owner_of(k)
            assert owned.any()
            assert th.equal(network.trunk[i].weight[owned], frozen[k][i])
    free = network.owners(0) == FREE
    assert free.any()
    assert (network.trunk[0].weight[free] == 0).all()
    assert not np.array_equal(actions[0], actions[1])


def test_plasticity_options_leave_finished_tasks_alone() -> None:
    options = PlasticitySettings(l2_init=1.0, shrink=0.5, perturb=0.5, redo_every=1, redo_threshold=0.9)
    packnet = PackNet(PackNet.Settings())
    method = Composite([Plasticity(options), packnet])
    learner = tiny_learner(**method.networks())
    actions = []
    for k in range(2):
        train_stage(learner, method, k)
        actions.append(learner.model.predict(observations(learner, k), deterministic=True)[0])
    np.testing.assert_array_equal(learner.model.predict(observations(learner, 0), deterministic=True)[0], actions[0])


def test_momentum_would_move_frozen_weights_if_they_were_not_put_back() -> None:
    """The trap: with gradients masked alone, Adam's moments of the time before pruning still move them."""
    method = PackNet(PackNet.Settings())
    learner = tiny_learner(**method.networks())
    train_stage(learner, method, 0)
    learner.begin_slot((1,), tiny_env("button-press", 1), 128, keep_moments=True)
    network = learner.policy.action_net
    before = network.trunk[0].weight.detach().clone()
    owned = network.owners(0) == 1

    class GradientsAlone(PackNet):
        def after_update(self, learner, role) -> None:
            pass

    with gradient_hooks(learner, GradientsAlone(method.settings)):
        learner.model.learn(128, reset_num_timesteps=False)
    assert not th.equal(network.trunk[0].weight[owned], before[owned])


def test_the_kept_weights_are_retrained_and_the_critic_is_free() -> None:
    method = PackNet(PackNet.Settings())
    learner = tiny_learner(**method.networks())
    train_stage(learner, method, 0)
    learner.begin_slot((1,), tiny_env("button-press", 1), 128)
    method.before_task(learner, 1)
    method.before_phase(learner, 1, "train")
    method.before_phase(learner, 1, "retrain")
    network = learner.policy.action_net
    mine = network.owners(0) == 2
    # The free weights were zero and untrained, so the slot starts from zeros here.
    before, critic = network.trunk[0].weight.detach().clone(), snapshot(learner.policy.value_net)
    with gradient_hooks(learner, method):
        learner.model.learn(64, reset_num_timesteps=False)
    assert (network.trunk[0].weight[mine] != before[mine]).float().mean() > 0.5  # some inputs are constantly zero
    assert th.equal(network.trunk[0].weight[~mine], before[~mine])
    assert type(learner.policy.value_net) is MultiHeadNetwork
    after = snapshot(learner.policy.value_net)
    assert not th.equal(after["trunk.0.weight"], critic["trunk.0.weight"])


def test_a_policy_built_anew_acts_the_same_in_the_middle_of_a_stage() -> None:
    """Owners, and whether the newest slot is packed, are in the weights."""
    method = PackNet(PackNet.Settings())
    learner = tiny_learner(**method.networks())
    train_stage(learner, method, 0)
    next_slot(learner, 1)
    method.before_task(learner, 1)
    for phase in ("train", "retrain"):
        method.before_phase(learner, 1, phase)
        with gradient_hooks(learner, method):
            learner.model.learn(64, reset_num_timesteps=False)
        policy = learner.policy
        again = PPOSlotPolicy(
            policy.observation_space,
            policy.action_space,
            lambda _: 0.0,
            **method.networks(),
            widths=(8, 8),
            slots=2,
        )
        assert [n for n, p in policy.named_parameters() if p.requires_grad] == [
            n for n, p in again.named_parameters() if p.requires_grad
        ]
        again.load_state_dict(policy.state_dict())
        assert same_bits(snapshot(policy), snapshot(again))
        for slot in (0, 1, 5):
            obs = observations(learner, slot)
            np.testing.assert_array_equal(
                policy.predict(obs, deterministic=True)[0], again.predict(obs, deterministic=True)[0]
            )
        assert again.parameter_counts() == policy.parameter_counts()
        masks = zip(policy.action_net.trainable(), again.action_net.trainable(), strict=True)
        assert all(th.equal(a, b) for (_, a), (_, b) in masks)


def test_the_phases_share_out_the_steps() -> None:
    assert PackNet(PackNet.Settings()).phases(100_001) == [("train", 60_001, True), ("retrain", 40_000, False)]
