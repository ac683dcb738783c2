"""Generative replay: generated states resemble those that the autoencoder learned, and none of those is kept."""

from __future__ import annotations

import copy
from functools import cache

import numpy as np
import pytest
import torch as th
from safetensors.torch import load, save
from support.models import SlotVecEnv, collector, make_vector_env, next_slot, same_bits, snapshot, tiny_learner

from clrobot.agents.algorithms.learner import Learner
from clrobot.agents.algorithms.role import Role
from clrobot.agents.methods.distillation import Distillation
from clrobot.agents.methods.generative_replay import GenerativeReplay
from clrobot.agents.methods.shared.gradient_hooks import gradient_hooks
from clrobot.agents.methods.shared.state_vae import Frames, StateGaussian, StateVAE
from clrobot.agents.networks.one_head import OneHeadNetwork


@cache
def real_states(task: str, seed: int) -> th.Tensor:
    """Return 8,000 states (8000, 23), shuffled, of a hand that goes straight to the goal, roughly, and stays."""
    env = SlotVecEnv(make_vector_env(task, 80, threads=1), 0)
    env.seed(seed)
    rng = np.random.default_rng(seed)
    obs, states = env.reset(), []
    for _ in range(100):
        states.append(obs[:, :-1].copy())
        to_goal = obs[:, 17:20] + obs[:, 20:23]
        actions = np.column_stack([to_goal, -np.ones(80)]) + rng.normal(0, 0.3, (80, 4))
        obs, *_ = env.step(actions.clip(-1, 1).astype(np.float32))
    return th.from_numpy(rng.permutation(np.concatenate(states)))


def energy_distance(a: th.Tensor, b: th.Tensor, scale: th.Tensor) -> float:
    """Return (2 E|a - b| - E|a - a'| - E|b - b'|) / (2 E|a - b|): 0 for equal distributions, 1 for far ones.

    (Székely & Rizzo 2013, section 4.) Distances are Euclidean, each dimension divided by its `scale` (d,).
    """
    a, b = a / scale, b / scale
    between = th.cdist(a, b).mean()
    within = sum(th.cdist(x, x).sum() / (len(x) * (len(x) - 1)) for x in (a, b))
    return float((2 * between - within) / (2 * between))


def test_the_energy_distance_of_numbers_worked_out_by_hand() -> None:
    """{0, 2} and {1, 1}: E|a - b| = 1, E|a - a'| = 2, E|b - b'| = 0, so (2 - 2) / 2 = 0; {0, 0} and {3, 3}: 1."""
    one = th.ones(1)
    assert energy_distance(th.tensor([[0.0], [2.0]]), th.tensor([[1.0], [1.0]]), one) == pytest.approx(0)
    assert energy_distance(th.tensor([[0.0], [0.0]]), th.tensor([[3.0], [3.0]]), one) == pytest.approx(1)


# Coordinates ----------------------------------------------------------------------------------------------------


def test_constants_and_linear_combinations_are_generated_exactly() -> None:
    x = th.randn(500, 2, generator=th.Generator().manual_seed(0))
    states = th.stack([x[:, 0], x[:, 1], x[:, 0] - 2 * x[:, 1], th.full((500,), 0.7)], dim=1)
    frames = Frames(4)
    frames.add_slot(states)
    made = frames.to_states(th.randn(300, 4, generator=th.Generator().manual_seed(1)), th.zeros(300).long())
    assert (made[:, 3] == states[0, 3]).all()
    th.testing.assert_close(made[:, 2], made[:, 0] - 2 * made[:, 1], rtol=0, atol=1e-5)
    assert made[:, :2].std(0).min() > 0.5


def test_coordinates_are_white_and_lead_back_to_the_states() -> None:
    states = real_states("reach", 0)
    frames = Frames(23)
    frames.add_slot(th.randn(50, 23, generator=th.Generator().manual_seed(0)))
    frames.add_slot(states)
    c = frames.to_coordinates(states, 1)
    varies = c.std(0) > 0
    # Of the 23 numbers, the hand, its target, the fingers and the goal are 10; the others follow from them.
    assert int(varies.sum()) == 10
    th.testing.assert_close(c[:, varies].T.cov(), th.eye(10), rtol=0, atol=0.02)
    frame = frames.directions[1]
    assert not frame[~(states != states[0]).any(0)].any()
    back = frames.to_states(c, th.ones(len(c)).long())
    th.testing.assert_close(back, states, rtol=0, atol=1e-3)


# The autoencoder against real states ------------------------------------------------------------------------------


@cache
def taught(*tasks: str) -> tuple[StateVAE, th.Generator]:
    """Return an autoencoder that has learned tasks in turn, each beside what it generates of the earlier ones."""
    if not tasks:
        random = th.Generator().manual_seed(0)
        return StateVAE(23, 64, 8, random), random
    before, random = taught(*tasks[:-1])
    vae, states = copy.deepcopy(before), real_states(tasks[-1], 0)[:5000]
    vae.add_slot(states, random)
    vae.fit(
        states,
        lambda slot: before.sample_coordinates(slot, random),
        iterations=1200,
        batch_size=256,
        generator=random,
    )
    return vae, random


def distances(vae: StateVAE, slot: int, task: str, random: th.Generator) -> dict[str, float]:
    """Return the energy distance to states held out of those that were learned, and of three samples."""
    held_out, n = real_states(task, 0)[5000:], 3000
    slots = th.full((n,), slot)
    made = {
        "learned": real_states(task, 0)[:n],
        "generated": vae.sample(slots, random),
        "gaussian": vae.frames.to_states(th.randn(n, 23, generator=random), slots),  # of the same moments
        "noise": th.randn(n, 23, generator=random),
    }
    scale = held_out.std(0).clamp_min(1e-3)
    return {name: energy_distance(states, held_out, scale) for name, states in made.items()}


def test_generated_states_are_closer_to_real_ones_than_gaussians_of_the_same_moments() -> None:
    """Measured here: two halves of the real states 0.0000, generated 0.0033, Gaussian 0.0041, noise 0.29."""
    vae, random = taught("button-press")
    d = distances(vae, 0, "button-press", random)
    assert abs(d["learned"]) < 0.0005
    assert d["generated"] < 0.9 * d["gaussian"] < 0.05 * d["noise"]


def test_an_earlier_task_is_still_generated_after_a_later_one() -> None:
    vae, random = taught("button-press", "reach")
    # The states of reach are all but Gaussian themselves: there is nothing to gain on it.
    for slot, (task, margin) in enumerate({"button-press": 0.95, "reach": 1.1}.items()):
        d = distances(vae, slot, task, random)
        assert d["generated"] < margin * d["gaussian"] < 0.05 * d["noise"]
    assert distances(vae, 0, "reach", random)["generated"] > 0.1  # and each slot has its own


def test_the_gaussian_alone_generates_states_of_the_slots_exact_moments_and_learns_nothing_else() -> None:
    """Mean and covariance of 40,000 states; constants and linear combinations to the bit, or nearly."""
    gaussian, random = StateGaussian(23), th.Generator().manual_seed(0)
    for task in ("reach", "button-press"):
        gaussian.add_slot(real_states(task, 0), random)
    assert gaussian.slots == 2
    assert {name for name, _ in gaussian.named_buffers()} == {"frames.mean", "frames.directions"}
    assert not list(gaussian.parameters())
    states = real_states("button-press", 0)
    made = gaussian.sample(th.ones(40_000).long(), random)
    deviation = states.std(0)
    assert ((made.mean(0) - states.mean(0)).abs() <= 0.03 * deviation + 1e-6).all()
    apart = (made.T.cov() - states.T.cov(correction=0)).abs()
    assert (apart <= 0.03 * deviation[:, None] * deviation + 1e-7).all()
    constant = (states == states[0]).all(0)
    assert constant.any()
    assert (made[:, constant] == states[0, constant]).all()


def test_learning_and_generating_leave_the_global_generator_alone() -> None:
    before = th.get_rng_state()
    random = th.Generator().manual_seed(0)
    vae = StateVAE(23, 8, 2, random)
    vae.add_slot(real_states("reach", 0), random)
    vae.fit(real_states("reach", 0), lambda slot: slot, iterations=3, batch_size=16, generator=random)
    vae.sample(th.zeros(4).long(), random)
    assert th.equal(before, th.get_rng_state())


# The method -----------------------------------------------------------------------------------------------------

SMALL = {"states": 60, "iterations": 5, "width": 8, "latent": 2, "batch_size": 32}


def after(tasks: int, method: GenerativeReplay | Distillation) -> Learner:
    learner = tiny_learner()
    for k in range(tasks):
        method.before_task(learner, k)
        with th.no_grad():
            learner.policy.action_net.heads[k].weight.mul_(100)
        method.after_task(learner, k, collector(learner, k))
        next_slot(learner, k + 1)
    method.before_task(learner, tasks)
    return learner


def small(**settings) -> GenerativeReplay:
    return GenerativeReplay(GenerativeReplay.Settings(**(SMALL | settings)))


def kept_states(method: GenerativeReplay | Distillation, learner: Learner) -> int:
    """Return how many of the states shown of two tasks stand, byte for byte, somewhere in what the method keeps."""
    content = b"".join(t.contiguous().numpy().tobytes() for t in method.state_dict().values())
    shown = [collector(learner, k)(60).observations[:, :-1].numpy() for k in (0, 1)]
    # Three numbers in a row, twelve bytes, are enough: they do not agree by chance.
    return sum(row[:3].tobytes() in content for rows in shown for row in rows)


def test_no_state_of_an_old_task_is_kept() -> None:
    method = small()
    assert kept_states(method, after(2, method)) == 0
    keeps = Distillation(Distillation.Settings(states=60))
    assert kept_states(keeps, after(2, keeps)) == 120  # the same search finds every one where they are kept


def test_what_is_kept_does_not_grow_with_the_states() -> None:
    sizes = []
    for states in (60, 600):
        method = small(states=states)
        after(2, method)
        sizes.append({name: t.shape for name, t in method.state_dict().items()})
    assert sizes[0] == sizes[1]


def test_its_memory_is_within_its_bound() -> None:
    for tasks in (0, 1, 3):
        method = small()
        learner = after(tasks, method)
        bound = method.memory_bound(tiny_learner(), tasks)
        assert method.memory_bytes() == (bound if tasks else 0)
        assert method.memory_bound(learner, tasks) >= bound


def test_generated_states_are_labelled_by_the_policy_as_it_was() -> None:
    method = small()
    learner = after(2, method)
    policy = learner.policy
    recalled = method.recall(policy, 32)
    assert recalled.observations[:, -1].tolist() == [0.0, 1.0] * 16
    then = [t.clone() for t in policy.gaussian(recalled.observations)]
    th.testing.assert_close((recalled.mean, recalled.log_std), tuple(then))
    with th.no_grad():
        policy.action_net.trunk[0].weight.mul_(1.5)
    state = method.state_dict()["random"].clone()
    later = method.recall(policy, 32)
    assert not th.equal(later.observations, recalled.observations)
    assert not th.allclose(policy.gaussian(later.observations)[0], later.mean, atol=1e-3)
    method._random.set_state(state)
    loss = method.auxiliary_loss(learner, Role.ACTOR | Role.CRITIC)
    assert loss.item() > 1e-4
    loss.backward()
    assert policy.action_net.trunk[0].weight.grad.any()
    assert policy.value_net.trunk[0].weight.grad is None


def test_with_one_head_the_noise_that_labels_is_the_one_of_then() -> None:
    """Its scale goes on training, where a head of each task's own is frozen with it."""
    method, learner = small(), tiny_learner(OneHeadNetwork)
    method.before_task(learner, 0)
    method.after_task(learner, 0, collector(learner, 0))
    assert method.memory_bytes() == method.memory_bound(learner, 1)
    method.before_task(learner, 1)
    then = learner.policy.log_stds[0].detach().clone()
    with th.no_grad():
        learner.policy.log_stds[0].sub_(2.0)
    th.testing.assert_close(method.recall(learner.policy, 8).log_std, then.expand(8, -1))


def test_the_autoencoder_can_be_left_out() -> None:
    """Then the method keeps of each task a mean and directions, d + d², and no network."""
    method = small(generator="gaussian")
    learner = after(2, method)
    kept = {name for name in method.state_dict() if name.startswith("state_vae.")}
    assert kept == {"state_vae.frames.mean", "state_vae.frames.directions"}
    assert method.memory_bytes() == method.memory_bound(tiny_learner(), 2)
    assert method.memory_bytes() < small(generator="vae").memory_bound(tiny_learner(), 2)
    recalled = method.recall(learner.policy, 32)
    assert recalled.observations[:, -1].tolist() == [0.0, 1.0] * 16
    assert method.auxiliary_loss(learner, Role.ACTOR | Role.CRITIC).requires_grad
    assert kept_states(method, learner) == 0


@pytest.mark.parametrize("generator", ["vae", "gaussian"])
def test_a_restored_scholar_goes_on_with_the_same_bits(generator: str) -> None:
    method = small(generator=generator)
    learner = after(2, method)
    twin = small(generator=generator)
    twin.load_state_dict(load(save(method.state_dict())))
    twin.before_task(learner, 2)
    assert all(
        th.equal(a, b) for a, b in zip(method.recall(learner.policy, 8), twin.recall(learner.policy, 8), strict=True)
    )
    for each in (method, twin):
        each.after_task(learner, 2, collector(learner, 2))
    assert same_bits(method.state_dict(), twin.state_dict())


def test_the_scholar_is_not_changed_by_training() -> None:
    method = small()
    learner = after(2, method)
    before = {name: t.clone() for name, t in method.state_dict().items()}
    weights = snapshot(learner.policy)
    with gradient_hooks(learner, method):
        learner.model.learn(64, reset_num_timesteps=False)
    assert {n for n, t in method.state_dict().items() if not th.equal(t, before[n])} == {"random"}
    assert not same_bits(weights, snapshot(learner.policy))
