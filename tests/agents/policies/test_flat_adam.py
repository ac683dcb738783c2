"""Adam over one tensor: what torch's Adam does to each parameter, seen through the parameters."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch as th
from torch import nn

from clrobot.agents.policies.flat_adam import FlatAdam

SHAPES = [(3, 4), (3,), (2, 3), (2,), ()]


def parameters(seed: int = 0) -> list[nn.Parameter]:
    generator = th.Generator().manual_seed(seed)
    return [nn.Parameter(th.randn(shape, generator=generator)) for shape in SHAPES]


def backward(own: list[nn.Parameter], seed: int) -> None:
    generator = th.Generator().manual_seed(100 + seed)
    sum((p * th.randn(p.shape, generator=generator)).sum() for p in own).backward()


def steps(optimizer: th.optim.Optimizer, own: list[nn.Parameter], count: int, first: int = 0) -> None:
    for seed in range(first, first + count):
        optimizer.zero_grad()
        backward(own, seed)
        optimizer.step()


def stock(own: list[nn.Parameter]) -> th.optim.Adam:
    return th.optim.Adam(own, lr=1e-2, eps=1e-5, fused=True)


def flat(own: list[nn.Parameter], **more) -> FlatAdam:
    return FlatAdam(own, 1e-2, eps=1e-5, **more)


def assert_same(mine: list[nn.Parameter], theirs: list[nn.Parameter]) -> None:
    for a, b in zip(mine, theirs, strict=True):
        assert th.allclose(a, b, rtol=1e-6, atol=1e-8)


def test_it_steps_as_torchs_adam_does() -> None:
    mine, theirs = parameters(), parameters()
    adam, reference = flat(mine), stock(theirs)
    assert_same(mine, parameters())  # moving the parameters into one tensor leaves their values
    steps(adam, mine, 5)
    steps(reference, theirs, 5)
    assert_same(mine, theirs)
    for a, b in zip(mine, theirs, strict=True):
        assert adam.state[a].keys() == reference.state[b].keys()
        for name, value in adam.state[a].items():
            assert th.allclose(value, reference.state[b][name], rtol=1e-6, atol=1e-8)


def test_parameters_gradients_and_moments_can_be_changed_in_place() -> None:
    def change(own: list[nn.Parameter], optimizer: th.optim.Optimizer) -> None:
        with th.no_grad():
            own[0].mul_(0.5)
            own[2].grad.add_(1.0)
        optimizer.state[own[1]]["exp_avg"].zero_()

    results = []
    for make in (flat, stock):
        own = parameters()
        optimizer = make(own)
        steps(optimizer, own, 2)
        optimizer.zero_grad()
        backward(own, 2)
        change(own, optimizer)
        optimizer.step()
        results.append(own)
    assert_same(*results)


@pytest.mark.parametrize("gradient", [None, th.full((2, 3), 2.0)])
def test_a_gradient_that_is_set_anew_is_what_it_steps_by(gradient) -> None:
    own = parameters()
    adam = flat(own)
    steps(adam, own, 1)
    adam.zero_grad()
    backward(own, 1)
    own[2].grad = gradient
    adam.gather()
    assert th.equal(own[2].grad, th.zeros(2, 3) if gradient is None else gradient)
    flattened = th.cat([p.grad.flatten() for p in own])
    assert th.equal(adam.gradient, flattened)


@pytest.mark.parametrize("limit", [0.1, 1e6])
def test_it_clips_as_torch_does(limit: float) -> None:
    mine, theirs = parameters(), parameters()
    adam = flat(mine)
    for own in (mine, theirs):
        backward(own, 0)
    norm = adam.clip(limit)
    assert float(norm) == pytest.approx(float(nn.utils.clip_grad_norm_(theirs, limit)), rel=1e-6)
    for a, b in zip(mine, theirs, strict=True):
        assert th.allclose(a.grad, b.grad, rtol=1e-5)


def resumed(adam: FlatAdam, own: list[nn.Parameter]) -> FlatAdam:
    later = flat(own)
    for p, moments in adam.state.items():
        later.load_moments(p, {name: value.clone() for name, value in moments.items()})
    return later


def anew(adam: FlatAdam, own: list[nn.Parameter]) -> FlatAdam:
    return flat(own, moments=adam.state)


def by_state_dict(adam: FlatAdam, own: list[nn.Parameter]) -> FlatAdam:
    state = adam.state_dict()
    later = flat(own)
    later.load_state_dict(state)
    return later


@pytest.mark.parametrize("again", [resumed, anew, by_state_dict])
def test_another_goes_on_with_its_moments(again: Callable[..., FlatAdam]) -> None:
    own, whole = parameters(), parameters()
    adam = flat(own)
    steps(adam, own, 3)
    steps(again(adam, own), own, 3, first=3)
    steps(flat(whole), whole, 6)
    for a, b in zip(own, whole, strict=True):
        assert th.equal(a, b)


def test_moments_of_several_ages_are_each_corrected_by_its_own() -> None:
    """As where a new head joins weights that go on with their moments."""
    results = []
    for make in (flat, stock):
        own = parameters()
        first = make(own[:2])
        steps(first, own[:2], 3)
        if make is flat:
            second = flat(own, moments=first.state)
        else:
            second = stock(own)
            second.state.update(first.state)
        steps(second, own, 2, first=3)
        assert [float(second.state[p]["step"]) for p in own] == [5, 5, 2, 2, 2]
        results.append(own)
    assert_same(*results)


def test_moments_of_another_shape_are_refused() -> None:
    own = parameters()
    adam = flat(own)
    bad = {"step": th.tensor(1.0), "exp_avg": th.zeros(7), "exp_avg_sq": th.zeros(7)}
    with pytest.raises(RuntimeError, match=r"shape \(7,\); expected \(3, 4\)"):
        adam.load_moments(own[0], bad)
