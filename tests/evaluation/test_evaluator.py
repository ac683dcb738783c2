"""Measuring: what an episode's numbers mean, and that measuring leaves no trace."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy
from support.models import tiny_ppo

from clrobot.envs.simulation.actions import ACTION_SIZE
from clrobot.envs.simulation.observation import OBS_SIZE
from clrobot.envs.simulation.simulation import HORIZON
from clrobot.envs.worlds.make import make_vector_env
from clrobot.evaluation.evaluator import Evaluator
from clrobot.evaluation.observations import append_slot
from clrobot.experiment.curriculum import Curriculum, Stage

SEED = 100
CURRICULUM = Curriculum(name="c", stages=(Stage(task="reach", steps=64), Stage(task="button-press", steps=64)))


class Steer(BasePolicy):
    """Pushes the hand towards the goal; a sample adds noise."""

    def __init__(self) -> None:
        super().__init__(
            spaces.Box(-np.inf, np.inf, (OBS_SIZE + 1,), np.float32), spaces.Box(-1, 1, (ACTION_SIZE,), np.float32)
        )

    def _predict(self, observation: Any, deterministic: bool = False) -> th.Tensor:
        towards = observation[:, -4:-1]  # the goal less the hand, before the slot's index
        actions = th.cat([towards, th.zeros(len(towards), 1)], dim=1)
        return actions if deterministic else actions + 0.3 * th.randn_like(actions)


@pytest.fixture(scope="module")
def evaluator() -> Evaluator:
    return Evaluator(CURRICULUM, SEED)


def test_the_numbers_are_those_of_an_ordinary_loop(evaluator: Evaluator) -> None:
    """With Stable-Baselines3's own `predict`, and one simulation after the other."""
    policy = Steer()
    found = evaluator.episodes(policy, 0, 5)
    for e in range(5):
        env = make_vector_env("reach", 1)
        obs, _ = env.reset(seed=SEED + e)
        total, solved = 0.0, []
        for _ in range(HORIZON):
            actions, _ = policy.predict(append_slot(obs, 0), deterministic=True)
            obs, rewards, _, done, info = env.step(actions)
            total += float(rewards[0])
            solved.append(bool(info["final_info"]["success_final"][0]) if done[0] else bool(env.sim.solved_now[0]))
        assert done.all()
        assert found.returns[e] == pytest.approx(total, rel=1e-12)
        assert found.success_any[e] == any(solved)
        assert found.success_final[e] == solved[-1]
        assert found.lengths[e] == (solved.index(True) + 1 if any(solved) else HORIZON)
    assert found.success_any.any(), "steering solves some; else the lengths are not tested"
    assert (found.lengths < HORIZON).any()


def test_each_slot_is_measured_in_its_own_world() -> None:
    worlds: tuple[dict[str, float], ...] = ({}, {"action.delay": 4}, {"sensor.noise": 0.5}, {})
    stages = tuple(Stage(task="reach", steps=64, overrides=world) for world in worlds)
    together = Evaluator(Curriculum(name="c", stages=stages), SEED)
    returns = []
    for slot, stage in enumerate(stages):
        found = together.episodes(Steer(), slot, 3).returns
        alone = Evaluator(Curriculum(name="c", stages=(stage,)), SEED).episodes(Steer(), 0, 3).returns
        np.testing.assert_array_equal(found, alone)
        returns.append(found)
    assert (returns[0] != returns[1]).all()
    assert (returns[0] != returns[2]).all()
    np.testing.assert_array_equal(returns[0], returns[3])


def test_a_policy_that_does_nothing_takes_the_whole_episode(evaluator: Evaluator) -> None:
    policy = Steer()
    policy._predict = lambda observation, deterministic=False: th.zeros(len(observation), ACTION_SIZE)
    found = evaluator.episodes(policy, 1, 3)
    assert not found.success_any.any()
    assert (found.lengths == HORIZON).all()


def test_a_trained_policy_s_quick_way_is_its_predict() -> None:
    policy = tiny_ppo().policy
    obs = np.random.default_rng(0).normal(size=(6, OBS_SIZE + 1)).astype(np.float32)
    obs[:, -1] = 0
    mode = policy.get_distribution(th.as_tensor(obs)).mode()
    assert th.equal(policy._predict(th.as_tensor(obs), deterministic=True), mode)


@pytest.mark.parametrize("make", [Steer, lambda: tiny_ppo().policy], ids=["steer", "ppo"])
def test_both_kinds_at_once_are_the_two_apart(evaluator: Evaluator, make: Callable[[], BasePolicy]) -> None:
    policy = make()
    mean, sampled = evaluator.both(policy, 0, 4)
    for one, other in ((mean, True), (sampled, False)):
        alone = evaluator.episodes(policy, 0, 4, deterministic=other)
        for a, b in zip(one, alone, strict=True):
            np.testing.assert_array_equal(a, b)
    assert not np.array_equal(mean.returns, sampled.returns)


def test_sampling_is_seeded_and_leaves_torch_s_generator_as_it_was(evaluator: Evaluator) -> None:
    policy = Steer()
    th.manual_seed(5)
    before = th.get_rng_state()
    first = evaluator.episodes(policy, 0, 3, deterministic=False)
    assert th.equal(th.get_rng_state(), before)
    th.manual_seed(6)
    again = evaluator.episodes(policy, 0, 3, deterministic=False)
    np.testing.assert_array_equal(first.returns, again.returns)
    other = Evaluator(CURRICULUM, SEED + 1).episodes(policy, 0, 3, deterministic=False)
    assert not np.array_equal(first.returns, other.returns)


def test_a_simulation_that_diverges_ends_its_own_episode_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # MuJoCo writes its log here
    evaluator, policy = Evaluator(CURRICULUM, SEED), Steer()
    whole = evaluator.episodes(policy, 0, 3)
    sim = evaluator._envs[CURRICULUM.stages[0].world, 3].sim
    step, steps = sim.step, 0

    def push(actions: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == 2:
            sim.batch.bind("qvel")[1] = 1e30
        return step(actions)

    monkeypatch.setattr(sim, "step", push)
    found = evaluator.episodes(policy, 0, 3)
    assert steps == HORIZON, "the others go on to their end, and no further"
    for a, b in zip(found, whole, strict=True):
        assert a[[0, 2]].tolist() == b[[0, 2]].tolist()
    assert not found.success_any[1]
    assert found.lengths[1] == HORIZON, "it fails soon, and is not soon done"
    assert found.returns[1] < whole.returns[1]


def test_a_score_is_the_means_of_the_episodes(evaluator: Evaluator) -> None:
    policy = Steer()
    mean, sampled = evaluator.both(policy, 0, 4, 2)
    score = evaluator.score(policy, 0, 4, stage=2, step=640, stochastic=True)
    assert (score.stage, score.step, score.slot, score.episodes) == (2, 640, 0, 4)
    assert score.success_any == mean.success_any.mean()
    assert score.length_mean == mean.lengths.mean()
    assert score.stochastic_success_final == sampled.success_final.mean()
    assert score.stochastic_return_mean == sampled.returns.mean()
    assert score.stochastic_length_mean == sampled.lengths.mean()
    line = json.loads(evaluator.score(policy, 0, 4, stage=2, step=640).to_line())
    assert list(line) == [
        "stage",
        "step",
        "slot",
        "episodes",
        "success_any",
        "success_final",
        "return_mean",
        "length_mean",
    ]
