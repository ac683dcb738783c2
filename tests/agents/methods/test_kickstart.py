"""Kickstarting: what the teacher is, how its weight falls, and that a weight of zero is none."""

from __future__ import annotations

import pytest
import torch as th
from support.models import ITERATION, same_bits, snapshot, tiny_env, tiny_learner

from clrobot.agents.algorithms.learner import Learner
from clrobot.agents.algorithms.role import Role
from clrobot.agents.methods.finetune import Finetune
from clrobot.agents.methods.shared.composite import Composite
from clrobot.agents.methods.shared.distillation_loss import gaussian_kl
from clrobot.agents.methods.shared.gradient_hooks import gradient_hooks
from clrobot.agents.methods.shared.kickstart import Kickstart
from clrobot.agents.networks.progressive import ProgressiveNetwork

BOTH = Role.ACTOR | Role.CRITIC


def second_slot(network=None) -> Learner:
    """A learner of two slots, of which the second has begun as the first, which was moved from where it began."""
    learner = tiny_learner() if network is None else tiny_learner(network)
    with th.no_grad():
        for p in learner.policy.parameters():
            p.add_(0.1 * th.randn_like(p))
    learner.begin_slot((1,), tiny_env("button-press", 1, seed=1), 4 * ITERATION)
    learner.begin_as(0)
    return learner


def learned(learner: Learner, method) -> Learner:
    with gradient_hooks(learner, method):
        learner.model.learn(64, reset_num_timesteps=False)
    return learner


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_a_weight_of_zero_is_none_bit_for_bit(weight: float) -> None:
    plain = learned(second_slot(), Finetune(Finetune.Settings()))
    learner = second_slot()
    method = Composite([Kickstart(weight, 0.9), Finetune(Finetune.Settings())])
    method.before_task(learner, 1)
    assert same_bits(snapshot(learned(learner, method).policy), snapshot(plain.policy)) == (weight == 0)


def test_without_a_teacher_nothing_is_added() -> None:
    learner, kickstart = tiny_learner(), Kickstart(1.0, 0.3)
    kickstart.before_task(learner, 0)
    assert kickstart.auxiliary_loss(learner, BOTH) is None
    assert kickstart.state_dict() == {}


def test_the_weight_falls_linearly_to_zero() -> None:
    kickstart = Kickstart(2.0, 0.3)
    assert [kickstart.weight(share) for share in (0.0, 0.15, 0.3, 1.0)] == pytest.approx([2.0, 1.0, 0.0, 0.0])


def test_it_falls_from_where_the_teacher_begins_also_after_a_resume() -> None:
    """A race may take more of the stage than the share in which it would teach."""
    learner, kickstart = second_slot(), Kickstart(2.0, 0.3)
    learner.algorithm.spend(learner.model, 2 * ITERATION)
    assert learner.share_done == 0.5
    kickstart.before_task(learner, 1)
    again = Kickstart(2.0, 0.3)
    again.load_state_dict(kickstart.state_dict())
    for method in (kickstart, again):
        assert [method.weight(share) for share in (0.5, 0.65, 0.8)] == pytest.approx([2.0, 1.0, 0.0])
    late = Kickstart(2.0, 0.9)
    late.load_state_dict(kickstart.state_dict())
    assert [late.weight(share) for share in (0.5, 0.75, 1.0)] == pytest.approx([2.0, 1.0, 0.0])  # in what is left


@pytest.mark.parametrize("network", [None, ProgressiveNetwork], ids=["heads", "columns"])
def test_the_loss_is_the_divergence_from_what_the_teacher_was(network) -> None:
    learner, kickstart = second_slot(network), Kickstart(2.0, 0.5)
    kickstart.before_task(learner, 1)
    learned(learner, Finetune(Finetune.Settings()))  # a rollout is there, and the network has moved
    assert learner.share_done == 0.25  # of the weight, half is left
    states = th.randn(30, learner.observation_size)
    states[:, -1] = 1.0
    kickstart._states = lambda _: states
    at_teacher = states.clone()
    at_teacher[:, -1] = 0.0
    twin = second_slot(network)  # what the teacher was
    with th.no_grad():
        expected = gaussian_kl(*twin.policy.gaussian(at_teacher), *learner.policy.gaussian(states)).mean()
    loss = kickstart.auxiliary_loss(learner, BOTH)
    assert loss is not None
    assert float(loss.detach()) == pytest.approx(float(expected), rel=1e-5)
    assert float(expected) > 0
    assert kickstart.auxiliary_loss(learner, Role.CRITIC) is None


def test_the_teacher_is_saved_within_a_stage_and_let_go_of_after_it() -> None:
    learner, kickstart = second_slot(), Kickstart(1.0, 0.3)
    kickstart.before_task(learner, 1)
    again = Kickstart(1.0, 0.3)
    again.load_state_dict(kickstart.state_dict())
    learner.grown_from = None  # a resumed stage does not choose once more
    again.before_task(learner, 1)
    assert same_bits(again.state_dict(), kickstart.state_dict())
    assert 0 < kickstart.memory_bytes() <= kickstart.memory_bound(learner, 2)
    kickstart.after_task(learner, 1, None)
    assert kickstart.state_dict() == {}


@pytest.mark.parametrize(
    ("name", "value"), [("slot", th.tensor(1)), ("slot", th.tensor(-1)), ("teacher.x", th.ones(1))]
)
def test_a_teacher_of_another_network_is_refused(name: str, value: th.Tensor) -> None:
    learner, kickstart = second_slot(), Kickstart(1.0, 0.3)
    kickstart.before_task(learner, 1)
    forged = Kickstart(1.0, 0.3)
    forged.load_state_dict(kickstart.state_dict() | {name: value})
    with pytest.raises(ValueError, match="a teacher of slot"):
        forged.before_task(learner, 1)
