"""How soon stock PPO learns one of EnvPool's Meta-World tasks: a script for another interpreter than clrobot's.

`clrobot bench --envpool PYTHON --envpool-learning FILE` runs this file by its path, and it imports nothing of
clrobot. It answers each line of JSON on its input with one.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version
from typing import Any

import envpool  # type: ignore[import-not-found]
import numpy as np
import torch as th
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

_PHASES = 25  # of an episode, over which the simulations are spread: a short rollout then sees every phase
_EVALUATION_SEED = 1_000_000


class Pool(VecEnv):
    """EnvPool's simulations of a Meta-World task, as Stable-Baselines3 takes them.

    The goals are visible. Episodes end after `horizon` steps, none sooner, and begin anew in the same step.
    """

    def __init__(
        self, task: str, num_envs: int, horizon: int, threads: int, seed: int, reward_scale: float = 1.0
    ) -> None:
        """Make them; that takes seconds. `reward_scale` is a factor on every reward."""
        self.pool = envpool.make(
            task,
            env_type="gymnasium",
            num_envs=num_envs,
            num_threads=threads,
            seed=seed,
            max_episode_steps=horizon + 1,  # never reached: it is here that episodes end
            partially_observable=False,
        )
        self._horizon, self._scale = horizon, reward_scale
        self._elapsed = np.zeros(num_envs, np.int64)
        shape = self.pool.observation_space.shape
        super().__init__(num_envs, spaces.Box(-np.inf, np.inf, shape, np.float32), self.pool.action_space)

    def reset(self) -> NDArray[np.float32]:
        """Begin all episodes, each as if it had some steps behind it."""
        phase = np.arange(self.num_envs) * _PHASES // self.num_envs
        self._elapsed[:] = phase * self._horizon // _PHASES
        obs: NDArray[np.float32] = self.pool.reset()[0].astype(np.float32)
        return obs

    def step_async(self, actions: NDArray[Any]) -> None:
        """Keep the actions for `step_wait`."""
        self._actions = actions

    def step_wait(self) -> Any:
        """Step all simulations; those whose episodes are over return the next one's first observation."""
        found, rewards, _, _, _ = self.pool.step(self._actions)
        obs = found.astype(np.float32)
        self._elapsed += 1
        done = self._elapsed >= self._horizon
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if done.any():
            for i in np.flatnonzero(done):
                infos[i] = {"terminal_observation": obs[i].copy(), "TimeLimit.truncated": True}
            first, info = self.pool.reset(np.flatnonzero(done).astype(np.int32))
            obs[info["env_id"]] = first
            self._elapsed[done] = 0
        return obs, rewards.astype(np.float32) * self._scale, done, infos

    def solved(self, model: PPO) -> float:
        """Return the share of whole episodes, one of each simulation, that mean actions solve at any step."""
        normalizer = model.get_vec_normalize_env()
        obs: Any = self.pool.reset()[0].astype(np.float32)
        solved = np.zeros(self.num_envs, bool)
        for _ in range(self._horizon):
            seen = obs if normalizer is None else normalizer.normalize_obs(obs)
            actions, _ = model.predict(seen, deterministic=True)
            found, _, _, _, info = self.pool.step(actions)
            obs = found.astype(np.float32)
            solved |= info["success"] > 0.5
        return float(solved.mean())

    def close(self) -> None:
        """Let the simulations go."""
        self.pool.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Return an attribute that all simulations share, once for each."""
        return [getattr(self, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Refuse: they are in C++."""
        raise NotImplementedError

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Refuse: they are in C++."""
        raise NotImplementedError

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """Return False for each: they are in C++."""
        return [False for _ in self._get_indices(indices)]


def train(request: dict[str, Any]) -> dict[str, Any]:
    """Train until an evaluation's success is `learned` or more, or for `steps` control steps.

    Args:
        request: task, seed, steps, every (steps between evaluations), episodes (of an evaluation), horizon, threads
            (of the simulations), learned, and the settings: those of Stable-Baselines3's PPO by its names, and
            num_envs, reward_scale, normalize (observations, by their running mean and deviation), log_std_init and
            torch_threads.

    Returns:
        curve: pairs of control steps so far and success; seconds: of training, without evaluations.
    """
    own = dict(request["settings"])
    num_envs, scale, normalize = own.pop("num_envs"), own.pop("reward_scale"), own.pop("normalize")
    th.set_num_threads(own.pop("torch_threads"))
    # Stable-Baselines3's epsilon; the fused step saves a tenth of the learning time, as it does in clrobot.
    policy = {"log_std_init": own.pop("log_std_init"), "optimizer_kwargs": {"eps": 1e-5, "fused": True}}
    task, horizon, threads, seed = (request[key] for key in ("task", "horizon", "threads", "seed"))
    pool = Pool(task, num_envs, horizon, threads, seed * 10_000, scale)
    evaluation = Pool(task, request["episodes"], horizon, threads, _EVALUATION_SEED)
    env = VecNormalize(pool, norm_reward=False) if normalize else pool
    model = PPO("MlpPolicy", env, policy_kwargs=policy, seed=seed, device="cpu", **own)
    iteration = int(num_envs * model.n_steps)

    def whole(steps: int) -> int:
        return -(-steps // iteration) * iteration

    curve: list[tuple[int, float]] = []
    seconds = 0.0
    while model.num_timesteps < request["steps"] and (not curve or curve[-1][1] < request["learned"]):
        block = min(whole(request["every"]), whole(request["steps"] - model.num_timesteps))
        began = time.perf_counter()
        model.learn(block, reset_num_timesteps=False)
        seconds += time.perf_counter() - began
        curve.append((model.num_timesteps, evaluation.solved(model)))
    return {"curve": curve, "seconds": seconds}


def main() -> None:
    """Answer what is installed here, or with one training."""
    for line in sys.stdin:
        request = json.loads(line)
        if "task" in request:
            answer = train(request)
        else:
            found = {name: version(name) for name in ("stable-baselines3", "torch")}
            answer = {"envpool": envpool.__version__, **found}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
