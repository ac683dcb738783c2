"""On-policy experience for a method, from an environment and a generator of its own."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch as th

from clrobot.agents.methods.shared.method import Experience
from clrobot.agents.policies.policy import SlotPolicy
from clrobot.agents.vec_env import SlotVecEnv
from clrobot.experiment.curriculum import Stage
from clrobot.experiment.layout import Layout
from clrobot.experiment.stage_env import stage_env, stage_horizon

# Environments of others' at a time: making one takes as long as hundreds of its steps.
_AT_ONCE: Final = 16


def collect(
    policy: SlotPolicy,
    stage: Stage,
    slot: int,
    n: int,
    seed: int,
    steps: int | None = None,
    *,
    layout: Layout | None = None,
    threads: int = 0,
) -> Experience:
    """Return n samples of the policy, spread evenly over the first `steps` steps (None: all) of a stage's episodes.

    They are of slot index `slot`, from start states and a generator that `seed` alone determines; `layout` is the
    curriculum's, and `threads` are those of the physics.
    """
    steps = steps or stage_horizon(stage)
    episodes = max(1, -(-n // steps))
    at_once = episodes if stage.native else min(episodes, _AT_ONCE)
    env = SlotVecEnv(stage_env(stage, at_once, layout=layout, threads=threads), slot)
    generator = th.Generator().manual_seed(seed)
    observations, actions = [], []
    with th.no_grad():
        for first in range(0, episodes, at_once):
            env.seed(seed + first)
            obs: Any = env.reset()
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
