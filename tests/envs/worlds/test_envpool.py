"""EnvPool's tasks as a world, on a stand-in for EnvPool: what it does a step too late comes in time here."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support import pools
from support.pools import DRIFTING, FETCH, META, PANDA

from clrobot.envs.worlds import envpool_import, envpool_kind
from clrobot.envs.worlds.envpool_kind import EnvPoolKind
from clrobot.envs.worlds.kinds import kind_of
from clrobot.envs.worlds.pool import MAKING, Pool
from clrobot.envs.worlds.spec import WorldSpec
from clrobot.errors import UserError

KIND = EnvPoolKind()
N = 6


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    pools.install(monkeypatch)
    monkeypatch.setattr(envpool_kind, "STEPS", 500)


def spec(task: str, **changes: Any) -> WorldSpec:
    plain = WorldSpec(task, **changes)
    return replace(plain, measured=KIND.examine(plain))


def actions(steps: int, n: int = N, size: int = 2) -> Any:
    return np.random.default_rng(0).uniform(-1.0, 1.0, (steps, n, size)).astype(np.float32)


def test_an_episode_that_ends_begins_anew_in_the_same_step() -> None:
    """Beside one simulation of the stand-in, stepped as EnvPool is, for each: its call after an end is left out."""
    import envpool  # type: ignore[import-not-found,unused-ignore]

    steps, world = actions(60), KIND.make(spec(FETCH), N)
    own = [
        envpool.make("FetchPoint-v4", env_type="gymnasium", num_envs=1, num_threads=1, seed=7 + i) for i in range(N)
    ]
    measured = spec(FETCH).measured
    assert measured is not None

    def shown(obs: Any) -> Any:
        row = np.concatenate([obs["achieved_goal"][0], obs["observation"][0]])
        return ((row - np.array(measured.offset)) / np.array(measured.scale)).clip(-10, 10).astype(np.float32)

    obs, _ = world.reset(seed=7)
    np.testing.assert_array_equal(obs, [shown(pool.reset()[0]) for pool in own])
    ends, solved = {True: 0, False: 0}, [False] * N
    for action in steps:
        obs, rewards, terminated, truncated, infos = world.step(action)
        for i, pool in enumerate(own):
            last, reward, over, cut, told = pool.step(action[i : i + 1])
            assert (rewards[i], terminated[i], truncated[i]) == (reward[0], over[0], cut[0])
            solved[i] |= bool(told["is_success"][0])
            if over[0] or cut[0]:
                ends[bool(over[0])] += 1
                np.testing.assert_array_equal(infos["final_obs"][i], shown(last))
                assert infos["final_info"]["is_success"][i] == solved[i]
                assert infos["final_info"]["success_final"][i] == told["is_success"][0]
                solved[i] = False
                last = pool.step(action[i : i + 1])[0]  # the call that resets it
            assert world.solved[i] == solved[i]
            np.testing.assert_array_equal(obs[i], shown(last))
    assert min(ends.values()) > 0, "some episodes end by themselves, and some by their length"


def test_all_simulations_are_one_pool_with_a_seed_for_each() -> None:
    world = KIND.make(spec(FETCH), N, threads=3)
    pools.made.clear()
    world.reset(seed=2**31 - 2)
    world.reset(seed=[5, 5, 1, 2, 3, 4])
    world.reset()
    assert [made["seed"][:3] for made in pools.made] == [[2**31 - 2, 2**31 - 1, 0], [5, 5, 1]]
    assert {(made["num_envs"], made["num_threads"]) for made in pools.made} == {(N, 3)}


def test_the_same_seed_gives_the_same_episodes_whatever_came_before() -> None:
    world, steps = KIND.make(spec(FETCH), N, stagger=True), actions(40)
    first = [world.reset(seed=5)[0], *(world.step(action)[0] for action in steps)]
    again = [world.reset(seed=5)[0], *(world.step(action)[0] for action in steps)]
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[0], world.reset(seed=6)[0])


def test_staggered_episodes_end_early_once_and_then_run_whole() -> None:
    world = KIND.make(spec(META, horizon=20), 4, stagger=True)
    _, info = world.reset(seed=0)
    assert info["elapsed"].tolist() == [0, 4, 9, 14]
    ends: list[list[int]] = [[] for _ in range(4)]
    for t in range(1, 60):
        *_, truncated, infos = world.step(np.zeros((4, 4), np.float32))
        for i in np.flatnonzero(truncated):
            ends[i].append(t)
            assert infos["_final_obs"][i]
    for elapsed, own in zip(info["elapsed"], ends, strict=True):
        assert own[0] == 20 - elapsed
        assert set(np.diff(own)) == {20}


def test_goals_are_shown_and_kwargs_may_hide_them() -> None:
    for kwargs, goal in (({}, pools.GOAL), ({"partially_observable": True}, 0.0)):
        world = KIND.make(spec(META, kwargs=kwargs), 2)
        obs, _ = world.reset(seed=0)
        assert obs[0, -1] == pytest.approx((goal - 0.2) / 0.2)


def test_metaworld_s_tasks_have_one_scale_and_others_that_of_a_trial() -> None:
    one = spec(META).measured
    assert one is not None
    assert (len(one.offset), len(one.scale), one.actions, one.success) == (39, 39, 4, "success")
    assert one.offset[:3] == one.offset[4:7] == one.offset[18:21] == one.offset[36:] == (0.0, 0.6, 0.2)
    tried = spec(FETCH).measured
    assert tried is not None
    assert (len(tried.offset), tried.actions, tried.success) == (4, 2, "is_success")
    assert tried.scale[2] == tried.scale[3] <= min(tried.scale[:2]), "half as large: a skill may move it as far"


def test_success_that_is_never_told_is_none_and_a_key_may_have_a_bound() -> None:
    assert spec(PANDA).measured.success is None  # type: ignore[union-attr]
    assert KIND.make(spec(PANDA), 1).tells_success is False
    assert envpool_kind.success_keys("envpool:PandaPickCubeCartesian-v1")[-1] == "reward_success"
    far = KIND.make(spec(FETCH, success_key="distance", key_above=1.0), 40)
    far.reset(seed=0)
    told: list[bool] = []
    for _ in range(8):
        far.step(np.ones((40, 2), np.float32))
        told += far.solved_now.tolist()
    assert 0 < np.mean(told) < 1
    with pytest.raises(UserError, match=r"never tells 'won' in its info; it tells distance, env_id, is_success"):
        spec(FETCH, success_key="won")


@pytest.mark.parametrize(
    ("task", "sentence"),
    [
        ("envpool:FetchPiont-v4", "did you mean envpool:FetchPoint-v4"),
        ("envpool:Pong-v5", "is of EnvPool's atari"),
        ("envpool:../../etc", "unknown world"),
    ],
)
def test_a_task_that_cannot_be_had_is_one_sentence(task: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        kind_of(task).check(task)


@pytest.mark.parametrize("kwargs", [{"num_envs": 9}, {"base_path": "x"}, {"nope": 1}, {"start": "far"}])
def test_kwargs_are_numbers_of_the_task_s_own(kwargs: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=rf"kwargs has '{next(iter(kwargs))}'"):
        spec(PANDA, kwargs=kwargs)
    spec(PANDA, kwargs={"start": 2.0})


def test_a_pool_whose_seeds_mean_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Pool, "_each", lambda self, seed: np.random.default_rng().integers(9, size=self.num_envs).tolist()
    )
    with pytest.raises(UserError, match="ignores its seed"):
        spec(FETCH)


def test_a_task_whose_goal_moves_at_every_reset_gets_a_new_simulation_for_each_episode() -> None:
    """Episodes that end apart, since they are staggered, and a single one beside that acts as one of them did."""
    world, moves = KIND.make(spec(DRIFTING), N, stagger=True), actions(40, size=4)
    obs, _ = world.reset(seed=3)
    goal, starts, ends = obs[0, -1], [obs[1]], 0
    for action in moves:
        obs, rewards, _, truncated, _ = world.step(action)
        np.testing.assert_array_equal(obs[:, -1], np.full(N, goal))
        assert obs.shape == (N, 39)
        assert rewards.shape == (N,)
        ends += int(truncated.sum())
        if truncated[1]:
            starts.append(obs[1])
    assert ends > 5 * N
    assert len({tuple(start) for start in starts}) == len(starts), "every episode starts elsewhere"
    again = KIND.make(spec(DRIFTING), N, stagger=True)
    again.reset(seed=3)
    for action in moves:
        repeated, *_ = again.step(action)
    np.testing.assert_array_equal(repeated, obs)
    # What one of them does is what it does alone, first episodes aside, which are cut short here.
    shown, first = {}, {}
    for single, found in ((True, shown), (False, first)):
        one = KIND.make(spec(DRIFTING), 1 if single else N)
        one.reset(seed=4 if single else 3)
        found["obs"] = [one.step(action[1:2] if single else action)[0][0 if single else 1] for action in moves]
    np.testing.assert_array_equal(shown["obs"], first["obs"])


def test_a_reset_without_seeds_goes_on_with_those_of_before() -> None:
    """Nothing is drawn from the system: what is collected in several batches is the same each time."""
    shown = []
    for _ in range(2):
        world, starts = KIND.make(spec(DRIFTING), N), []
        for seed in (3, None, None):
            starts.append(world.reset(seed=seed)[0])
            world.step(actions(1, size=4)[0])
        shown.append(starts)
    np.testing.assert_array_equal(shown[0], shown[1])
    assert len({tuple(row) for starts in shown[0] for row in starts}) == 3 * N, "every episode starts elsewhere"


def test_no_simulation_is_made_for_an_episode_that_nobody_asks_for() -> None:
    for once in (False, True):
        world, made = KIND.make(spec(DRIFTING), N), MAKING.pools
        world.reset(seed=3, options={"once": True} if once else None)
        for action in actions(6, size=4):
            *_, truncated, infos = world.step(action)
        assert truncated.all()
        assert infos["final_obs"].shape == (N, 39)
        assert MAKING.pools == made + (1 if once else 2)
    obs, _ = world.reset(seed=3)
    again, _ = KIND.make(spec(DRIFTING), N).reset(seed=3)
    np.testing.assert_array_equal(obs, again)


def test_simulations_that_are_made_anew_begin_in_few_groups() -> None:
    """Each group is a pool: of 64, twenty-five pools of two or three would be stepped, and made."""
    for task, groups in ((DRIFTING, 8), (META, 25)):
        world = KIND.make(spec(task, horizon=200), 64, stagger=True)
        _, told = world.reset(seed=0)
        assert len({*told["elapsed"].tolist()}) == groups
        for action in actions(200, n=64, size=4):
            world.step(action)
        assert len(world.env._parts) == (groups if task == DRIFTING else 1)


def test_what_is_made_is_counted_and_let_go() -> None:
    before = MAKING.pools, MAKING.simulations, MAKING.seconds
    world = KIND.make(spec(META), N)
    at = MAKING.pools
    world.reset(seed=0)
    world.let_go()
    assert world.env._parts == []  # type: ignore[attr-defined]
    world.reset(seed=0)
    world.step(np.zeros((N, 4)))
    assert MAKING.pools == at + 2
    assert MAKING.simulations >= before[1] + 2 * N
    assert MAKING.seconds > before[2]


@pytest.mark.parametrize("then", [{}, {"then": 1e6}])
def test_a_simulation_that_goes_to_infinity_is_counted_and_begins_anew(then: dict[str, float]) -> None:
    """Whether it shows what is no number, or pays as nothing real does."""
    measured = spec(PANDA).measured
    world = KIND.make(WorldSpec(PANDA, kwargs={"nan_at": 4, **then}, measured=measured), 3)
    world.reset(seed=0)
    for t in range(1, 9):
        obs, rewards, terminated, truncated, infos = world.step(np.zeros((3, 2), np.float32))
        assert np.isfinite(obs).all()
        assert terminated.all() == (t % 4 == 0)
        assert not truncated.any()
        if infos:
            assert np.isfinite(infos["final_obs"]).all()
            assert (rewards == 0.0).all()
    assert world.divergences == 6
    resumed = KIND.make(WorldSpec(PANDA, measured=measured), 3)
    resumed.set_state(world.get_state())
    assert resumed.divergences == 6


def test_its_own_pictures_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    world = KIND.make(spec(FETCH), 2, draw=20)
    world.reset(seed=0)
    assert world.fps == pytest.approx(25.0)
    world.step(np.zeros((2, 2), np.float32))
    looks = world.look()
    assert looks.shape == (2, 20, 20, 3)
    assert set(looks.ravel().tolist()) == {10}


def test_why_nothing_is_drawn_is_a_clause(monkeypatch: pytest.MonkeyPatch) -> None:
    """A renderer that ends its process ends one of its own."""
    give = "give it an OpenGL that works (libegl1 and a driver, such as Mesa's)"
    monkeypatch.setattr(envpool_import.ctypes, "CDLL", lambda *_, **__: None)
    monkeypatch.setattr(envpool_import, "_loaded", [True])
    for script, reason in (
        ("import sys; print('ERROR: no context', file=sys.stderr); sys.exit(1)", "(ERROR: no context)"),
        ("import os; os.kill(os.getpid(), 9)", "(exit code -9)"),
        ("print('drawn')", None),
    ):
        monkeypatch.setattr(envpool_import, "_SCRIPT", script)
        envpool_import.why_nothing_is_drawn.cache_clear()
        found = envpool_import.why_nothing_is_drawn()
        assert found == (None if reason is None else f"EnvPool's renderer fails {reason}; {give}")

    def missing(*_: Any, **__: Any) -> None:
        raise OSError

    monkeypatch.setattr(envpool_import.ctypes, "CDLL", missing)
    envpool_import.why_nothing_is_drawn.cache_clear()
    assert envpool_import.why_nothing_is_drawn() == f"EnvPool draws through EGL, and libEGL.so.1 is missing; {give}"
    envpool_import.why_nothing_is_drawn.cache_clear()


def test_offers_are_the_newest_of_what_can_be_learned() -> None:
    offers = {offer.task: offer for offer in KIND.offers()}
    assert set(offers) == {FETCH, META, DRIFTING, PANDA}
    assert offers[FETCH][2:] == (12, 4, 2, "is_success", None)
    assert offers[PANDA].lacks == "success: give return_above or a key"


# Without EnvPool -------------------------------------------------------------------------------------------


def test_where_it_is_missing_a_name_is_taken_and_using_it_says_what_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = spec(META)
    pools.remove(monkeypatch)
    KIND.check(META)
    assert KIND.source(META) == {}
    for use in (KIND.horizon, KIND.examine, KIND.why_not_drawn, lambda own: KIND.make(own, 2)):
        with pytest.raises(
            UserError, match=r"needs EnvPool, which is not installed .*: pip install 'clrobot\[envpool\]'$"
        ):
            use(known)
    (offer,) = KIND.offers()
    assert offer.actions is None
    assert offer.lacks == "EnvPool: pip install 'clrobot[envpool]'"


def test_an_envpool_that_cannot_be_imported_is_a_sentence_and_its_runs_can_be_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(name: str) -> Any:
        raise ImportError("libstdc++.so.6: version `GLIBCXX_3.4.30' not found")

    monkeypatch.setattr(envpool_import, "import_module", broken)
    KIND.check(FETCH)
    assert KIND.source(FETCH) == {}
    (offer,) = KIND.offers()
    with pytest.raises(
        UserError, match=r"cannot be imported \(libstdc\+\+.*\); install it anew: pip install"
    ) as caught:
        KIND.examine(WorldSpec(FETCH))
    assert str(caught.value) in offer
