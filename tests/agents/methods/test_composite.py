"""Composed methods."""

from __future__ import annotations

import itertools
import re

import pytest
import torch as th
from support.models import collector, next_slot, same_bits, snapshot, tiny_learner
from support.trainings import TINY

from clrobot.agents.algorithms.role import Role
from clrobot.agents.methods import METHODS
from clrobot.agents.methods.ewc import EWC
from clrobot.agents.methods.shared.composite import Composite, why_not_together
from clrobot.agents.methods.shared.gradient_hooks import gradient_hooks
from clrobot.agents.methods.shared.method import Method
from clrobot.agents.methods.shared.quadratic import QuadraticMethod
from clrobot.errors import UserError
from clrobot.experiment.config import make_config
from clrobot.experiment.method import make_method
from clrobot.runs.method_files import load_state
from clrobot.training.training import train


class Pull(Method):
    """Adds w·|θ|²/2 of the first trunk layer."""

    name = "pull"
    summary = "a test's own"
    family = "regularisation"

    def __init__(self, weight: float, name: str) -> None:
        super().__init__(Method.Settings())
        self.weight, self.name = weight, name  # type: ignore[misc]

    def auxiliary_loss(self, learner, role):
        return 0.5 * self.weight * learner.policy.actor_net.trunk[0].weight.square().sum()

    def state_dict(self):
        return {"weight": th.tensor(self.weight)}

    def load_state_dict(self, state):
        self.weight = float(state["weight"])


def test_auxiliary_losses_add_up() -> None:
    learner = tiny_learner()
    one, other = Pull(2.0, "one"), Pull(3.0, "other")
    expected = one.auxiliary_loss(learner, Role.ACTOR) + other.auxiliary_loss(learner, Role.ACTOR)
    th.testing.assert_close(Composite([one, other]).auxiliary_loss(learner, Role.ACTOR), expected)
    assert Composite([Method(Method.Settings())]).auxiliary_loss(learner, Role.ACTOR) is None


def test_what_no_part_uses_costs_nothing() -> None:
    both = Composite([Pull(1.0, "a"), Pull(1.0, "b")])
    assert both.uses("auxiliary_loss")
    assert not both.uses("adjust_gradients")
    assert not both.uses("after_update")


def test_only_parts_that_use_a_verb_are_called_and_what_looks_at_a_step_comes_before_what_writes() -> None:
    called: list[str] = []

    class Writes(Method):
        name = "writes"

        def after_update(self, learner, role):
            called.append(self.name)

        def adjust_gradients(self, learner, role):
            called.append(f"{self.name} adjusts")

    class Looks(Writes):
        name = "looks"
        measures_updates = True

    class Off(Writes):
        name = "off"

        def uses(self, verb):
            return False

    both = Composite([part(Method.Settings()) for part in (Off, Writes, Looks)])
    learner = tiny_learner()
    both.after_update(learner, Role.ACTOR)
    both.adjust_gradients(learner, Role.ACTOR)
    assert called == ["looks", "writes", "writes adjusts", "looks adjusts"]


def test_the_parts_states_are_kept_apart() -> None:
    both = Composite([Pull(2.0, "one"), Pull(3.0, "other")])
    state = both.state_dict()
    assert {name: float(t) for name, t in state.items()} == {"one/weight": 2.0, "other/weight": 3.0}
    again = Composite([Pull(0.0, "one"), Pull(0.0, "other")])
    again.load_state_dict(state)
    assert [part.weight for part in again.parts] == [2.0, 3.0]


def test_ewc_and_distillation_each_do_their_part() -> None:
    """With the other's strength at zero a composed method is the one alone, bit for bit."""
    strengths = {"ewc": {"ewc": {"strength": 0.0}}, "distillation": {"distillation": {"strength": 0.0}}}
    for other, off in strengths.items():
        alone_name = "distillation" if other == "ewc" else "ewc"
        weights = []
        for method in (alone_name, "ewc+distillation"):
            config = make_config(method=method, **off)
            learner, shaper = tiny_learner(), make_method(config)
            shaper.before_task(learner, 0)
            shaper.after_task(learner, 0, collector(learner, 0))
            next_slot(learner, 1)
            shaper.before_task(learner, 1)
            with gradient_hooks(learner, shaper):
                learner.model.learn(128, reset_num_timesteps=False)
            weights.append(snapshot(learner.policy))
        assert same_bits(*weights), alone_name


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("finetune+replay", "finetune protects nothing, so it adds nothing to replay;"),
        ("ewc+finetune", "finetune protects nothing, so it adds nothing to ewc;"),
        ("ewc+scratch", "scratch gives every task a network of its own, so ewc has nothing to protect;"),
        ("ewc+multitask", "multitask trains every task in every stage, so ewc has nothing to protect;"),
        ("ewc+frozen-copies", "frozen-copies keeps what every task acts with, so ewc has nothing to protect;"),
        ("ewc+progressive", "progressive freezes each task's column, so ewc has nothing to protect;"),
        ("replay+packnet", "packnet freezes the weights that a task acts with, so replay has nothing to protect;"),
        (
            "ewc+progress-compress",
            "progress-compress changes what earlier tasks act with only while it compresses a task, "
            "and ewc acts on the algorithm's updates;",
        ),
        ("ewc+a-gem", "a-gem projects the whole gradient, and may undo part of what ewc adds to it;"),
        ("ewc+si", "ewc and si are both penalties on moving the same weights;"),
        ("ewc+ewc", "ewc and ewc are both penalties on moving the same weights;"),
        ("distillation+replay", "distillation and replay both rehearse earlier tasks through the same heads;"),
        ("generative-replay+replay", "generative-replay and replay both rehearse earlier tasks through the same"),
        ("ewc+replay+si", "has 3 parts; expected one, or a regulariser and a memory"),
        ("ewc+", "unknown method ''"),
    ],
)
def test_what_makes_no_sense_together_is_refused_with_the_reason(name: str, why: str) -> None:
    with pytest.raises(UserError, match=re.escape(why)) as error:
        make_config(method=name)
    assert "\n" not in str(error.value)


def test_a_method_that_says_nothing_is_used_alone() -> None:
    assert why_not_together(EWC, Pull) == "pull does not say that it goes with other methods"


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_every_method_says_itself_what_it_goes_with(method: type[Method]) -> None:
    """The order of the parts does not matter to whether they go together, and a method never goes with itself."""
    assert "why_not_with" in vars(method) or issubclass(method, QuadraticMethod)
    assert why_not_together(method, method) is not None
    for other in METHODS:
        assert (why_not_together(method, other) is None) == (why_not_together(other, method) is None)


def test_a_penalty_and_a_rehearsal_go_together_and_nothing_else_does() -> None:
    together = {frozenset((a.name, b.name)) for a in METHODS for b in METHODS if why_not_together(a, b) is None}
    penalties = ("ewc", "online-ewc", "l2", "si", "mas")
    rehearsals = ("distillation", "replay", "generative-replay")
    assert together == {frozenset(pair) for pair in itertools.product(penalties, rehearsals)}


def test_what_earlier_tasks_act_with_has_no_gradient_in_progress_and_compress() -> None:
    """So that its sentence is true: while the algorithm updates, the knowledge base is a constant."""
    method = make_method(make_config(method="progress-compress"))
    learner = tiny_learner(**method.networks())
    learner.policy.actor_net.compressed.fill_(1)
    next_slot(learner, 1)
    old = collector(learner, 0)(5).observations
    assert not learner.policy.gaussian(old)[0].requires_grad
    assert all(not p.requires_grad for _, p in learner.policy.actor_net.shared_parameters())


@pytest.mark.parametrize("name", ["ewc+replay", "replay+ewc", "si+distillation", "mas+generative-replay"])
def test_what_makes_sense_together_is_accepted(name: str) -> None:
    assert isinstance(make_method(make_config(method=name)), Composite)


@pytest.mark.usefixtures("quick_training")
def test_a_composed_method_trains_through_the_whole_loop(tmp_path) -> None:
    settings = TINY | {"method": "ewc+replay", "ewc": {"states": 100}}
    run = train(make_config(**settings), tmp_path / "run")
    assert run.read_metrics().stages_done == 3
    saved = load_state(run.checkpoint(3))
    assert {name.split("/")[0] for name in saved} == {"ewc", "replay"}
    assert saved["replay/observations"].shape == (20_000, 24)
