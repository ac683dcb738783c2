"""The adapter to Stable-Baselines3, on native and on foreign vector environments."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import RecordEpisodeStatistics
from numpy.typing import NDArray

from clrobot.agents.vec_env import MAX_SLOT, JointVecEnv, SlotVecEnv
from clrobot.envs.simulation.observation import OBS_SIZE
from clrobot.envs.simulation.simulation import HORIZON
from clrobot.envs.tasks.reach import Reach
from clrobot.envs.worlds.reward_scale import FixedRewards, RunningRewards
from clrobot.envs.worlds.vector_env import TaskVectorEnv

SAME_STEP = {"autoreset_mode": AutoresetMode.SAME_STEP}


def _native(n: int = 3, slot: int = 5, stagger: bool = False) -> SlotVecEnv:
    return SlotVecEnv(TaskVectorEnv(Reach(), n, threads=1, stagger=stagger), slot)


class Clock(gym.Env[NDArray[np.float32], NDArray[np.float32]]):
    """Counts its steps: obs is [steps / 100, 0]; ends at `length`, terminated or truncated, with `last_info`."""

    observation_space = gym.spaces.Box(0, 1, (2,), np.float32)
    action_space = gym.spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self, length: int, terminates: bool, last_info: dict[str, Any]) -> None:
        self._end = (length, terminates, last_info)
        self._steps = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        super().reset(seed=seed)
        self._steps = 0
        return self._obs(), {}

    def step(self, action: NDArray[np.float32]) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        length, terminates, last_info = self._end
        self._steps += 1
        over = self._steps == length
        return self._obs(), 1.0, over and terminates, over and not terminates, last_info if over else {}

    def _obs(self) -> NDArray[np.float32]:
        return np.array([self._steps / 100, 0.0], np.float32)


def _clocks(*clocks: tuple[int, bool, dict[str, Any]]) -> SlotVecEnv:
    return SlotVecEnv(SyncVectorEnv([lambda c=clock: Clock(*c) for clock in clocks], **SAME_STEP), 2)


def _step(env: SlotVecEnv) -> tuple[Any, Any, Any, list[dict[str, Any]]]:
    return env.step(np.zeros((env.num_envs, *env.action_space.shape), np.float32))  # type: ignore[misc]


# ------------------------------------------------------------------------------------------------------- observations


def test_the_slot_is_the_last_component() -> None:
    env, bare = _native(slot=5), TaskVectorEnv(Reach(), 3, threads=1)
    env.seed(11)
    obs = env.reset()
    expected, _ = bare.reset(seed=11)
    assert obs.shape == (3, OBS_SIZE + 1)
    assert obs.dtype == np.float32
    np.testing.assert_array_equal(obs[:, :-1], expected)
    np.testing.assert_array_equal(obs[:, -1], 5)
    actions = np.full((3, 4), 0.5, np.float32)
    obs, rewards, dones, infos = env.step(actions)
    expected, expected_rewards, *_ = bare.step(actions)
    np.testing.assert_array_equal(obs[:, :-1], expected)
    np.testing.assert_array_equal(obs[:, -1], 5)
    np.testing.assert_allclose(rewards, expected_rewards, rtol=1e-6)
    assert rewards.dtype == np.float32
    assert dones.shape == (3,)
    assert infos == [{}, {}, {}]


def test_the_space_admits_1024_slots_whatever_the_slot() -> None:
    first, other = _native(slot=0), _native(slot=MAX_SLOT)
    assert first.observation_space == other.observation_space  # so that `set_env` accepts it
    space = other.observation_space
    assert isinstance(space, gym.spaces.Box)
    assert space.shape == (OBS_SIZE + 1,)
    assert space.low[-1] == 0
    assert space.high[-1] == 1023
    assert space.contains(other.reset()[0])
    np.testing.assert_array_equal(space.high[:-1], TaskVectorEnv(Reach(), 1).single_observation_space.high)


def test_a_seed_holds_for_one_reset() -> None:
    env = _native()
    env.seed(3)
    first = env.reset()
    second = env.reset()
    env.seed(3)
    np.testing.assert_array_equal(env.reset(), first)
    assert (second != first).any(axis=1).all()


# ----------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED])
def test_other_autoreset_modes_are_refused(mode: AutoresetMode) -> None:
    env = gym.make_vec("Pendulum-v1", num_envs=2, vectorization_mode="sync", vector_kwargs={"autoreset_mode": mode})
    with pytest.raises(ValueError, match="expected SAME_STEP"):
        SlotVecEnv(env, 0)
    env.close()


def test_an_environment_without_a_mode_is_refused() -> None:
    env = TaskVectorEnv(Reach(), 1)
    env.metadata = {}
    with pytest.raises(ValueError, match="expected SAME_STEP"):
        SlotVecEnv(env, 0)


@pytest.mark.parametrize(
    "space",
    [
        gym.spaces.Discrete(4),
        gym.spaces.Box(0, 1, (2, 2), np.float32),
        gym.spaces.Dict({"a": gym.spaces.Box(0, 1, (2,), np.float32)}),
    ],
)
def test_observations_that_are_not_a_flat_box_are_refused(space: gym.Space[Any]) -> None:
    env = TaskVectorEnv(Reach(), 1)
    env.single_observation_space = space  # type: ignore[assignment]
    with pytest.raises(ValueError, match="Box of one dimension"):
        SlotVecEnv(env, 0)


# ----------------------------------------------------------------------------------------------------- ended episodes


def test_the_last_info_of_a_native_episode() -> None:
    env, bare = _native(slot=7), TaskVectorEnv(Reach(), 3, threads=1)
    env.seed(1)
    env.reset()
    bare.reset(seed=1)
    rng = np.random.default_rng(0)
    for step in range(1, HORIZON + 1):
        actions = rng.uniform(-1, 1, (3, 4)).astype(np.float32)
        obs, _, dones, infos = env.step(actions)
        expected, _, _, _, bare_infos = bare.step(actions)
        assert dones.all() == dones.any() == (step == HORIZON)
    for i, info in enumerate(infos):
        assert set(info) == {"terminal_observation", "TimeLimit.truncated", "is_success", "success_final", "episode"}
        assert info["TimeLimit.truncated"] is True
        np.testing.assert_array_equal(info["terminal_observation"][:-1], bare_infos["final_obs"][i])
        assert info["terminal_observation"][-1] == 7
        assert env.observation_space.contains(info["terminal_observation"])
        assert (info["terminal_observation"] != obs[i]).any()
        for key in ("is_success", "success_final"):
            assert info[key] == bare_infos["final_info"][key][i]
    np.testing.assert_array_equal(obs[:, :-1], expected)  # the next episode's first


def test_only_ended_episodes_have_a_last_info() -> None:
    env = _native(n=4, stagger=True)
    env.reset()
    seen = 0
    for _ in range(HORIZON):
        _, _, dones, infos = _step(env)
        for done, info in zip(dones, infos, strict=True):
            assert bool(info) == done
        seen += int(dones.sum())
    assert seen == 4


def _episodes(env: SlotVecEnv, steps: int, begin: int = 0) -> list[tuple[int, int, dict[str, Any]]]:
    """Return the episodes that end: the step, the environment, and what is told of its return and length."""
    actions = np.random.default_rng(5).uniform(-1, 1, (begin + steps, env.num_envs, 4)).astype(np.float32)
    return [
        (begin + t, i, info["episode"])
        for t, action in enumerate(actions[begin:], 1)
        for i, info in enumerate(env.step(action)[3])
        if "episode" in info
    ]


def test_an_episode_s_return_and_length() -> None:
    env, bare = _native(), TaskVectorEnv(Reach(), 3, threads=1)
    env.seed(1)
    env.reset()
    bare.reset(seed=1)
    actions = np.random.default_rng(5).uniform(-1, 1, (2 * HORIZON, 3, 4)).astype(np.float32)
    rewards = np.array([bare.step(action)[1] for action in actions])
    found = _episodes(env, 2 * HORIZON)
    assert [(t, i, told["l"]) for t, i, told in found] == [(t, i, HORIZON) for t in (100, 200) for i in range(3)]
    expected = [*rewards[:HORIZON].sum(0), *rewards[HORIZON:].sum(0)]
    np.testing.assert_allclose([told["r"] for *_, told in found], expected)


def test_the_first_episode_of_a_staggered_start_is_a_part_and_not_told() -> None:
    env = _native(n=4, stagger=True)  # the first ends after 100, 76, 52 and 28 steps
    env.reset()
    found = [(t, i) for t, i, told in _episodes(env, 180) if told["l"] == HORIZON]
    assert found == [(100, 0), (128, 3), (152, 2), (176, 1)]
    env.reset()
    assert [t for t, *_ in _episodes(env, 110)] == [100]


def test_episodes_go_on_from_a_saved_state() -> None:
    for env, other in (
        (_native(n=4, stagger=True), _native(n=4, stagger=True)),
        tuple(JointVecEnv([_native(n=1, stagger=True), _native(n=3, stagger=True)]) for _ in range(2)),
    ):
        env.seed(2)
        env.reset(), other.reset()
        _episodes(env, 40)
        other.set_state(env.get_state())
        found = _episodes(other, 150, begin=40)
        assert found == _episodes(env, 150, begin=40)
        assert len(found) == 4


def test_a_state_of_others_is_refused() -> None:
    with pytest.raises(ValueError, match=r"episode_return of shape \(4,\); expected \(3,\)"):
        _native(n=3).set_state(_native(n=4).get_state())


# ------------------------------------------------------------------------------------------------------- foreign ones


def test_pendulum() -> None:
    env = SlotVecEnv(
        gym.make_vec("Pendulum-v1", num_envs=2, vectorization_mode="sync", vector_kwargs=dict(SAME_STEP)), 9
    )
    env.seed(0)
    obs = env.reset()
    for step in range(1, 201):
        assert obs.shape == (2, 4)
        assert all(env.observation_space.contains(row) for row in obs)
        obs, _, dones, infos = _step(env)
        assert dones.any() == (step == 200)
    for i in range(2):
        assert infos[i]["TimeLimit.truncated"] is True
        assert infos[i]["terminal_observation"][-1] == 9
        assert (infos[i]["terminal_observation"] != obs[i]).any()
    env.close()


def test_termination_is_not_truncation() -> None:
    env = _clocks((3, True, {}), (3, False, {}))
    env.reset()
    for _ in range(3):
        obs, _, dones, infos = _step(env)
    np.testing.assert_array_equal(dones, [True, True])
    assert infos[0]["TimeLimit.truncated"] is False
    assert infos[1]["TimeLimit.truncated"] is True
    np.testing.assert_allclose(infos[0]["terminal_observation"], [0.03, 0.0, 2.0])
    np.testing.assert_allclose(obs, [[0.0, 0.0, 2.0]] * 2)


def test_nested_last_infos() -> None:
    """Gymnasium's own RecordEpisodeStatistics puts a dictionary into the last info; Stable-Baselines3 reads it."""
    env = SlotVecEnv(
        gym.make_vec(
            "Pendulum-v1",
            num_envs=2,
            vectorization_mode="sync",
            vector_kwargs=dict(SAME_STEP),
            wrappers=(RecordEpisodeStatistics,),
        ),
        0,
    )
    env.reset()
    total = np.zeros(2)
    for _ in range(200):
        _, rewards, _, infos = _step(env)
        total += rewards
    for i in range(2):
        assert infos[i]["episode"]["l"] == 200
        assert infos[i]["episode"]["r"] == pytest.approx(total[i], rel=1e-4)
    env.close()


@pytest.mark.parametrize("scale", [RunningRewards, partial(FixedRewards, factor=0.1)])
def test_an_episode_s_return_is_that_of_its_world_whatever_the_learner_is_paid(
    scale: Callable[[TaskVectorEnv], Any],
) -> None:
    worlds = [TaskVectorEnv(Reach(), 2, threads=1) for _ in range(2)]
    told: list[list[float]] = []
    for env in (SlotVecEnv(worlds[0], 0), SlotVecEnv(scale(worlds[1]), 0)):
        env.seed(3)
        env.reset()
        found = [_step(env)[3] for _ in range(HORIZON)]
        told.append([info["episode"]["r"] for infos in found for info in infos if "episode" in info])
    assert len(told[0]) == 2
    assert told[1] == pytest.approx(told[0])


def test_a_key_that_only_a_neighbour_has_is_left_out() -> None:
    """Gymnasium fills up with zeros and marks who has the key: no failure may be made up."""
    env = _clocks((3, False, {"is_success": True}), (3, False, {}))
    env.reset()
    for _ in range(3):
        _, _, _, infos = _step(env)
    assert infos[0]["is_success"]
    assert "is_success" not in infos[1]


class WithoutFinalInfo(gym.vector.VectorWrapper):  # type: ignore[type-arg]
    """Leaves out `final_info`, which Gymnasium does not demand."""

    def step(self, actions: Any) -> Any:
        *rest, infos = self.env.step(actions)
        infos.pop("final_info", None)
        return (*rest, infos)


def test_final_info_may_be_missing() -> None:
    env = SlotVecEnv(WithoutFinalInfo(TaskVectorEnv(Reach(), 2, threads=1)), 4)
    env.reset()
    for _ in range(HORIZON):
        _, _, dones, infos = _step(env)
    assert dones.all()
    for info in infos:
        assert set(info) == {"terminal_observation", "TimeLimit.truncated", "episode"}
        assert info["TimeLimit.truncated"] is True
        assert info["terminal_observation"].shape == (OBS_SIZE + 1,)
