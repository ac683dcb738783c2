"""A-GEM's projection: numbers worked out by hand, its law, and what becomes of the optimizer's gradients."""

from __future__ import annotations

import pytest
import torch as th
from support.models import collector, next_slot, same_bits, snapshot, tiny_learner

from clrobot.agents.algorithms.learner import Learner
from clrobot.agents.algorithms.role import Role
from clrobot.agents.methods.agem import AGEM, projected
from clrobot.agents.methods.shared.distillation_loss import distillation_loss
from clrobot.agents.methods.shared.gradient_hooks import gradient_hooks


def test_a_conflict_is_projected_away() -> None:
    """g = (1, -2), g_ref = (1, 1): g·g_ref = -1, ‖g_ref‖² = 2, so g + ½ g_ref = (1.5, -1.5)."""
    assert projected(th.tensor([1.0, -2.0]), th.tensor([1.0, 1.0])).tolist() == [1.5, -1.5]


def test_agreement_and_a_right_angle_are_left_to_the_bit() -> None:
    for g in (th.tensor([3.0, -2.0]), th.tensor([2.0, -2.0])):
        assert th.equal(projected(g, th.tensor([1.0, 1.0])), g)


@pytest.mark.parametrize("tiny", [0.0, 1e-45])
def test_without_a_reference_nothing_changes(tiny: float) -> None:
    g = th.tensor([1.0, -2.0])
    assert projected(g, th.full((2,), tiny)).isfinite().all()
    assert th.equal(projected(g, th.zeros(2)), g)


def test_the_law_holds_in_single_precision() -> None:
    """g·g_ref ≥ -1e-6 ‖g‖ ‖g_ref‖ afterwards, at all angles, sizes and scales, nearly opposite ones too."""
    generator = th.Generator().manual_seed(0)
    projections = 0
    for trial in range(300):
        n = (2, 30, 5000)[trial % 3]
        reference = th.randn(n, generator=generator) * 10.0 ** (trial % 7 - 3)
        noise = 10.0 ** -(trial % 5)
        g = noise * th.randn(n, generator=generator) - reference / reference.norm()
        result = projected(g, reference)
        projections += not th.equal(result, g)
        product = result.double() @ reference.double()
        assert product >= -1e-6 * result.double().norm() * reference.double().norm()
        # And no nearer vector obeys it: what was taken away is along g_ref.
        taken, unit = (g - result).double(), reference.double() / reference.double().norm()
        assert float(taken.norm()) == pytest.approx(abs(float(taken @ unit)), rel=1e-4)
    assert projections > 200


def in_second_task(states: int = 60) -> tuple[Learner, AGEM]:
    learner = tiny_learner()
    method = AGEM(AGEM.Settings(states=states, batch_size=32))
    method.before_task(learner, 0)
    with th.no_grad():
        learner.policy.action_net.heads[0].weight.mul_(100)
    method.after_task(learner, 0, collector(learner, 0))
    next_slot(learner, 1)
    method.before_task(learner, 1)
    return learner, method


def test_gradients_in_conflict_with_the_memory_are_changed_in_place() -> None:
    """With the gradient of what would undo the first task, -g_ref, plus a gradient of the critic: only that stays."""
    learner, method = in_second_task()
    policy = learner.policy
    with th.no_grad():
        policy.action_net.trunk[0].weight.add_(0.1)
    generator = method.state_dict()["generator"].clone()
    batch = method.memory.sample(32)
    method.memory.generator.set_state(generator)  # so that the method draws the same

    stepped = [p for group in learner.optimizer(Role.ACTOR | Role.CRITIC).param_groups for p in group["params"]]
    reference = th.autograd.grad(distillation_loss(policy, batch), stepped, materialize_grads=True)
    for p, r in zip(stepped, reference, strict=True):
        p.grad = -r
    value_bias = policy.value_net.heads[1].bias
    value_bias.grad = th.tensor([0.25])
    method.adjust_gradients(learner, Role.ACTOR | Role.CRITIC)
    assert value_bias.grad.item() == 0.25
    size = sum(r.square().sum() for r in reference).sqrt()
    for p in stepped:
        if p is not value_bias:
            assert p.grad.abs().max() < 1e-6 * size


def test_every_step_of_a_training_obeys_the_law() -> None:
    learner, method = in_second_task()
    seen = []

    class Watched(AGEM):
        def adjust_gradients(self, learner, role):
            generator = self.memory.generator.get_state()
            stepped = learner.optimizer(role).param_groups[0]["params"]
            before = th.cat([p.grad.flatten() for p in stepped])
            super().adjust_gradients(learner, role)
            self.memory.generator.set_state(generator)
            batch = self.memory.sample(self.settings.batch_size)
            reference = th.autograd.grad(distillation_loss(learner.policy, batch), stepped, materialize_grads=True)
            g, r = th.cat([p.grad.flatten() for p in stepped]), th.cat([r.flatten() for r in reference])
            seen.append((float(before @ r), float(g.double() @ r.double()), float(g.norm() * r.norm())))

    watched = Watched(method.settings)
    watched.memory = method.memory
    with gradient_hooks(learner, watched):
        learner.model.learn(256, reset_num_timesteps=False)
    assert all(product >= -1e-6 * scale for _, product, scale in seen)
    assert any(before < 0 for before, _, _ in seen)
    assert any(before > 0 for before, _, _ in seen)


def test_the_first_task_is_trained_as_if_alone() -> None:
    weights = []
    for shaped in (False, True):
        learner = tiny_learner()
        method = AGEM(AGEM.Settings(states=20))
        method.before_task(learner, 0)
        if shaped:
            with gradient_hooks(learner, method):
                learner.model.learn(128)
        else:
            learner.model.learn(128)
        weights.append(snapshot(learner.policy))
    assert same_bits(*weights)


def test_the_critic_of_an_algorithm_with_two_optimizers_is_not_projected() -> None:
    learner, method = in_second_task()
    for p in learner.policy.parameters():
        p.grad = th.ones_like(p)
    method.adjust_gradients(learner, Role.CRITIC)
    assert all((p.grad == 1).all() for p in learner.policy.parameters())
