"""How fast EnvPool's simulations are: a script for another interpreter than clrobot's.

EnvPool is 750 MB and an optional tool, so `clrobot bench --envpool PYTHON` runs this file by its path, and it imports
nothing of clrobot. It answers each line of JSON on its input with one.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import envpool  # type: ignore[import-not-found]
import numpy as np
from numpy.typing import NDArray

_METAWORLD_TIMESTEP = 0.0025  # s, of MuJoCo in Meta-World's models


class Pool:
    """A pool of one task under random actions, whose episodes last as long as the suite lets them."""

    def __init__(self, task: str, num_envs: int, threads: int) -> None:
        """Make it; that takes seconds."""
        self._pool = envpool.make(task, env_type="gymnasium", num_envs=num_envs, num_threads=threads, seed=0)
        config = self._pool.config
        self.horizon = int(config["max_episode_steps"])
        # s, of one control step: Playground's tasks say it, Meta-World's say how many of MuJoCo's steps it has.
        own = config.get("ctrl_dt")
        self.control_step = float(config["frame_skip"] * _METAWORLD_TIMESTEP if own is None else own)
        space = self._pool.action_space
        rng = np.random.default_rng(0)
        self._actions: NDArray[Any] = rng.uniform(-1.0, 1.0, (100, num_envs, *space.shape)).astype(space.dtype)
        self._calls = 0
        self._pool.reset()
        self.turn(20)  # warm up
        self._pool.reset()

    def turn(self, calls: int) -> dict[str, Any]:
        """Step `calls` times; return the control steps of all simulations together and the seconds.

        A simulation whose episode has ended spends its next call on its reset, which is no control step.
        """
        steps, began = 0, time.perf_counter()
        for _ in range(calls):
            info = self._pool.step(self._actions[self._calls % len(self._actions)])[-1]
            steps += int(np.count_nonzero(info["elapsed_step"]))
            self._calls += 1
        return {"steps": steps, "seconds": time.perf_counter() - began}


def main() -> None:
    """Answer requests: `open` a task's pool in place of the last one, or take a turn of `calls`."""
    pool: Pool | None = None
    for line in sys.stdin:
        request = json.loads(line)
        answer: dict[str, Any] = {"envpool": envpool.__version__}
        if "open" in request:
            pool = None  # the last one goes before the next one comes
            pool = Pool(request["open"], request["num_envs"], request["threads"])
            answer = {"horizon": pool.horizon, "control_step": pool.control_step}
        elif "calls" in request:
            assert pool is not None
            answer = pool.turn(request["calls"])
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
