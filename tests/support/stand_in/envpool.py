"""A stand-in for EnvPool, as far as clrobot's bench uses it: the same calls, answers and automatic resets.

The task: success wherever the first action is above a half, which is rewarded. A file VERSION beside this one
overrides the version.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

_version = Path(__file__).with_name("VERSION")
__version__ = _version.read_text() if _version.exists() else "1.2.5"
_OWN: dict[str, dict[str, Any]] = {
    "MetaWorld": {"frame_skip": 5, "max_episode_steps": 500, "partially_observable": True},
    "PandaPickCube-v1": {"ctrl_dt": 0.02, "max_episode_steps": 150},
}


class _Pool:
    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        size = 4 if "frame_skip" in config else 8
        self.observation_space = spaces.Box(-np.inf, np.inf, (39,), np.float64)
        self.action_space = spaces.Box(-1.0, 1.0, (size,), np.float32)
        self._elapsed = np.full(config["num_envs"], config["max_episode_steps"])
        print("EnvPool says hello")  # on the script's own output, as some library may

    def reset(self, env_id: Any = None) -> Any:
        ids = np.arange(len(self._elapsed)) if env_id is None else env_id
        self._elapsed[ids] = 0
        return np.zeros((len(ids), 39)), {"env_id": ids, "elapsed_step": self._elapsed[ids]}

    def step(self, actions: Any) -> Any:
        assert actions.shape == (len(self._elapsed), *self.action_space.shape)
        assert actions.dtype == self.action_space.dtype
        fresh = self._elapsed >= self.config["max_episode_steps"]  # their actions are discarded
        self._elapsed = np.where(fresh, 0, self._elapsed + 1)
        good = (actions[:, 0] > 0.5) & ~fresh
        ended = self._elapsed >= self.config["max_episode_steps"]
        info = {"env_id": np.arange(len(good)), "elapsed_step": self._elapsed.copy(), "success": good.astype(float)}
        return np.zeros((len(good), 39)), 10.0 * good, np.zeros_like(ended), ended, info

    def close(self) -> None:
        pass


def make(task_id: str, *, env_type: str, num_envs: int, num_threads: int, seed: int, **config: Any) -> _Pool:
    assert env_type == "gymnasium"
    own = _OWN[task_id.partition("/")[0]]
    assert config.keys() <= own.keys()
    return _Pool(own | {"num_envs": num_envs, "num_threads": num_threads, "seed": seed} | config)
