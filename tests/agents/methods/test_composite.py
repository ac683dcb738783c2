"""Composed methods."""

from __future__ import annotations

import pytest
import torch as th
from support.models import collector, next_slot, same_bits, snapshot, tiny_ppo
from support.trainings import TINY

from clrobot.agents.methods import METHODS
from clrobot.agents.methods.shared.composite import Composite
from clrobot.agents.methods.shared.gradient_hooks import shaping
from clrobot.agents.methods.shared.method import Method
from clrobot.errors import UserError
from clrobot.experiment.build import make_method
from clrobot.experiment.config import make_config
from clrobot.training.training import train


class Pull(Method):
    """Adds w·|θ|²/2 of the first trunk layer."""

    name = "pull"
    summary = "a test's own"
    family = "regularisation"

    def __init__(self, weight: float, name: str) -> None:
        super().__init__(Method.Settings())
        self.weight, self.name = weight, name  # type: ignore[misc]

    def auxiliary_loss(self, model, optimizer_name):
        return 0.5 * self.weight * model.policy.actor_net.trunk[0].weight.square().sum()

    def state_dict(self):
        return {"weight": th.tensor(self.weight)}

    def load_state_dict(self, state):
        self.weight = float(state["weight"])


def test_auxiliary_losses_add_up() -> None:
    model = tiny_ppo()
    one, other = Pull(2.0, "one"), Pull(3.0, "other")
    expected = one.auxiliary_loss(model, "") + other.auxiliary_loss(model, "")
    th.testing.assert_close(Composite([one, other]).auxiliary_loss(model, ""), expected)
    assert Composite([Method(Method.Settings())]).auxiliary_loss(model, "") is None


def test_what_no_part_uses_costs_nothing() -> None:
    both = Composite([Pull(1.0, "a"), Pull(1.0, "b")])
    assert both.uses("auxiliary_loss")
    assert not both.uses("adjust_gradients")
    assert not both.uses("after_update")


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
            model, shaper = tiny_ppo(), make_method(config)
            shaper.before_task(model, 0)
            shaper.after_task(model, 0, collector(model, 0))
            next_slot(model, 1)
            shaper.before_task(model, 1)
            with shaping(model, shaper):
                model.learn(128, reset_num_timesteps=False)
            weights.append(snapshot(model.policy))
        assert same_bits(*weights), alone_name


ARCHITECTURES = [m.name for m in METHODS if m.family == "architecture"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("ewc+si", "penalties on the same weights"),
        ("distillation+replay", "rehearse old tasks"),
        ("finetune+replay", "bound of comparisons"),
        ("ewc+a-gem", "changes the summed gradient"),
        *[(f"ewc+{name}", "keeps its old weights") for name in ARCHITECTURES if name != "progress-compress"],
        ("ewc+replay+si", "3 parts"),
        ("ewc+", "unknown method ''"),
    ],
)
def test_what_makes_no_sense_together_is_refused_with_the_reason(name: str, why: str) -> None:
    with pytest.raises(UserError, match=why) as error:
        make_config(method=name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["ewc+replay", "replay+ewc", "si+distillation", "mas+generative-replay"])
def test_what_makes_sense_together_is_accepted(name: str) -> None:
    assert isinstance(make_method(make_config(method=name)), Composite)


@pytest.mark.usefixtures("quick_training")
def test_a_composed_method_trains_through_the_whole_loop(tmp_path) -> None:
    settings = TINY | {"method": "ewc+replay", "ewc": {"states": 100}}
    run = train(make_config(**settings), tmp_path / "run")
    metrics = run.read_metrics()
    assert metrics.stages_done == 3
    alone = make_method(make_config(method="ewc"))
    assert metrics.memory_bytes > alone.memory_bytes()
