"""Meta-World's own environments and scripted policies: a script for another interpreter than clrobot's.

Meta-World pins a MuJoCo too old for clrobot, so a test runs this file by its path, and it imports nothing of clrobot.
It answers each line of JSON on its input with one.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from typing import Any

import numpy as np
from metaworld.env_dict import ALL_V3_ENVIRONMENTS  # type: ignore[import-not-found,unused-ignore]
from metaworld.policies import ENV_POLICY_MAP  # type: ignore[import-not-found,unused-ignore]


class Oracle:
    """One environment of a task with its goal shown, and the task's scripted policy."""

    def __init__(self, task: str) -> None:
        self.env: Any = ALL_V3_ENVIRONMENTS[task]()
        self.env._set_task_called = True
        self.env._freeze_rand_vec = False
        self.env._partially_observable = False
        self.env.__dict__.pop("sawyer_observation_space", None)  # it was made to hide the goal, and clips it
        # Views of the fingers' places as they are, where those at first are meant; EnvPool keeps them.
        self.env.init_left_pad, self.env.init_right_pad = (
            self.env.init_left_pad.copy(),
            self.env.init_right_pad.copy(),
        )
        self.policy = ENV_POLICY_MAP[task]()
        self._seed, self._rng = 0, np.random.RandomState(0)
        self._reset_model = self.env.reset_model
        self.env.reset_model = self._begin_model
        self.env._get_state_rand_vec = self._draw  # what a reset draws: places of objects and of the goal

    def _begin_model(self) -> Any:
        """Put all in its place; a reset of Meta-World's does so twice, and only the second counts."""
        self._rng = np.random.RandomState(self._seed)
        return self._reset_model()

    def _draw(self) -> Any:
        """Return the next place as EnvPool draws it: numbers of C++'s Mersenne twister, two for each."""
        space = self.env._random_reset_space
        words = self._rng.randint(0, 2**32, 2 * space.low.size, np.uint32).astype(np.float64).reshape(-1, 2)
        drawn = space.low + (space.high - space.low) * (words[:, 0] + words[:, 1] * 2.0**32) / 2.0**64
        self.env._last_rand_vec = drawn
        return drawn

    def begin(self, seed: int) -> Any:
        """Begin an episode of EnvPool's simulation of that seed, and return the observation (39,)."""
        self._seed = seed
        obs, _ = self.env.reset()
        return obs

    def act(self, obs: Any) -> Any:
        """Return the scripted policy's action (4,), within its bounds."""
        return np.clip(self.policy.get_action(np.asarray(obs)), -1.0, 1.0).astype(np.float32)

    def episode(self, seed: int, steps: int, kept: int) -> dict[str, Any]:
        """Play an episode until it is solved; return that, and what its first steps showed, paid and were given."""
        obs, solved = self.begin(seed), False
        told: dict[str, Any] = {"observations": [obs.tolist()], "rewards": [], "actions": []}
        for t in range(steps):
            action = self.act(obs)
            obs, reward, _, _, info = self.env.step(action)
            solved |= bool(info["success"])
            if t < kept:
                told["observations"].append(obs.tolist())
                told["rewards"].append(float(reward))
                told["actions"].append(action.tolist())
            elif solved:
                break
        return told | {"solved": solved}


def main() -> None:
    """Answer requests: a task is opened, plays an episode, or its policy acts on observations (N, 39)."""
    oracle: Oracle | None = None
    for line in sys.stdin:
        request = json.loads(line)
        answer: dict[str, Any] = {"metaworld": version("metaworld"), "mujoco": version("mujoco")}
        if "open" in request:
            oracle = Oracle(request["open"])
        elif "seed" in request:
            assert oracle is not None
            answer = oracle.episode(request["seed"], request["steps"], request["kept"])
        elif "observations" in request:
            assert oracle is not None
            answer = {"actions": [oracle.act(obs).tolist() for obs in request["observations"]]}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
