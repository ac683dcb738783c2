"""Somebody else's environment: a point in the plane that is to reach the origin, and many ways to get it wrong."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

HORIZON = 12
REACHED = 0.3


class Point(gym.Env):
    """Observations {place (2,), speed (1, 2)}, actions (2,) in [-1, 3]; it ends early beyond a distance of 4.

    `tells` is the key of the info that says whether the origin is reached, and `fault` what is wrong with it.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012
    broken = False  # all of them, from one moment to the next

    def __init__(
        self, tells: str | None = "is_success", fault: str = "", size: int = 2, render_mode: str | None = None
    ) -> None:
        self.render_mode = render_mode
        self.tells, self.fault, self.size = tells, fault, size
        places = gym.spaces.Box(-np.inf, np.inf, (size,), np.float64)
        speeds = gym.spaces.Box(-5.0, 5.0, (1, size), np.float32)
        self.observation_space = gym.spaces.Dict({"speed": speeds, "place": places})
        self.action_space = gym.spaces.Box(-1.0, 3.0, (size,), np.float32)
        if fault == "pictures":
            self.observation_space = gym.spaces.Box(0, 255, (8, 8, 3), np.uint8)
        if fault == "discrete":
            self.action_space = gym.spaces.Discrete(4)
        if fault == "unbounded":
            self.action_space = gym.spaces.Box(-np.inf, np.inf, (size,), np.float32)
        if fault == "text":
            self.observation_space = gym.spaces.Sequence(gym.spaces.Discrete(2))
        if fault == "no picture":
            self.metadata = {"render_modes": []}
        if fault == "broken":
            raise ImportError("No module named 'wheels'")
        self.place, self.speed, self.steps, self.all_steps = np.zeros(size), np.zeros(size), 0, 0

    def _seen(self) -> Any:
        place = self.place.copy()
        if self.fault == "nan" and self.steps == 3:
            place[0] = np.nan
        if self.fault == "short":
            return place
        return {"speed": self.speed[None].astype(np.float32), "place": place}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        rng = np.random.default_rng() if self.fault == "unseeded" else self.np_random
        self.place = rng.uniform(-1.0, 1.0, self.size)
        if self.fault == "remembers":
            self.place += 0.01 * self.all_steps
        self.speed, self.steps = np.zeros(self.size), 0
        return self._seen(), {}

    def step(self, action: Any) -> Any:
        self.steps += 1
        self.all_steps += 1
        if self.broken or (self.fault == "raises" and self.steps == 3):
            raise ZeroDivisionError("a wheel came off")
        assert action.dtype == np.float32
        assert ((action >= -1.0) & (action <= 3.0)).all()
        self.speed = 0.5 * self.speed + 0.2 * (action - 1.0)
        self.place = self.place + self.speed + 0.01 * self.np_random.normal(size=self.size)
        distance = float(np.linalg.norm(self.place))
        reward: Any = -distance
        if self.fault == "no reward":
            reward = None
        info = {} if self.tells is None else {self.tells: distance < REACHED}
        return self._seen(), reward, distance > 4.0, False, info

    def render(self) -> Any:
        if self.fault == "no screen":
            raise RuntimeError("there is no screen")
        picture = np.zeros((40, 60, 3), np.uint8)
        picture[:, : self.steps + 1] = 255
        return picture


def register(horizon: int | None = HORIZON) -> None:
    """Register it with Gymnasium, as a package of its own would."""
    gym.register("Point-v0", entry_point="support.point:Point", max_episode_steps=horizon)


class Flat(Point):
    """The same with observations that are a flat box."""

    def __init__(self) -> None:
        super().__init__()
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (2,), np.float64)

    def _seen(self) -> Any:
        return self.place.copy()
