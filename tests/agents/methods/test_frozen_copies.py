"""Frozen copies: nothing that is finished changes, and what trains trains as in fine-tuning."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from support.models import box_policy, same_bits, snapshot, tiny_learner, train_stage
from support.outcomes import WholeRuns
from support.trainings import settings

from clrobot.agents.methods.frozen_copies import FrozenCopies
from clrobot.agents.methods.shared.kept import bytes_beside
from clrobot.agents.methods.shared.plasticity import Plasticity, PlasticitySettings
from clrobot.agents.networks.copied import CopiedNetwork
from clrobot.experiment.build import leave_out_task_inference
from clrobot.experiment.config import make_config
from clrobot.results.scores import Score
from clrobot.runs.checkpoint import load_agent
from clrobot.runs.score_book import read_scores
from clrobot.training.training import train


def new() -> FrozenCopies:
    return FrozenCopies(FrozenCopies.Settings())


def built(slots: int, *, layer_norm: bool = False) -> CopiedNetwork:
    th.manual_seed(0)
    network = CopiedNetwork(5, (8, 6), 3, head_gain=1.0, layer_norm=layer_norm)
    for _ in range(slots - 1):
        network.add_slot()
    return network


@pytest.mark.parametrize("layer_norm", [False, True])
def test_an_earlier_slot_acts_with_its_copy_and_the_newest_with_the_trunk(layer_norm: bool) -> None:
    network = built(3, layer_norm=layer_norm)
    x = th.randn(4, 5)
    before = [network.forward_slot(x, slot) for slot in range(3)]
    with th.no_grad():
        for p in (*network.trunk.parameters(), *network.norms.parameters()):
            p.add_(0.5)
    after = [network.forward_slot(x, slot) for slot in range(3)]
    assert [th.equal(a, b) for a, b in zip(before, after, strict=True)] == [True, True, False]
    with th.no_grad():
        network.copies[1][0].weight.add_(0.5)
    assert [th.equal(network.forward_slot(x, k), after[k]) for k in range(3)] == [True, False, True]


def test_copies_are_frozen_and_follow_from_the_number_of_slots_alone() -> None:
    network, again = built(3), built(3)
    trainable = {name for name, p in network.named_parameters() if p.requires_grad}
    assert not any(name.startswith("copies") for name in trainable)
    assert "trunk.0.weight" in trainable
    with th.no_grad():
        for p in network.parameters():
            p.copy_(th.randn_like(p))
    again.load_state_dict(network.state_dict())
    x = th.randn(4, 5)
    assert all(th.equal(network.forward_slot(x, k), again.forward_slot(x, k)) for k in range(3))


def test_earlier_actions_are_bit_identical_after_later_stages() -> None:
    method = new()
    learner = tiny_learner(**method.networks())
    x = np.random.default_rng(0).normal(size=(16, 23))
    actions = []
    for k, task in enumerate(("reach", "button-press", "drawer-open")):
        train_stage(learner, method, k, task=task)
        actions.append(learner.model.predict(_with_slot(x, k), deterministic=True)[0])
    for k in range(3):
        np.testing.assert_array_equal(learner.model.predict(_with_slot(x, k), deterministic=True)[0], actions[k])
    assert not np.array_equal(actions[0], actions[1])


def _with_slot(x: np.ndarray, slot: int) -> np.ndarray:
    return np.column_stack([x, np.full(len(x), slot)]).astype(np.float32)


def test_a_run_learns_as_fine_tuning_does_and_keeps_every_score_of_a_tasks_own_stage(whole_runs: WholeRuns) -> None:
    copies, plain = (whole_runs[name] for name in ("frozen-copies", "finetune"))
    own, other = (read_scores(run.run.scores_file) for run in (copies, plain))
    assert [_at_own_stage(score) for score in own] == [_at_own_stage(score) for score in other]
    ends = {(score.stage, score.slot): score for score in own if score.step == 256 * score.stage}
    for (stage, slot), score in ends.items():
        if stage > slot + 1:
            first = ends[slot + 1, slot]
            assert score.model_copy(update={"stage": first.stage, "step": first.step}) == first
    assert copies.run.read_metrics().forgetting == 0
    trained, finetuned = (snapshot(run.model.policy) for run in (copies, plain))
    assert same_bits({name: trained[name] for name in finetuned}, finetuned)


@pytest.mark.usefixtures("quick_training")
def test_so_it_does_where_its_trunk_shrinks_and_is_perturbed(tmp_path: Path) -> None:
    """Fresh weights come for actor and critic in the same order."""
    changes: dict[str, Any] = {"plasticity": {"shrink": 0.5, "perturb": 0.1}, "warm_start": {"choose": "none"}}
    policies = []
    for name in ("frozen-copies", "finetune"):
        run = train(make_config(**settings(name) | changes), tmp_path / name)
        policies.append(load_agent(run).policy)
    trained, finetuned = map(snapshot, policies)
    assert same_bits({name: trained[name] for name in finetuned}, finetuned)


def _at_own_stage(score: Score) -> Score | None:
    return score if score.stage <= score.slot + 1 else None


def test_a_copy_is_a_trunk_of_bytes() -> None:
    policy = box_policy(23, 4, widths=(64, 64), **new().networks())
    leave_out_task_inference(policy)
    assert bytes_beside(policy, new()) == 0
    trunk = 4 * (24 * 64 + 65 * 64)
    for copies in (1, 2):
        policy.add_slot()
        assert bytes_beside(policy, new()) == copies * trunk
    assert trunk + 4 * (65 * 4 + 4) == 23_840  # with its head and deviations: an actor


@pytest.mark.parametrize("copied", [True, False], ids=["begun as another", "begun anew"])
def test_the_trunk_that_a_slot_begins_with_is_the_one_that_shrinks(copied: bool) -> None:
    method, learner = new(), tiny_learner(**new().networks())
    train_stage(learner, method, 0)
    learner.policy.add_slot()
    shrinks = Plasticity(PlasticitySettings(shrink=0.5))
    network = learner.policy.actor_net
    with th.no_grad():
        network.trunk[0].weight.mul_(3.0)  # as if something had come in between
    before = network.copies[0][0].weight if copied else network.trunk[0].weight.clone()
    shrinks.before_start(learner, 1)
    if copied:
        learner.begin_as(0)
    shrinks.before_task(learner, 1)
    th.testing.assert_close(network.trunk[0].weight, 0.5 * before)


def test_options_against_the_loss_of_plasticity_act_on_what_trains_alone() -> None:
    method = new()
    learner = tiny_learner(**method.networks())
    train_stage(learner, method, 0)
    learner.policy.add_slot()
    before = copy.deepcopy(snapshot(learner.policy))
    shrinks = Plasticity(PlasticitySettings(shrink=0.5))
    shrinks.before_start(learner, 1)
    shrinks.before_task(learner, 1)
    after = snapshot(learner.policy)
    changed = {name for name in before if not th.equal(before[name], after[name])}
    assert "action_net.trunk.0.weight" in changed
    assert not any("copies" in name for name in changed)
