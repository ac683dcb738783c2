"""Other people's environments as a world: what comes out is theirs, at fixed scales."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from support import point

from clrobot.envs.worlds.foreign import LIMIT, WorldFailed, fitted
from clrobot.envs.worlds.gymnasium_kind import GymnasiumKind
from clrobot.envs.worlds.kinds import kind_of
from clrobot.envs.worlds.spec import Measured, WorldSpec
from clrobot.errors import UserError

N = 5
OFFSET, SCALE = (0.1, -0.1, 0.0, 0.0), (0.5, 2.0, 1.0, 0.1)
MEASURED = Measured(OFFSET, SCALE, 2, "is_success")
SPEC = WorldSpec("gymnasium:Point-v0", measured=MEASURED)
KIND = GymnasiumKind()


@pytest.fixture(autouse=True)
def registered(own_registries: None) -> None:
    point.register()


def actions(steps: int, n: int = N) -> Any:
    return np.random.default_rng(0).uniform(-1.0, 1.0, (steps, n, 2)).astype(np.float32)


def ordinary(seed: int, own: Any, **kwargs: Any) -> Iterator[tuple[Any, ...]]:
    """One environment through Gymnasium's own `make`, reset where an episode ends."""
    env = gym.wrappers.FlattenObservation(gym.make("Point-v0", **kwargs))
    yield env.reset(seed=seed)
    for action in own:
        obs, reward, terminated, truncated, info = env.step((1.0 + 2.0 * action).astype(np.float32))
        following = env.reset()[0] if terminated or truncated else obs
        yield obs, reward, terminated, truncated, info, following


def scaled(obs: Any) -> Any:
    return np.clip((obs - np.array(OFFSET)) / np.array(SCALE), -LIMIT, LIMIT).astype(np.float32)


def test_what_is_seen_is_the_environment_s_own_at_the_scales() -> None:
    """Places before speeds: the parts of a dictionary come in the order of their names."""
    steps = actions(60)
    world = KIND.make(SPEC, N)
    obs, _ = world.reset(seed=7)
    others = [ordinary(7 + i, steps[:, i]) for i in range(N)]
    np.testing.assert_array_equal(obs, np.stack([scaled(next(other)[0]) for other in others]))
    solved, ends = [False] * N, {True: 0, False: 0}
    for action in steps:
        obs, rewards, terminated, truncated, infos = world.step(action)
        assert obs.dtype == np.float32
        for i, other in enumerate(others):
            last, reward, over, cut, info, following = next(other)
            np.testing.assert_array_equal(obs[i], scaled(following))
            assert (rewards[i], terminated[i], truncated[i]) == (reward, over, cut and not over)
            solved[i] |= info["is_success"]
            if over or cut:
                ends[over] += 1
                np.testing.assert_array_equal(infos["final_obs"][i], scaled(last))
                assert infos["final_info"]["is_success"][i] == solved[i]
                assert infos["final_info"]["success_final"][i] == info["is_success"]
                solved[i] = False
                assert not world.solved[i]
                assert not world.solved_now[i]
            else:
                assert world.solved_now[i] == info["is_success"]
                assert world.solved[i] == solved[i]
    assert min(ends.values()) > 0, "some episodes end by themselves, and some by their length"


def test_a_process_for_each_gives_the_same() -> None:
    steps, told = actions(20, 2), []
    for processes in (False, True):
        world = KIND.make(SPEC, 2, processes=processes, stagger=True)
        seen = [world.reset(seed=3)[0], *(np.concatenate([x.ravel() for x in world.step(a)[:4]]) for a in steps)]
        told.append(np.concatenate([x.ravel() for x in seen]))
        world.close()
    np.testing.assert_array_equal(*told)


class OneArray(gym.Env):
    """Fills and shows one array; its first number counts the steps."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gym.spaces.Box(-1.0, 1.0, (1,), np.float32)

    def __init__(self) -> None:
        self.shown = np.zeros(2, np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.shown[:] = 0.0, self.np_random.uniform()
        return self.shown, {}

    def step(self, action: Any) -> Any:
        self.shown[0] += 1.0
        return self.shown, 0.0, False, False, {}


@pytest.mark.parametrize("processes", [False, True])
def test_an_episode_s_last_observation_is_not_the_next_one_s_first(processes: bool) -> None:
    gym.register("OneArray-v0", entry_point=OneArray, max_episode_steps=3)
    measured = Measured((0.0, 0.0), (1.0, 1.0), 1, None)
    world = KIND.make(WorldSpec("gymnasium:OneArray-v0", measured=measured), 2, processes=processes)
    world.reset(seed=0)
    for _ in range(3):
        obs, *_, infos = world.step(np.zeros((2, 1), np.float32))
    world.close()
    assert obs[:, 0].tolist() == [0.0, 0.0]
    assert infos["final_obs"][:, 0].tolist() == [3.0, 3.0]


class OneInfo(OneArray):
    """Keeps one info, and empties it in a reset."""

    def __init__(self) -> None:
        super().__init__()
        self.info: dict[str, Any] = {}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self.info["is_success"] = False
        return super().reset(seed=seed)[0], self.info

    def step(self, action: Any) -> Any:
        obs, *_ = super().step(action)
        self.info["is_success"] = bool(obs[0] == 3)
        return obs, 0.0, bool(obs[0] == 3), False, self.info


@pytest.mark.parametrize("processes", [False, True])
def test_what_an_episode_s_last_step_told_is_not_the_next_one_s(processes: bool) -> None:
    gym.register("OneInfo-v0", entry_point=OneInfo, max_episode_steps=9)
    measured = Measured((0.0, 0.0), (1.0, 1.0), 1, "is_success")
    world = KIND.make(WorldSpec("gymnasium:OneInfo-v0", measured=measured), 2, processes=processes)
    world.reset(seed=0)
    for _ in range(3):
        *_, infos = world.step(np.zeros((2, 1), np.float32))
    world.close()
    assert infos["final_info"]["is_success"].tolist() == [True, True]


class Slow(OneArray):
    """Takes a minute for a step that is asked for with 1."""

    def step(self, action: Any) -> Any:
        if action[0] > 0:
            time.sleep(60)
        return super().step(action)


@pytest.mark.parametrize("busy", [True, False])
def test_processes_that_are_left_are_not_waited_for_whatever_they_have_of_their_parent(busy: bool) -> None:
    """As a training's: SIGTERM asks it to save, and to its workers it means nothing."""
    gym.register("Slow-v0", entry_point=Slow, max_episode_steps=9)
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        measured = Measured((0.0, 0.0), (1.0, 1.0), 1, None)
        world = KIND.make(WorldSpec("gymnasium:Slow-v0", measured=measured), 2, processes=True)
        world.reset(seed=0)
        if busy:
            world.env.step_async(np.ones((2, 1), np.float32))  # type: ignore[attr-defined]
        processes = list(world.env.processes)  # type: ignore[attr-defined]
        began = time.monotonic()
        world.close(timeout=0.2 if busy else 30.0)
        assert time.monotonic() - began < 40
        assert not any(process.is_alive() for process in processes)
        assert [process.exitcode for process in processes] == [-signal.SIGKILL if busy else 0] * 2
    finally:
        signal.signal(signal.SIGTERM, before)


LARGEST = float(np.finfo(np.float32).max)


@pytest.mark.parametrize(
    ("box", "given", "taken"),
    [
        (gym.spaces.Box(-100, 100, (1,), np.int8), (-1, -0.5, 0, 1), (-100, -50, 0, 100)),
        (gym.spaces.Box(0, 3, (1,), np.int64), (-1, -0.4, 0.3, 0.9, 1, 5), (0, 1, 2, 3, 3, 3)),
        (gym.spaces.Box(-LARGEST, LARGEST, (1,), np.float32), (-1, 0, 1), (-LARGEST, 0, LARGEST)),
        (gym.spaces.Box(-0.1, 0.3, (1,), np.float32), (-1, 1), (np.float32(-0.1), np.float32(0.3))),
    ],
)
def test_actions_are_spread_over_whatever_numbers_an_environment_takes(
    box: gym.spaces.Box, given: tuple[float, ...], taken: tuple[float, ...]
) -> None:
    got = []

    class Takes(OneArray):
        action_space = box

        def step(self, action: Any) -> Any:
            assert box.contains(action)
            got.append(action[0])
            return super().step(action)

    gym.register("Takes-v0", entry_point=Takes, max_episode_steps=99)
    world = KIND.make(WorldSpec("gymnasium:Takes-v0", measured=Measured((0.0, 0.0), (1.0, 1.0), 1, None)), 1)
    world.reset(seed=0)
    for value in given:
        world.step(np.full((1, 1), value, np.float32))
    assert got == list(taken)
    assert got[0].dtype == box.dtype


@pytest.mark.parametrize(
    ("value", "above", "solved"),
    [
        (np.nan, None, False), (np.nan, 0.5, False), (None, None, False), (None, 0.5, False), (np.inf, 0.5, False),
        (0.7, 0.5, True), (0.3, 0.5, False), (1, None, True), (0, None, False), (np.array([1.0]), 0.5, True),
    ],
)  # fmt: skip
def test_only_a_truth_or_a_finite_number_tells_success(value: Any, above: float | None, solved: bool) -> None:
    class Tells(OneArray):
        def step(self, action: Any) -> Any:
            return *super().step(action)[:4], {"won": value}

    gym.register("Tells-v0", entry_point=Tells, max_episode_steps=99)
    measured = Measured((0.0, 0.0), (1.0, 1.0), 1, None)
    world = KIND.make(WorldSpec("gymnasium:Tells-v0", measured=measured, success_key="won", key_above=above), 1)
    world.reset(seed=0)
    world.step(np.zeros((1, 1), np.float32))
    assert world.solved_now.tolist() == [solved]


def test_a_key_that_becomes_something_else_is_one_sentence() -> None:
    class Tells(OneArray):
        def step(self, action: Any) -> Any:
            return *super().step(action)[:4], {"won": "failure" if self.shown[0] > 1 else 0.0}

    gym.register("Tells-v0", entry_point=Tells, max_episode_steps=99)
    measured = Measured((0.0, 0.0), (1.0, 1.0), 1, "won")
    world = KIND.make(WorldSpec("gymnasium:Tells-v0", measured=measured), 1)
    world.reset(seed=0)
    world.step(np.zeros((1, 1), np.float32))
    with pytest.raises(WorldFailed, match=r"fails in step \(ValueError: won is 'failure' in its info, and was true"):
        world.step(np.zeros((1, 1), np.float32))


def test_staggered_episodes_end_early_once_and_then_run_whole() -> None:
    world = KIND.make(SPEC, 6, stagger=True)
    obs, info = world.reset(seed=0)
    elapsed = info["elapsed"]
    assert elapsed.tolist() == sorted(elapsed.tolist())
    assert (elapsed[0], elapsed[-1]) == (0, 9)
    ends: list[list[int]] = [[] for _ in range(6)]
    for t in range(1, 40):
        obs, _, terminated, truncated, infos = world.step(np.full((6, 2), 0.0, np.float32))  # the speed stays small
        assert not terminated.any()
        for i in np.flatnonzero(truncated):
            ends[i].append(t)
            assert not np.array_equal(infos["final_obs"][i], obs[i])
    for first, (i, own) in zip(elapsed, enumerate(ends), strict=True):
        assert own[0] == point.HORIZON - first, i
        assert set(np.diff(own)) == {point.HORIZON}


def test_the_same_seed_begins_anew_with_the_same_steps() -> None:
    world, steps = KIND.make(SPEC, N, stagger=True), actions(30)
    first = [world.reset(seed=5)[0], *(world.step(a)[0] for a in steps)]
    again = [world.reset(seed=5)[0], *(world.step(a)[0] for a in steps)]
    np.testing.assert_array_equal(first, again)


def test_a_return_above_a_threshold_is_judged_at_the_end() -> None:
    spec = replace(SPEC, success_above=-12.0, measured=replace(MEASURED, success=None))
    world, steps = KIND.make(spec, N), actions(point.HORIZON)
    world.reset(seed=0)
    total = np.zeros(N)
    for action in steps:
        _, rewards, terminated, truncated, infos = world.step(action)
        assert not world.solved_now.any()
        running = total > -1e6
        total[running] += rewards[running]
        for i in np.flatnonzero(terminated | truncated):
            told = infos["final_info"]
            assert told["is_success"][i] == told["success_final"][i] == (total[i] > -12.0)
            total[i] = -np.inf
    assert (total == -np.inf).all()


@pytest.mark.parametrize(("key", "tells"), [("won", True), (None, False)])
def test_what_tells_success(key: str | None, tells: bool) -> None:
    spec = replace(SPEC, kwargs={"tells": "won"}, success_key=key, measured=replace(MEASURED, success=None))
    world = KIND.make(spec, 40)
    world.reset(seed=0)
    assert world.tells_success == tells
    world.step(np.zeros((40, 2), np.float32))  # the middle of the bounds: it stays where it is, here and there at 0
    assert world.solved.any() == world.solved_now.any() == tells


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (
            "raises",
            r"fails in step \(ZeroDivisionError: a wheel came off\); mend the environment$",
        ),
        ("nan", "gives an observation with nan in step; mend the environment$"),
    ],
)
def test_a_failure_is_one_sentence(fault: str, sentence: str) -> None:
    world = KIND.make(replace(SPEC, kwargs={"fault": fault}), N)
    world.reset(seed=0)
    world.step(actions(1)[0]), world.step(actions(1)[0])
    with pytest.raises(WorldFailed, match=f"^gymnasium:Point-v0 {sentence}"):
        world.step(actions(1)[0])


def test_another_version_of_other_sizes_is_refused() -> None:
    with pytest.raises(
        UserError, match="has 6 observations and 3 actions here, and had 4 and 2 when it was measured"
    ):
        KIND.make(replace(SPEC, kwargs={"size": 3}), 1)


def test_pictures_are_squares_of_what_it_draws() -> None:
    world = KIND.make(SPEC, 2, draw=30)
    world.reset(seed=0)
    world.step(actions(1, 2)[0])
    looks = world.look()
    assert looks.shape == (2, 30, 30, 3)
    assert not looks[:, :5].any(), "black above what is wider than high"
    assert looks[:, 15, 0].all()
    with world.painter(30, 30) as painter:
        np.testing.assert_array_equal(list(painter.frames(looks)), looks)


def test_a_picture_of_one_colour_keeps_it() -> None:
    square = fitted(np.full((7, 7, 3), 200, np.uint8), 5)
    assert (square == 200).all()


def test_an_unknown_kind_of_world() -> None:
    with pytest.raises(
        UserError, match=r"^task 'gymnasum:A': unknown kind of world 'gymnasum'; did you mean gymnasium"
    ):
        kind_of("gymnasum:A")


def test_a_name_imports_nothing() -> None:
    with pytest.raises(UserError, match=r"^unknown world 'gymnasium:antigravity:Point-v0'"):
        KIND.check("gymnasium:antigravity:Point-v0")


def test_native_tasks_are_not_taken_through_gymnasium() -> None:
    with pytest.raises(UserError, match="is one of clrobot's own tasks"):
        KIND.check("gymnasium:clrobot/Reach-v0")
