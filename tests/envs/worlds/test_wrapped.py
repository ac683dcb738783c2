"""What stands between a world and the learner: padding, and the scale of rewards."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from clrobot.envs.worlds.make import make_vector_env
from clrobot.envs.worlds.padded import PaddedWorld
from clrobot.envs.worlds.reward_scale import DISCOUNT, LIMIT, FixedRewards, RunningRewards, _joined

N = 3


def actions(steps: int, size: int) -> Any:
    return np.random.default_rng(0).uniform(-1.0, 1.0, (steps, N, size)).astype(np.float32)


def native(**kwargs: Any) -> Any:
    return make_vector_env("reach", N, threads=1, **kwargs)


def test_a_padded_world_is_the_same_world_in_more_numbers() -> None:
    bare, padded = native(max_episode_steps=4), PaddedWorld(native(max_episode_steps=4), 30, 3, 1, 6)
    space = padded.single_observation_space
    assert isinstance(space, gym.spaces.Box)
    assert (space.shape, padded.single_action_space.shape) == ((33,), (6,))
    first, _ = bare.reset(seed=1)
    seen, _ = padded.reset(seed=1)

    def check(wide: Any, own: Any) -> None:
        np.testing.assert_array_equal(wide[:, :23], own)
        assert not wide[:, 23:30].any()
        np.testing.assert_array_equal(wide[:, 30:], np.tile([0.0, 1.0, 0.0], (N, 1)))
        assert all(row in space for row in wide)

    check(seen, first)
    for action in actions(4, 6):
        obs, rewards, *_, infos = bare.step(action[:, :4])
        seen, rewards_too, *_, infos_too = padded.step(action)
        check(seen, obs)
        np.testing.assert_array_equal(rewards, rewards_too)
    check(infos_too["final_obs"], infos["final_obs"])


def test_fixed_rewards_are_a_multiple() -> None:
    bare, scaled = native(), FixedRewards(native(), 2.5)
    bare.reset(seed=0), scaled.reset(seed=0)
    for action in actions(3, 4):
        np.testing.assert_array_equal(2.5 * bare.step(action)[1], scaled.step(action)[1])


def test_moments_together_are_those_of_all_values() -> None:
    rng, moments, seen = np.random.default_rng(0), np.zeros(3), np.empty(0)
    for size in (1, 5, 2, 40):
        values = rng.normal(3.0, 2.0, size)
        moments, seen = _joined(moments, values), np.concatenate([seen, values])
        expected = [len(seen), seen.mean(), ((seen - seen.mean()) ** 2).sum()]
        np.testing.assert_allclose(moments, expected, rtol=1e-12, atol=1e-12)


def test_running_rewards_are_those_of_the_formula() -> None:
    bare, scaled = native(max_episode_steps=6), RunningRewards(native(max_episode_steps=6))
    bare.reset(seed=0), scaled.reset(seed=0)
    g, seen = np.zeros(N), []
    for action in actions(15, 4):
        _, rewards, terminated, truncated, _ = bare.step(action)
        g = DISCOUNT * g + rewards
        seen.append(g.copy())
        expected = np.clip(rewards / np.sqrt(np.var(seen) + 1e-8), -LIMIT, LIMIT)
        np.testing.assert_allclose(scaled.step(action)[1], expected, rtol=1e-9)
        g[terminated | truncated] = 0.0


def test_the_running_scale_is_part_of_the_state() -> None:
    world, steps = RunningRewards(native()), actions(12, 4)
    world.reset(seed=0)
    for action in steps[:6]:
        world.step(action)
    state = world.get_state()
    rest = [world.step(action)[1] for action in steps[6:]]
    other = RunningRewards(native())
    other.reset(seed=9)
    other.set_state(state)
    np.testing.assert_array_equal([other.step(action)[1] for action in steps[6:]], rest)
    with pytest.raises(ValueError, match="expected"):
        RunningRewards(make_vector_env("reach", 2, threads=1)).set_state(state)
