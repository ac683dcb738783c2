"""How fast Meta-World is, each simulation in a process of its own: a script for another interpreter than clrobot's.

Meta-World pins a MuJoCo too old for clrobot, so `clrobot bench --metaworld PYTHON` runs this file by its path, and it
imports nothing of clrobot. It prints one line of JSON.
"""

from __future__ import annotations

import functools
import json
import multiprocessing
import os
import sys
import time
from importlib.metadata import version
from typing import Any

import gymnasium as gym
import metaworld  # type: ignore[import-not-found]  # noqa: F401 -- registers Meta-World/MT1
import numpy as np
from stable_baselines3.common.vec_env import SubprocVecEnv


def make(task: str, seed: int) -> gym.Env[Any, Any]:
    """Return one Meta-World environment, without Gymnasium's checks, which cost time."""
    return gym.make("Meta-World/MT1", env_name=task, seed=seed, disable_env_checker=True)


def steps_per_second(task: str, workers: int, seconds: float) -> float:
    """Return the control steps a second of `workers` processes together, under random actions, resets included."""
    # Where processes can be forked they start with everything imported; their speed is the same.
    start = "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"
    envs = SubprocVecEnv([functools.partial(make, task, seed) for seed in range(workers)], start_method=start)
    actions = np.random.default_rng(0).uniform(-1.0, 1.0, (100, workers, 4)).astype(np.float32)
    envs.reset()
    for warm_up in actions[:20]:
        envs.step(warm_up)
    steps, began = 0, time.perf_counter()
    while not steps or time.perf_counter() - began < seconds:
        for action in actions:
            envs.step(action)
        steps += actions.shape[0] * workers
    spent = time.perf_counter() - began
    envs.close()
    return steps / spent


def main(words: list[str]) -> None:
    """Print what is installed; given a task and seconds, its speed at several (or the given) numbers of processes."""
    found: dict[str, Any] = {name: version(name) for name in ("metaworld", "mujoco", "stable-baselines3")}
    if words:
        task, seconds = words[0], float(words[1])
        env: Any = make(task, 0).unwrapped
        cores = os.cpu_count() or 1
        counts = [int(word) for word in words[2:]] or [cores, 2 * cores, 4 * cores]
        found["control_step"] = env.dt  # s
        found["steps_per_second"] = {n: steps_per_second(task, n, seconds) for n in counts}
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
