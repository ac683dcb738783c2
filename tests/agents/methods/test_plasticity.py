"""Options against the loss of plasticity, and the measure of dormant units."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch as th
from support.models import ITERATION, collector, next_slot, tiny_learner
from support.outcomes import outcome, stopped
from support.trainings import TINY, settings

from clrobot.agents.algorithms.role import Role
from clrobot.agents.methods.shared.gradient_hooks import gradient_hooks
from clrobot.agents.methods.shared.plasticity import Plasticity, PlasticitySettings, dormant_share, dormant_units
from clrobot.agents.methods.shared.unit_measures import LayerMeasures, effective_rank, layer_measures
from clrobot.agents.networks.knowledge_base import ProgressNetwork
from clrobot.agents.networks.multi_head import MultiHeadNetwork
from clrobot.agents.networks.one_head import OneHeadNetwork
from clrobot.agents.networks.progressive import IndependentNetwork, ProgressiveNetwork
from clrobot.agents.networks.slot_network import SlotNetwork
from clrobot.experiment.config import make_config
from clrobot.experiment.method import make_method
from clrobot.runs.folder import RunFolder
from clrobot.runs.method_files import load_state
from clrobot.training.resuming import resume
from clrobot.training.training import train


def option(**settings: float) -> Plasticity:
    return Plasticity(PlasticitySettings(**settings))


def test_dormant_units_worked_out_by_hand() -> None:
    network = MultiHeadNetwork(1, (4,), 1, 1.0)
    with th.no_grad():
        # |h| = tanh(|w| x): 0, 0.0100, 0.4621, 0.7616 at x = 1; their mean is 0.3084.
        network.trunk[0].weight.copy_(th.tensor([[0.0], [0.01], [-0.5], [1.0]]))
        network.trunk[0].bias.zero_()
    x = th.ones(3, 1)
    (mask,) = dormant_units(network, x, 0, threshold=0.025)
    assert mask.tolist() == [True, False, False, False]  # 0.0100 / 0.3084 = 0.0324
    (mask,) = dormant_units(network, x, 0, threshold=0.033)
    assert mask.tolist() == [True, True, False, False]
    assert dormant_share(network, x, 0) == 0.25


def test_shrink_and_perturb_leaves_the_first_task_alone_and_then_shrinks_what_trains() -> None:
    learner = tiny_learner()
    plasticity = option(shrink=0.5)
    before = learner.policy.actor_net.trunk[0].weight.detach().clone()
    plasticity.before_start(learner, 0)
    assert th.equal(learner.policy.actor_net.trunk[0].weight, before)
    next_slot(learner, 1)
    heads = [head.weight.detach().clone() for head in learner.policy.actor_net.heads]
    plasticity.before_start(learner, 1)
    th.testing.assert_close(learner.policy.actor_net.trunk[0].weight, 0.5 * before)
    assert all(th.equal(a, b.weight) for a, b in zip(heads, learner.policy.actor_net.heads, strict=True))


def test_perturbing_adds_fresh_weights_of_the_given_scale() -> None:
    learner = tiny_learner(widths=(64, 64))
    next_slot(learner, 1)
    before = learner.policy.actor_net.trunk[1].weight.detach().clone()
    option(perturb=0.1).before_start(learner, 1)
    added = (learner.policy.actor_net.trunk[1].weight - before).detach()
    # An orthogonal 64 x 64 matrix of gain √2 has the Frobenius norm √2 · √64.
    assert float(added.norm()) == pytest.approx(0.1 * 2**0.5 * 8, rel=1e-4)


def test_a_column_that_was_just_drawn_is_not_shrunk() -> None:
    learner = tiny_learner(partial(ProgressNetwork, reset_column=True))
    next_slot(learner, 1)
    network = learner.policy.actor_net
    before = [p.detach().clone() for layer in network.layers(1)[:-1] for p in layer.parameters()]
    assert before
    option(shrink=0.5).before_start(learner, 1)
    after = [p for layer in network.layers(1)[:-1] for p in layer.parameters()]
    assert all(th.equal(a, b) for a, b in zip(before, after, strict=True))


def test_frozen_columns_are_never_touched() -> None:
    learner = tiny_learner(ProgressiveNetwork)
    next_slot(learner, 1)
    frozen = [p.detach().clone() for p in learner.policy.actor_net.columns[0].parameters()]
    plasticity = option(shrink=0.5, perturb=0.1, l2_init=0.1, redo_every=1, redo_threshold=1.0)
    plasticity.before_start(learner, 1)
    plasticity.before_task(learner, 1)
    with gradient_hooks(learner, plasticity):
        learner.model.learn(ITERATION, reset_num_timesteps=False)
    after = learner.policy.actor_net.columns[0].parameters()
    assert all(th.equal(a, b) for a, b in zip(frozen, after, strict=True))


def test_the_pull_towards_the_initial_weights_is_the_gradient_of_its_penalty() -> None:
    learner = tiny_learner()
    plasticity = option(l2_init=0.3)
    plasticity.before_task(learner, 0)
    weight = learner.policy.actor_net.trunk[0].weight
    initial = weight.detach().clone()
    with th.no_grad():
        weight.add_(0.25)
    for p in learner.policy.parameters():
        p.grad = th.zeros_like(p)
    plasticity.adjust_gradients(learner, Role.ACTOR | Role.CRITIC)
    th.testing.assert_close(weight.grad, 0.3 * (weight.detach() - initial))
    assert float(learner.policy.actor_net.heads[0].weight.grad.abs().max()) == 0.0
    next_slot(learner, 1)  # the trunk's anchor stays where the first task began
    plasticity.before_task(learner, 1)
    for p in learner.policy.parameters():
        p.grad = th.zeros_like(p)
    plasticity.adjust_gradients(learner, Role.ACTOR | Role.CRITIC)
    th.testing.assert_close(weight.grad, 0.3 * (weight.detach() - initial))


COLUMNS: dict[str, Any] = {
    "progressive": ProgressiveNetwork,
    "progressive, later ones narrower": partial(ProgressiveNetwork, later_width=0.5),
    "independent": IndependentNetwork,
}


@pytest.mark.parametrize("network_class", COLUMNS.values(), ids=COLUMNS)
def test_a_column_is_pulled_towards_its_own_initial_weights(network_class: type[SlotNetwork]) -> None:
    learner = tiny_learner(network_class)
    plasticity = option(l2_init=0.3)
    plasticity.before_task(learner, 0)
    next_slot(learner, 1)
    plasticity.before_task(learner, 1)
    networks = [learner.policy.actor_net, *learner.policy.critic_nets]
    hidden = [p for network in networks for layer in network.layers(1)[:-1] for p in layer.parameters()]
    moved = [th.full_like(p, 0.25) for p in hidden]
    for p, change in zip(hidden, moved, strict=True):
        p.grad = th.zeros_like(p)
        with th.no_grad():
            p.add_(change)
    plasticity.adjust_gradients(learner, Role.ACTOR | Role.CRITIC)
    for p, change in zip(hidden, moved, strict=True):
        th.testing.assert_close(p.grad, 0.3 * change)
    kept = sum(p.numel() * p.element_size() for p in hidden) + 8  # and in which task they were noted
    assert plasticity.memory_bytes() == kept <= plasticity.memory_bound(learner, 2)


def test_a_column_that_is_drawn_anew_is_pulled_towards_what_was_drawn() -> None:
    """It has the names of the one before, whose initial weights are none of its own."""
    column: Any = partial(ProgressNetwork, reset_column=True)
    learner, pull = tiny_learner(column, critic_class=MultiHeadNetwork), option(l2_init=1.0)
    pull.before_task(learner, 0)
    learner.model.learn(ITERATION)
    next_slot(learner, 1)
    pull.before_task(learner, 1)
    networks = {0: learner.policy.actor_net, 1: learner.policy.value_net}
    own = [name for name in pull._initial if name.startswith("0.active.")]
    assert own
    for name, initial in pull._initial.items():
        number, _, parameter = name.partition(".")
        now = dict(networks[int(number)].named_parameters())[parameter]
        assert th.equal(initial, now) == (name in own), name


def test_redo_gives_dormant_units_fresh_inputs_and_no_output() -> None:
    learner = tiny_learner()
    learner.model.learn(ITERATION)
    net = learner.policy.actor_net
    with th.no_grad():
        net.trunk[0].weight[3] = 0.0
        net.trunk[0].bias[3] = 0.0
    learner.policy.optimizer.state[net.trunk[0].weight]["exp_avg"].fill_(1.0)
    others = net.trunk[0].weight[[0, 1, 2]].detach().clone()
    option(redo_every=1).after_update(learner, Role.ACTOR | Role.CRITIC)
    assert float(net.trunk[0].weight[3].detach().norm()) > 0.1
    assert float(net.trunk[1].weight[:, 3].detach().abs().max()) == 0.0
    moments = learner.policy.optimizer.state[net.trunk[0].weight]["exp_avg"]
    assert float(moments[3].abs().max()) == 0.0
    assert float(moments[0].min()) == 1.0
    assert th.equal(net.trunk[0].weight[[0, 1, 2]], others)


def test_redo_leaves_a_unit_alone_that_an_earlier_task_lives_on() -> None:
    """Unit 3 reads nothing but what the first task's states have and the second's have not."""
    learner = tiny_learner()
    learner.model.learn(ITERATION)
    plasticity = option(redo_every=1)
    plasticity.after_task(learner, 0, collector(learner, 0))
    inputs = learner.policy.actor_net.inputs
    (kept,) = plasticity._seen.values()
    kept.states.zero_()[:, 0] = 1.0
    next_slot(learner, 1)
    plasticity.before_task(learner, 1)
    learner.model.learn(ITERATION, reset_num_timesteps=False)
    learner.model.rollout_buffer.observations[..., 0] = 0.0
    net = learner.policy.actor_net
    with th.no_grad():
        for unit in (3, 5):
            net.trunk[0].weight[unit], net.trunk[0].bias[unit] = th.zeros(inputs), 0.0
        net.trunk[0].weight[3, 0] = 2.0
    before, head = net.trunk[0].weight.detach().clone(), net.forward_slot(kept.states, 0).detach()
    plasticity.after_update(learner, Role.ACTOR | Role.CRITIC)
    after = net.trunk[0].weight.detach()
    assert th.equal(after[3], before[3])
    assert not th.equal(after[5], before[5]), "dormant in both: renewed"
    th.testing.assert_close(net.forward_slot(kept.states, 0).detach(), head)
    # Judged by the newest task's states alone, as it was, the first task's unit would be taken from it.
    alone = option(redo_every=1)
    alone.after_update(learner, Role.ACTOR | Role.CRITIC)
    assert not th.equal(net.trunk[0].weight[3].detach(), before[3])


def test_with_one_head_redo_asks_every_earlier_task() -> None:
    """Task 0's states too, though the newest head is its own, and task 1's through the one head there is."""
    learner = tiny_learner(OneHeadNetwork)
    learner.model.learn(ITERATION)
    net, plasticity = learner.policy.actor_net, option(redo_every=1)
    for k in range(2):
        plasticity.after_task(learner, k, collector(learner, k))
        next_slot(learner, k + 1)
        plasticity.before_task(learner, k + 1)
        learner.model.learn(ITERATION, reset_num_timesteps=False)
    plasticity._seen[0].states.zero_()[:, 0] = 1.0
    plasticity._seen[1].states[:, 0] = 0.0
    learner.model.rollout_buffer.observations[..., 0] = 0.0
    with th.no_grad():
        for unit in (3, 5):
            net.trunk[0].weight[unit], net.trunk[0].bias[unit] = th.zeros(net.inputs), 0.0
        net.trunk[0].weight[3, 0] = 2.0  # awake in the first task's states alone
    before = net.trunk[0].weight.detach().clone()
    plasticity.after_update(learner, Role.ACTOR | Role.CRITIC)
    assert th.equal(net.trunk[0].weight[3], before[3])
    assert not th.equal(net.trunk[0].weight[5], before[5])


@pytest.mark.usefixtures("quick_training")
@pytest.mark.parametrize("method", ["si", "packnet"])
def test_an_option_without_redo_goes_with_what_acts_after_an_update(method: str, tmp_path: Path) -> None:
    run = train(make_config(**settings(method) | {"plasticity": {"l2_init": 1e-3}}), tmp_path / "run")
    assert run.read_metrics().stages_done == 3


def test_the_states_that_redo_keeps_are_saved_and_counted() -> None:
    learner = tiny_learner()
    learner.model.learn(ITERATION)
    plasticity = option(redo_every=5, l2_init=0.1)
    plasticity.before_task(learner, 0)
    plasticity.after_task(learner, 0, collector(learner, 0))
    state = plasticity.state_dict()
    assert state["seen.0.states"].shape == (ITERATION, learner.policy.actor_net.inputs)
    assert 0 < plasticity.memory_bytes() <= plasticity.memory_bound(learner, 1)
    again = option(redo_every=5, l2_init=0.1)
    again.load_state_dict(state)
    assert again.state_dict().keys() == state.keys()
    assert all(th.equal(again.state_dict()[name], tensor) for name, tensor in state.items())


# What can be seen of units -------------------------------------------------------------------------------


def test_layer_measures_worked_out_by_hand() -> None:
    network = MultiHeadNetwork(1, (4,), 1, 1.0)
    with th.no_grad():
        # Over x in -1 … 1: stuck at 1, nothing at all, both ends (saturated, and far from still), and a slope.
        network.trunk[0].weight.copy_(th.tensor([[0.0], [0.0], [1000.0], [0.5]]))
        network.trunk[0].bias.copy_(th.tensor([9.0, 0.0, 0.0, 0.0]))
    (layer,) = layer_measures(network, th.linspace(-1, 1, 100)[:, None], 0)
    assert layer == LayerMeasures(width=4, dormant=0.25, saturated=0.5, still=0.5, effective_rank=3)


def test_a_layer_that_is_saturated_is_not_dormant_and_that_is_why_both_are_reported() -> None:
    network = MultiHeadNetwork(3, (8, 8), 2, 1.0)
    with th.no_grad():
        network.trunk[1].bias.fill_(30.0)
    first, second = layer_measures(network, th.randn(200, 3, generator=th.Generator().manual_seed(0)), 0)
    assert (second.dormant, second.saturated, second.still, second.effective_rank) == (0.0, 1.0, 1.0, 1)
    assert (first.saturated, first.still) == (0.0, 0.0)
    assert first.effective_rank >= 3


@pytest.mark.parametrize("rank", [1, 3, 8])
def test_the_effective_rank_of_a_product_is_its_inner_dimension(rank: int) -> None:
    generator = th.Generator().manual_seed(rank)
    left, _ = th.linalg.qr(th.randn(50, rank, generator=generator))
    right, _ = th.linalg.qr(th.randn(8, rank, generator=generator))
    assert effective_rank(left @ right.T) == rank
    assert effective_rank(th.zeros(5, 3)) == 1


def test_options_that_are_off_leave_the_method_as_it_is() -> None:
    assert not option().is_on
    assert not option(reset_optimizer=False).is_on
    assert make_method(make_config(method="ewc")).name == "ewc"


@pytest.mark.usefixtures("quick_training")
def test_every_option_goes_through_the_whole_loop_with_a_method_and_is_reported(tmp_path) -> None:
    settings = TINY | {
        "method": "ewc",
        "ewc": {"states": 100},
        "plasticity": {"l2_init": 1e-3, "shrink": 0.9, "perturb": 0.01, "redo_every": 3},
        "network": {"widths": (8, 8), "layer_norm": True},
    }
    run = train(make_config(**settings), tmp_path / "run")
    metrics = run.read_metrics()
    assert [stage.stage for stage in metrics.per_stage] == [1, 2, 3]
    for record in metrics.per_stage:
        for layers in (record.units.actor, record.units.critic):
            assert [layer.width for layer in layers] == [8, 8]
            assert all(1 <= layer.effective_rank <= 8 for layer in layers)
    method = load_state(run.checkpoint(3))
    assert {name.split("/")[0] for name in method} == {"plasticity", "ewc"}
    task_inference = 3 * 4 * (23 + 23 * 23)
    assert sum(t.numel() * t.element_size() for t in method.values()) + task_inference == metrics.memory_bytes


@pytest.mark.usefixtures("quick_training")
def test_a_column_that_is_drawn_for_each_task_is_pulled_to_the_same_place_after_a_resume(tmp_path: Path) -> None:
    """In the third stage: a policy that is built anew has drawn other columns by then."""
    pulled: dict[str, Any] = {"plasticity": {"l2_init": 1e-2}, "progress-compress": {"column": "reset"}}
    whole = train(make_config(**settings("progress-compress") | pulled), tmp_path / "whole")
    run = stopped(tmp_path / "run", "progress-compress", 14, **pulled)
    assert RunFolder.open(run).stages() == [0, 1, 2]
    resume(run)
    assert outcome(run) == outcome(whole.path)


@pytest.mark.usefixtures("quick_training")
def test_narrower_columns_with_an_anchor_go_through_the_whole_loop_and_a_resume(tmp_path) -> None:
    pulled = {"plasticity": {"l2_init": 1e-3}, "progressive": {"later_width": 0.5}}
    whole = train(make_config(**settings("progressive") | pulled), tmp_path / "whole")
    run = stopped(tmp_path / "run", "progressive", 9, **pulled)
    assert RunFolder.open(run).stages() == [0, 1]
    resume(run)
    assert outcome(run) == outcome(whole.path)


def test_kept_states_of_another_shape_or_a_later_task_are_refused() -> None:
    learner = tiny_learner()
    size, actions = learner.observation_size - 1, learner.action_size
    for name, rows, width in (("seen.0", 3, size + 1), ("seen.1", 3, size), ("seen.0", 0, size)):
        plasticity = option(redo_every=1)
        state = {f"{name}.states": th.zeros(rows, width), f"{name}.actions": th.zeros(rows, actions)}
        plasticity.load_state_dict(state)
        with pytest.raises(ValueError, match=name):
            plasticity.before_task(learner, 0)
