"""The quadratic penalty and its importances (EWC's Fisher information has tests of its own), by hand computation."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch as th
from support.models import (
    ITERATION,
    box_policy,
    collector,
    next_slot,
    one_unit,
    same_bits,
    state_std_policy,
    tiny_learner,
)

from clrobot.agents.algorithms.learner import Learner
from clrobot.agents.algorithms.role import Role
from clrobot.agents.methods import METHODS
from clrobot.agents.methods.ewc import EWC
from clrobot.agents.methods.l2 import L2
from clrobot.agents.methods.mas import MAS, sensitivity
from clrobot.agents.methods.online_ewc import OnlineEWC
from clrobot.agents.methods.shared.gradient_hooks import gradient_hooks
from clrobot.agents.methods.shared.method import Experience, named
from clrobot.agents.methods.shared.quadratic import Quadratic, QuadraticMethod, recentred, summed
from clrobot.agents.methods.si import SI

FAMILY = tuple(m for m in METHODS if issubclass(m, QuadraticMethod))
EVERY = pytest.mark.parametrize("method_class", FAMILY, ids=lambda m: m.name)


def new(method_class: type[QuadraticMethod], **settings: float | str) -> QuadraticMethod:
    """Return a method that is quick: few states where it has any."""
    few = {"states": 60} if "states" in method_class.Settings.model_fields else {}
    return method_class(method_class.Settings(**few | settings))


def quadratic(importance: list[float], anchor: list[float]) -> Quadratic:
    return Quadratic(th.tensor(importance), th.tensor(anchor))


def learn(learner: Learner, method: QuadraticMethod) -> None:
    with gradient_hooks(learner, method):
        learner.model.learn(ITERATION, reset_num_timesteps=False)


# The penalty.


def test_the_sum_of_two_quadratics_by_hand() -> None:
    """½ 1 (θ - 0)² + ½ 3 (θ - 4)² has curvature 4 and its least at 3; without importance the old anchor stays."""
    total = summed(quadratic([1.0, 0.0, 0.0], [0.0, 7.0, 7.0]), quadratic([3.0, 0.0, 2.0], [4.0, 8.0, 8.0]))
    assert total.importance.tolist() == [4.0, 0.0, 2.0]
    assert total.anchor.tolist() == [3.0, 7.0, 8.0]


def test_recentring_by_hand() -> None:
    total = recentred(quadratic([1.0, 2.0], [0.0, 7.0]), quadratic([3.0, 0.0], [4.0, 8.0]), decay=0.5)
    assert total.importance.tolist() == [3.5, 1.0]
    assert total.anchor.tolist() == [4.0, 8.0]


def test_a_task_without_any_importance_protects_nothing() -> None:
    """Nothing was learned, so SI's path is empty; the mean is 0 and must not be divided by."""
    learner = tiny_learner()
    method = new(SI)
    method.after_task(learner, 0, collector(learner, 0))
    assert all(not f.any() for f in named(method.state_dict(), "importance").values())


@EVERY
def test_only_the_actors_optimizer_feels_the_penalty(method_class: type[QuadraticMethod]) -> None:
    learner = tiny_learner()
    method = new(method_class, strength=3.0)
    learn(learner, method)
    method.after_task(learner, 0, collector(learner, 0))
    next_slot(learner, 1)
    method.before_task(learner, 1)
    protected = dict(learner.policy.actor_net.shared_parameters())
    state = method.state_dict()
    for p in protected.values():
        p.grad = th.zeros_like(p)
        p.data += 0.5
    for role in (Role.CRITIC, Role.TEMPERATURE):
        method.adjust_gradients(learner, role)
        assert all(not p.grad.any() for p in protected.values())
    for times, role in enumerate((Role.ACTOR, Role.ACTOR | Role.CRITIC), start=1):
        method.adjust_gradients(learner, role)
        for parameter, p in protected.items():
            expected = times * 3.0 * state[f"importance.{parameter}"] * 0.5  # λ F (θ - θ*)
            th.testing.assert_close(p.grad, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method_class", [EWC, L2], ids=lambda m: m.name)
def test_the_merged_quadratic_has_the_gradient_of_the_sum(method_class: type[QuadraticMethod]) -> None:
    """Σ_k F_k (θ - θ*_k) from the two tasks' own F and θ*, kept aside, against the method's one F and θ*."""
    learner = tiny_learner()
    method = new(method_class, strength=2.0)
    tasks = []
    protected = dict(learner.policy.actor_net.shared_parameters())
    for k in (0, 1):
        alone = new(method_class)
        alone.after_task(learner, k, collector(learner, k))
        state = alone.state_dict()
        tasks.append({n: (state[f"importance.{n}"], state[f"anchor.{n}"]) for n in protected})
        method.after_task(learner, k, collector(learner, k))
        with th.no_grad():
            for p in protected.values():
                p.add_(0.1 * th.randn(p.shape, generator=th.Generator().manual_seed(k)))
        next_slot(learner, k + 1)
    method.before_task(learner, 2)
    for p in protected.values():
        p.grad = th.zeros_like(p)
    method.adjust_gradients(learner, Role.ACTOR | Role.CRITIC)
    for name, p in protected.items():
        expected = sum(2.0 * f * (p.detach() - anchor) for f, anchor in (task[name] for task in tasks))
        th.testing.assert_close(p.grad, expected, rtol=1e-4, atol=1e-6)


@EVERY
@pytest.mark.parametrize("anchor", ["summed", "newest"])
def test_the_anchor_is_a_choice_of_the_whole_family(method_class: type[QuadraticMethod], anchor: str) -> None:
    """F_1 = 1 around 0, F_2 = 3 around 4: both have F = γ + 3; the anchor is 12 / (γ + 3), the sum's least, or 4."""
    method = new(method_class, anchor=anchor)
    decay = method.settings.decay if isinstance(method, OnlineEWC) else 1.0
    found = method.merge(quadratic([1.0], [0.0]), quadratic([3.0], [4.0]))
    assert found.importance.item() == pytest.approx(decay + 3)
    assert found.anchor.item() == pytest.approx(12 / (decay + 3) if anchor == "summed" else 4.0)


def test_what_each_of_the_family_anchors_to_if_nothing_is_said() -> None:
    """As their papers have it."""
    anchors = {method.name: method.Settings().anchor for method in FAMILY}
    assert anchors == {"ewc": "summed", "online-ewc": "newest", "l2": "summed", "si": "newest", "mas": "newest"}


def test_l2s_summed_anchor_is_the_mean_of_all_solutions() -> None:
    """The trap: no head was trained there. The newest one is where the last of them was."""
    learner = tiny_learner()
    methods = {anchor: new(L2, anchor=anchor) for anchor in ("summed", "newest")}
    weight = learner.policy.actor_net.trunk[0].weight
    solutions = []
    for k in range(3):
        with th.no_grad():
            weight.add_(th.randn(weight.shape, generator=th.Generator().manual_seed(k)))
        solutions.append(weight.detach().clone())
        for method in methods.values():
            method.after_task(learner, k, collector(learner, k))
    mean = th.stack(solutions).mean(0)
    found = {anchor: method.state_dict()["anchor.trunk.0.weight"] for anchor, method in methods.items()}
    th.testing.assert_close(found["summed"], mean)
    assert th.equal(found["newest"], solutions[-1])


def test_online_ewc_lets_the_earlier_fisher_information_fade_around_the_newest_anchor() -> None:
    """F_2 + ½ F_1 from the two tasks' own Fisher informations; the anchor is where task 2 ended."""
    learner = tiny_learner()
    online = new(OnlineEWC, decay=0.5)
    own = []
    for k in (0, 1):
        alone = new(EWC)
        for method in (alone, online):
            method.after_task(learner, k, collector(learner, k))
        own.append(named(alone.state_dict(), "importance"))
        anchors = named(alone.state_dict(), "anchor")
        with th.no_grad():
            learner.policy.actor_net.trunk[0].weight.add_(0.1)
        next_slot(learner, k + 1)
    state = online.state_dict()
    for name, anchor in anchors.items():
        th.testing.assert_close(state[f"importance.{name}"], own[1][name] + 0.5 * own[0][name])
        assert th.equal(state[f"anchor.{name}"], anchor)


@EVERY
def test_importances_have_mean_one_for_each_task_and_memory_does_not_grow(
    method_class: type[QuadraticMethod],
) -> None:
    """The importances' mean after k tasks is k, or 1 + γ + … + γ^(k-1); none is negative."""
    learner = tiny_learner()
    method = new(method_class)
    decay = method.settings.decay if isinstance(method, OnlineEWC) else 1.0
    protected = 4 * sum(p.numel() for _, p in learner.policy.actor_net.shared_parameters())
    between, within, means = [], [], []
    for k in range(3):
        learn(learner, method)
        within.append(method.memory_bytes())
        method.after_task(learner, k, collector(learner, k))
        between.append(method.memory_bytes())
        values = th.cat([f.flatten() for f in named(method.state_dict(), "importance").values()])
        assert values.min() >= 0
        means.append(values.mean().item())
        next_slot(learner, k + 1)
        method.before_task(learner, k + 1)
    assert means == pytest.approx([1, 1 + decay, 1 + decay + decay**2], rel=1e-4)
    path = 2 * protected if method_class is SI else 0  # SI's ω and the stage's start
    assert between == [2 * protected] * 3
    assert within == [path, 2 * protected + path, 2 * protected + path]
    assert max(between + within) == method.memory_bound(learner, 3)


@EVERY
def test_a_method_restored_in_mid_stage_goes_on_with_the_same_bits(method_class: type[QuadraticMethod]) -> None:
    """Two models learn the same; one's method is replaced, half way through task 2, by one with its state."""
    states, weights = [], []
    for restored in (False, True):
        learner = tiny_learner()
        method = new(method_class, strength=1.0)
        learn(learner, method)
        method.after_task(learner, 0, collector(learner, 0))
        next_slot(learner, 1)
        method.before_task(learner, 1)
        learn(learner, method)
        if restored:
            state = {name: tensor.clone() for name, tensor in method.state_dict().items()}
            method = new(method_class, strength=1.0)
            method.load_state_dict(state)
            assert same_bits(method.state_dict(), state)
            method.before_task(learner, 1)
            assert same_bits(method.state_dict(), state)
        learn(learner, method)
        method.after_task(learner, 1, collector(learner, 1))
        states.append(method.state_dict())
        weights.append({n: p.detach() for n, p in learner.policy.named_parameters()})
    assert same_bits(*states)
    assert same_bits(*weights)


# MAS.


@pytest.mark.parametrize(("make", "heads"), [(box_policy, (3.0,)), (state_std_policy, (3.0, 0.5))])
def test_sensitivity_of_numbers_worked_out_by_hand(make, heads: tuple[float, ...]) -> None:
    """H = 3, so μ = 1.8 and ∂μ²/∂W = 2 · 1.8 · 3 · 0.64 x = 6.912 x; σ does not count.

    x ∈ {1, -2}: the mean of absolute values is 6.912 · 1.5 = 10.368 (the mean's absolute value would be 3.456).
    """
    policy = one_unit(make(1, 1, widths=(1,)), *heads)
    found = sensitivity(policy, th.tensor([[1.0, 0.0], [-2.0, 0.0]]))
    assert found["trunk.0.weight"].item() == pytest.approx(10.368, rel=1e-5)
    assert found["trunk.0.bias"].item() == pytest.approx(6.912, rel=1e-5)


def test_sensitivity_of_two_actions_worked_out_by_hand() -> None:
    """H = (3, -1), so ‖μ‖² = 10 h², h = 0.6: ∂/∂b = 20 · 0.6 · 0.64 = 7.68."""
    policy = one_unit(box_policy(1, 2, widths=(1,)), 3.0, -1.0)
    assert sensitivity(policy, th.tensor([[1.0, 0.0]]))["trunk.0.bias"].item() == pytest.approx(7.68, rel=1e-5)


def test_mas_normalises_the_sensitivities_and_adds_them_around_the_newest_anchor() -> None:
    """10.368 and 6.912 have mean 8.64: 1.2 and 0.8. A second task of the same states doubles both."""
    policy = one_unit(box_policy(1, 1, widths=(1,)), 3.0)
    learner = SimpleNamespace(policy=policy)
    method = new(MAS)
    states = Experience(th.tensor([[1.0, 0.0], [-2.0, 0.0]]), th.zeros(2, 1))
    for total in (1, 2):
        method.after_task(learner, total - 1, lambda n: states)
        state = method.state_dict()
        assert state["importance.trunk.0.weight"].item() == pytest.approx(1.2 * total, rel=1e-5)
        assert state["importance.trunk.0.bias"].item() == pytest.approx(0.8 * total, rel=1e-5)
    policy.actor_net.trunk[0].weight.data.fill_(0.125)
    method.after_task(learner, 2, lambda n: states)
    assert method.state_dict()["anchor.trunk.0.weight"].item() == 0.125


# SI.


def test_si_of_numbers_worked_out_by_hand() -> None:
    """Two updates of two parameters, ξ = 0.25.

    weight: g = 2, Δ = -0.5, then g = -1, Δ = 1: ω = 1 + 1 = 2 over a way of 0.5: Ω = 2 / (0.25 + 0.25) = 4.
    bias: g = 3, Δ = 0.5, then g = 1, Δ = 0.5: ω = -2: climbing, so 0. Their mean is 2: F = (2, 0).
    """
    policy = box_policy(1, 1, widths=(1,))
    learner = SimpleNamespace(policy=policy)
    layer = policy.actor_net.trunk[0]
    method = new(SI, damping=0.25)
    with th.no_grad():
        layer.weight.fill_(1.0)
        layer.bias.fill_(0.0)
        for gradients, moves in (((2.0, 3.0), (-0.5, 0.5)), ((-1.0, 1.0), (1.0, 0.5))):
            for p, g in zip((layer.weight, layer.bias), gradients, strict=True):
                p.grad = th.full_like(p, g)
            method.auxiliary_loss(learner, Role.CRITIC)  # another optimizer's step: nothing happens
            method.after_update(learner, Role.CRITIC)
            assert method.auxiliary_loss(learner, Role.ACTOR) is None
            for p, move in zip((layer.weight, layer.bias), moves, strict=True):
                p.grad.fill_(99.0)  # what is added later, or clipped, is not looked at
                p.add_(move)
            method.after_update(learner, Role.ACTOR)
            layer.weight.grad.fill_(50.0)
    state = method.state_dict()
    assert (state["path.trunk.0.weight"].item(), state["path.trunk.0.bias"].item()) == (2.0, -2.0)
    assert (state["start.trunk.0.weight"].item(), state["start.trunk.0.bias"].item()) == (1.0, 0.0)
    raw = SI.importance(method, learner, 0, collector(learner, 0))
    assert (raw["trunk.0.weight"].item(), raw["trunk.0.bias"].item()) == (4.0, 0.0)
    method.load_state_dict(state)
    method.after_task(learner, 0, collector(learner, 0))
    after = method.state_dict()
    assert (after["importance.trunk.0.weight"].item(), after["importance.trunk.0.bias"].item()) == (2.0, 0.0)
    assert after["anchor.trunk.0.weight"].item() == 1.5
    assert not named(after, "path")  # the next stage starts anew
    assert not named(after, "start")


def test_si_integrates_the_tasks_own_gradient_although_a_penalty_is_added() -> None:
    """ω in training, with a strong penalty, against the gradients and ways that a spy around the steps saw."""
    learner = tiny_learner()
    method = new(SI, strength=100.0)
    learn(learner, method)
    method.after_task(learner, 0, collector(learner, 0))
    next_slot(learner, 1)
    method.before_task(learner, 1)
    weight = learner.policy.actor_net.trunk[0].weight
    expected = th.zeros_like(weight)
    seen: list[tuple[th.Tensor, th.Tensor]] = []
    before = learner.policy.optimizer.register_step_pre_hook(
        lambda *_: seen.append((weight.grad.clone(), weight.detach().clone()))
    )  # registered first, so that it runs before the method's
    start = weight.detach().clone()

    def after(*_: object) -> None:
        gradient, place = seen.pop()
        expected.sub_(gradient * (weight.detach() - place))

    handle = learner.policy.optimizer.register_step_post_hook(after)
    learn(learner, method)
    before.remove()
    handle.remove()
    state = method.state_dict()
    assert expected.any()
    assert th.equal(state["path.trunk.0.weight"], expected)
    assert th.equal(state["start.trunk.0.weight"], start)
