"""A stand-in for EnvPool in this process, as far as worlds use it: seeds at the making, resets a step too late.

Its tasks are a point in the plane that is to reach the origin. `FetchPoint-v4` shows a dictionary and ends early
beyond a distance of 4, `MetaWorld/Point-v3` shows 39 numbers, of which the goal is hidden unless asked for, and
`PandaPoint-v1` has a success that is never told.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from clrobot.envs.worlds import envpool_kind

REACHED = 0.3
DRIFTING = "envpool:MetaWorld/Hammer-v3"  # whose goal moves at every reset, as EnvPool's own
FETCH, META, PANDA = "envpool:FetchPoint-v4", "envpool:MetaWorld/Point-v3", "envpool:PandaPoint-v1"
GOAL = 0.25  # what Meta-World's task shows last, if it is asked for

_SPECS: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "FetchPoint-v4": ("robotics", {"frame_skip": 20, "max_episode_steps": 12}, ["is_success", "distance"]),
    "FetchPoint-v1": ("robotics", {"frame_skip": 20, "max_episode_steps": 12}, ["is_success", "distance"]),
    "MetaWorld/Point-v3": (
        "metaworld",
        {"frame_skip": 5, "max_episode_steps": 30, "partially_observable": True},
        ["success"],
    ),
    "MetaWorld/Hammer-v3": (
        "metaworld",
        {"frame_skip": 5, "max_episode_steps": 6, "partially_observable": True},
        ["success"],
    ),
    "PandaPoint-v1": (
        "playground",
        {"ctrl_dt": 0.02, "max_episode_steps": 10, "start": 1.0, "nan_at": 0, "then": np.nan},
        ["reward_success"],
    ),
    "Pong-v5": ("atari", {"max_episode_steps": 100}, []),
}
made: list[dict[str, Any]] = []  # what each pool was made with


class _Spec:
    def __init__(self, name: str, config: dict[str, Any]) -> None:
        family, own, told = _SPECS[name]
        if not config.keys() <= own.keys() | {"num_envs", "num_threads", "seed"}:
            raise TypeError(f"unexpected {config.keys() - own.keys()}")
        self.config = {"num_envs": 1, "num_threads": 0, "seed": 42} | own | config
        self._config_keys, self._config_values = tuple(self.config), tuple(self.config.values())
        self._state_keys = tuple(f"info:{key}" for key in [*told, "env_id"])
        place = gym.spaces.Box(-np.inf, np.inf, (2,), np.float64)
        self.gymnasium_observation_space: gym.Space[Any] = place
        if family == "robotics":
            self.gymnasium_observation_space = gym.spaces.Dict({"observation": place, "achieved_goal": place})
        if family == "metaworld":
            self.gymnasium_observation_space = gym.spaces.Box(-np.inf, np.inf, (39,), np.float64)
        size = 4 if family == "metaworld" else 2
        self.gymnasium_action_space = gym.spaces.Box(-1.0, 1.0, (size,), np.float32)


class _Pool:
    def __init__(self, name: str, spec: _Spec, render_mode: str | None) -> None:
        self.config, self._family, self._told = spec.config, *(_SPECS[name][i] for i in (0, 2))
        self.action_space, self._render_mode = spec.gymnasium_action_space, render_mode
        seed, n = self.config["seed"], self.config["num_envs"]
        seeds = [seed + i for i in range(n)] if isinstance(seed, int) else seed
        assert len(seeds) == n
        assert all(isinstance(own, int) and 0 <= own < 2**31 for own in seeds)
        self._rngs = [np.random.default_rng(own) for own in seeds]
        self._places, self._elapsed, self._done = np.zeros((n, 2)), np.zeros(n, np.int32), np.ones(n, bool)
        self._resets, self._drifts, self._sent = np.zeros(n), name.endswith("Hammer-v3"), None

    def _start(self, i: int) -> None:
        self._places[i] = self._rngs[i].uniform(-1.0, 1.0, 2) * self.config.get("start", 1.0)
        self._elapsed[i], self._done[i] = 0, False
        self._resets[i] += 1

    def _seen(self, ids: Any) -> Any:
        places = self._places[ids].copy()
        if self._family == "robotics":
            return {"observation": places, "achieved_goal": 2.0 * places}
        if self._family == "metaworld":
            rows = np.zeros((len(ids), 39))
            rows[:, :2], rows[:, -1] = places, 0.0 if self.config["partially_observable"] else GOAL
            if self._drifts:
                rows[:, -1] *= self._resets[ids]
            return rows
        return places

    def _info(self, ids: Any) -> dict[str, Any]:
        distance = np.linalg.norm(self._places[ids], axis=1)
        values = {key: (distance < REACHED).astype(float) for key in ("success", "is_success")}
        values |= {"reward_success": np.zeros(len(ids)), "distance": distance}
        info = {key: values[key] for key in self._told}
        return info | {"env_id": ids.astype(np.int32), "elapsed_step": self._elapsed[ids].copy()}

    def reset(self, env_id: Any = None) -> Any:
        ids = np.arange(len(self._rngs)) if env_id is None else env_id
        for i in ids:
            self._start(int(i))
        return self._seen(ids), self._info(ids)

    def step(self, actions: Any) -> Any:
        assert actions.dtype == np.float32
        assert actions.shape == (len(self._rngs), *self.action_space.shape)
        ids, fresh = np.arange(len(self._rngs)), self._done.copy()
        for i in ids:
            if fresh[i]:
                self._start(int(i))
            else:
                self._places[i] += 0.3 * actions[i, :2]
                self._elapsed[i] += 1
        far = (np.linalg.norm(self._places, axis=1) > 1.5) & (self._family == "robotics")
        truncated = self._elapsed >= self.config["max_episode_steps"]
        self._done = (far | truncated) & ~fresh
        if at := self.config.get("nan_at"):
            self._places[self._elapsed == at] = self.config["then"]
        rewards = (-np.linalg.norm(self._places, axis=1)).astype(np.float32)
        return self._seen(ids), rewards, self._done & ~truncated, self._done & truncated, self._info(ids)

    def send(self, actions: Any) -> None:
        assert self._sent is None
        self._sent = actions

    def recv(self) -> Any:
        actions, self._sent = self._sent, None
        return self.step(actions)

    def render(self, env_ids: Any = None) -> Any:
        assert self._render_mode == "rgb_array"
        side = self.config.get("side", 8)
        return np.stack([np.full((side, side, 3), 10 * self._elapsed[i], np.uint8) for i in env_ids])


def _make(name: str, *, env_type: str, render_mode: str | None = None, **config: Any) -> _Pool:
    assert env_type == "gymnasium"
    for key in ("render_width", "render_height"):
        config.pop(key, None)
    made.append(dict(config))
    return _Pool(name, _Spec(name, config), render_mode)


def _make_spec(name: str, render_mode: str | None = None, **config: Any) -> _Spec:
    return _Spec(name, {key: value for key, value in config.items() if not key.startswith("render_")})


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the stand-in where EnvPool would be imported from."""
    package, registration = ModuleType("envpool"), ModuleType("envpool.registration")
    for module in (package, registration):
        module.__spec__ = ModuleSpec(module.__name__, None)
    vars(package).update(make=_make, make_spec=_make_spec, __version__="1.2.5", __path__=[])
    registry = ModuleType("registry")
    vars(registry)["specs"] = {name: (f"envpool.mujoco.{f}", "", {}) for name, (f, *_) in _SPECS.items()}
    vars(registration)["registry"] = registry
    monkeypatch.setitem(sys.modules, "envpool", package)
    monkeypatch.setitem(sys.modules, "envpool.registration", registration)
    made.clear()


def remove(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let EnvPool be missing, whether or not it is installed."""
    monkeypatch.setattr(envpool_kind, "is_installed", lambda: False)
