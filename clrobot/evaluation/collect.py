"""On-policy experience for a method, from an environment and a generator of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch as th

from clrobot.agents.methods.shared.method import Experience
from clrobot.agents.policies.policy import SlotPolicy
from clrobot.agents.vec_env import SlotVecEnv
from clrobot.envs.simulation.simulation import HORIZON
from clrobot.experiment.curriculum import Stage
from clrobot.experiment.stage_env import stage_env


def collect(
    policy: SlotPolicy, stage: Stage, slot: int, n: int, seed: int, steps: int = HORIZON, *, threads: int = 0
) -> Experience:
    """Return n samples of the policy, spread evenly over the first `steps` steps of episodes of a stage.

    They are of slot index `slot`, from start states and a generator that `seed` alone determines;
    `threads` are those of the physics.
    """
    env = SlotVecEnv(stage_env(stage, max(1, -(-n // steps)), threads=threads), slot)
    env.seed(seed)
    obs: Any = env.reset()
    generator = th.Generator().manual_seed(seed)
    observations, actions = [], []
    with th.no_grad():
        for _ in range(steps):
            tensor = th.as_tensor(obs, device=policy.device)
            mean, log_std = policy.gaussian(tensor)
            noise = th.randn(mean.shape, generator=generator).to(mean.device)
            action = mean + log_std.exp() * noise
            observations.append(tensor)
            actions.append(action)
            obs, *_ = env.step(policy.to_action(action).cpu().numpy())
    env.close()
    all_observations, all_actions = th.cat(observations), th.cat(actions)
    chosen = np.random.default_rng(seed).permutation(len(all_actions))[:n]
    chosen.sort()
    return Experience(all_observations[chosen], all_actions[chosen])
