"""The check before training: what is wrong with an environment is one sentence, and else its scales are measured."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from support import point

from clrobot.envs.worlds import examine as examining
from clrobot.envs.worlds import gymnasium_kind
from clrobot.envs.worlds.examine import measured
from clrobot.envs.worlds.gymnasium_kind import GymnasiumKind
from clrobot.envs.worlds.spec import WorldSpec
from clrobot.errors import UserError

KIND = GymnasiumKind()


@pytest.fixture(autouse=True)
def registered(own_registries: None, monkeypatch: pytest.MonkeyPatch) -> None:
    point.register()
    monkeypatch.setattr(examining, "STEPS", 500)


def spec(**kwargs: Any) -> WorldSpec:
    return WorldSpec("gymnasium:Point-v0", kwargs=kwargs)


def test_the_scales_are_the_moments_of_random_steps() -> None:
    measured = KIND.examine(spec())
    env = gym.wrappers.FlattenObservation(gym.make("Point-v0"))
    rng, rows = np.random.default_rng(0), [env.reset(seed=0)[0]]
    while len(rows) < 500:
        action = (-1.0 + 4.0 * rng.random(2)).astype(np.float32)
        obs, _, terminated, truncated, _ = env.step(action)
        rows.append(obs)
        if terminated or truncated:
            rows.append(env.reset()[0])
    np.testing.assert_allclose(measured.offset, np.mean(rows[:500], axis=0), rtol=1e-12)
    np.testing.assert_allclose(measured.scale, np.std(rows[:500], axis=0), rtol=1e-12)
    assert (measured.actions, measured.success) == (2, "is_success")
    assert KIND.examine(spec()) == measured


def test_what_never_moves_has_a_scale_too() -> None:
    class Still(point.Point):
        def _seen(self) -> Any:
            return super()._seen() | {"place": np.array([2.0, 3.0])}

    gym.register("Still-v0", entry_point=Still, max_episode_steps=5)
    measured = KIND.examine(WorldSpec("gymnasium:Still-v0"))
    assert measured.offset[:2] == (2.0, 3.0)
    assert min(measured.scale) > 0


def test_what_is_only_rounded_does_not_move() -> None:
    rng = np.random.default_rng(0)
    rows = np.stack([rng.normal(0, 0.2, 500), 3.0 + 1e-14 * rng.normal(size=500), 1e-14 * rng.normal(size=500)], 1)
    found = measured("x", rows, 1, None, least=1.0).scale
    np.testing.assert_allclose(found, rows[:, 0].std(), rtol=1e-12)  # the one that moves is the median of what does


@pytest.mark.parametrize(("tells", "key"), [("success", "success"), ("won", None), (None, None)])
def test_what_tells_success_is_found(tells: str | None, key: str | None) -> None:
    assert KIND.examine(spec(tells=tells)).success == key


REFUSED = {
    "unbounded": "cannot be learned here: its actions have no bounds",
    "discrete": "cannot be learned here: its actions are Discrete(4), and an agent here gives numbers",
    "pictures": "cannot be learned here: it shows pictures (Box(0, 255, (8, 8, 3), uint8))",
    "text": "cannot be learned here: its observations are Sequence(",
    "broken": "cannot be made (No module named 'wheels'); install what it needs",
    "raises": "fails in step (ZeroDivisionError: a wheel came off); mend the environment",
    "nan": "gives an observation with nan in step; expected finite numbers",
    "short": "fails in reset (",
    "no reward": "gives a reward of None in step; expected a finite number",
    "unseeded": "ignores its seed: the same seed and the same actions give other steps a second time",
    "remembers": "ignores its seed: the same seed and the same actions give other steps a second time",
}


@pytest.mark.parametrize("fault", REFUSED)
def test_what_is_wrong_is_one_sentence(fault: str) -> None:
    with pytest.raises(UserError) as caught:
        KIND.examine(spec(fault=fault))
    sentence = str(caught.value)
    assert sentence.startswith(f"gymnasium:Point-v0 {REFUSED[fault]}")
    assert "\n" not in sentence


def test_an_episode_that_begins_without_a_seed_goes_by_the_one_before() -> None:
    """The commonest mistake: all but a training's first episode begin so, and these 30 steps are one episode."""

    class Drawn(point.Point):
        def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
            super().reset(seed=seed)
            self.place = np.random.default_rng(seed).uniform(-1.0, 1.0, self.size)
            return self._seen(), {}

    gym.register("Drawn-v0", entry_point=Drawn, max_episode_steps=50)
    with pytest.raises(UserError, match="ignores its seed"):
        KIND.examine(WorldSpec("gymnasium:Drawn-v0"))


def test_copies_of_other_spaces_are_refused() -> None:
    class Grows(point.Point):
        made = 0

        def __init__(self) -> None:
            super().__init__()
            Grows.made += 1
            self.action_space = gym.spaces.Box(-1.0, 2.0 + Grows.made, (2,), np.float32)

    gym.register("Grows-v0", entry_point=Grows, max_episode_steps=5)
    with pytest.raises(UserError, match="has one action_space in one copy and another in the next"):
        KIND.examine(WorldSpec("gymnasium:Grows-v0"))


@pytest.mark.parametrize(
    ("value", "usable"),
    [
        (True, True), (np.bool_(False), True), (0.5, True), (np.float32(1), True), (np.array([True]), True),
        (None, True), (float("nan"), True), ("no", False), ([True, False], False), ([[1], [1, 2]], False),
        (np.zeros(2), False), ({}, False),
    ],
)  # fmt: skip
def test_success_is_told_by_a_truth_or_a_number(value: Any, usable: bool) -> None:
    class Tells(point.Point):
        def step(self, action: Any) -> Any:
            return *super().step(action)[:4], {"won": value}

    gym.register("Tells-v0", entry_point=Tells, max_episode_steps=5)
    asked = WorldSpec("gymnasium:Tells-v0", success_key="won")
    # What tells no success may be anything.
    assert KIND.examine(replace(asked, success_key=None)).success is None
    if usable:
        assert KIND.examine(asked).success == "won"
    else:
        with pytest.raises(UserError, match=r"tells 'won' in its info as .*; expected true, false or a number: wrap"):
            KIND.examine(asked)


def test_an_unknown_argument_is_named() -> None:
    with pytest.raises(UserError, match=r"cannot be made \(.*unexpected keyword argument 'colour'"):
        KIND.examine(spec(colour="red"))


def test_a_key_that_is_never_told_is_refused() -> None:
    with pytest.raises(UserError, match=r"never tells 'won' in its info; it tells is_success: choose one"):
        KIND.examine(WorldSpec("gymnasium:Point-v0", success_key="won"))
    with pytest.raises(
        UserError, match=r"never tells 'won' in its info; it tells nothing: let it tell that at every"
    ):
        KIND.examine(WorldSpec("gymnasium:Point-v0", success_key="won", kwargs={"tells": None}))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("Reachr-v5", "did you mean gymnasium:Reacher-v5"),
        ("Zzzzzzzz-v9", "`clrobot worlds` lists all"),
        ("Pusher-v55", "did you mean gymnasium:Pusher-v5"),
    ],
)
def test_an_unknown_id_is_refused_with_the_nearest(name: str, sentence: str) -> None:
    with pytest.raises(UserError, match=rf"^unknown world 'gymnasium:{name}'; ") as caught:
        KIND.check(f"gymnasium:{name}")
    assert sentence in str(caught.value)


def test_what_never_ends_needs_a_horizon(own_registries: None) -> None:
    gym.register("Endless-v0", entry_point=point.Point)
    endless = WorldSpec("gymnasium:Endless-v0")
    with pytest.raises(UserError, match=r"^gymnasium:Endless-v0 never ends by itself; give .* horizon: 200$"):
        KIND.examine(endless)
    world = KIND.make(
        WorldSpec(
            "gymnasium:Endless-v0", horizon=7, measured=KIND.examine(WorldSpec("gymnasium:Endless-v0", horizon=7))
        ),
        1,
    )
    world.reset(seed=0)
    ends = [bool(world.step(np.zeros((1, 2), np.float32))[3][0]) for _ in range(14)]
    assert ends == ([False] * 6 + [True]) * 2


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("", None),
        ("no screen", "there is no screen; install what draws it"),
        (
            "no picture",
            "it has no render mode rgb_array; name it in its class's metadata, and take `render_mode`",
        ),
    ],
)
def test_whether_it_can_be_drawn(fault: str, reason: str | None) -> None:
    assert KIND.why_not_drawn(spec(fault=fault)) == reason


def test_a_world_that_cannot_be_made_says_what_to_do_once() -> None:
    found = KIND.why_not_drawn(spec(nonsense=1))
    assert found is not None
    assert "nonsense" in found
    assert found.count("; ") == 1


def test_where_a_world_comes_from_is_looked_up_once_until_something_is_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    looks = []

    def look() -> dict[str, list[str]]:
        looks.append(1)
        return {"support": ["pytest"]} if len(looks) > 1 else {}

    monkeypatch.setattr(gymnasium_kind, "packages_distributions", look)
    monkeypatch.syspath_prepend(tmp_path)  # where nothing was looked up yet
    assert KIND.source("gymnasium:Point-v0") == KIND.source("gymnasium:Point-v0") == {"module": "support.point"}
    assert len(looks) == 1
    os.utime(tmp_path, (1.0, 1.0))
    assert KIND.source("gymnasium:Point-v0") == {"distribution": "pytest", "version": pytest.__version__}
    assert len(looks) == 2
