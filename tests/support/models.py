"""Small models for the tests of the learning side."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.logger import Logger

from clrobot.agents.algorithms.learner import Learner
from clrobot.agents.algorithms.ppo import PPOAlgorithm, PPOSettings
from clrobot.agents.methods.shared.gradient_hooks import gradient_hooks
from clrobot.agents.methods.shared.method import Experience, Method
from clrobot.agents.networks.multi_head import MultiHeadNetwork
from clrobot.agents.networks.slot_network import SlotNetwork
from clrobot.agents.policies.policy import SlotPolicy
from clrobot.agents.policies.ppo import PPOSlotPolicy
from clrobot.agents.policies.sac import SACSlotPolicy
from clrobot.agents.vec_env import SlotVecEnv
from clrobot.envs.worlds.make import make_vector_env
from clrobot.manifests import MANIFEST, write_manifest, write_record
from clrobot.runs.folder import RECORDED

th.set_num_threads(1)  # as a training does; with more, tiny networks wait for each other's threads

TINY = PPOSettings(num_envs=4, n_steps=16, batch_size=32, n_epochs=2)
TINY_PPO = PPOAlgorithm(TINY)
ITERATION = TINY_PPO.iteration


_FEW = {"states": 100, "memory": 200, "iterations": 20, "compress_states": 200, "compress_steps": 20}


def few(method: type[Method]) -> dict[str, Any]:
    """Return settings, for `make_config`, that make what a method does at a task's end quick."""
    settings = {name: value for name, value in _FEW.items() if name in method.Settings.model_fields}
    return {method.name: settings} if settings else {}


def tiny_env(task: str = "reach", slot: int = 0, seed: int = 0) -> SlotVecEnv:
    env = SlotVecEnv(make_vector_env(task, TINY.num_envs, threads=1), slot)
    env.seed(seed)
    return env


def tiny_ppo(network_class: type[SlotNetwork] = MultiHeadNetwork, **network: Any) -> PPO:
    network = {"network_class": network_class, "widths": (8, 8)} | network
    model = TINY_PPO.make(tiny_env(), network, seed=0, device="cpu")
    model.set_logger(Logger(None, []))
    return model


def tiny_learner(network_class: type[SlotNetwork] = MultiHeadNetwork, **network: Any) -> Learner:
    return Learner(TINY_PPO, tiny_ppo(network_class, **network))


def next_slot(learner: Learner, k: int, task: str = "button-press") -> None:
    learner.begin_slot((k,), tiny_env(task, k, seed=k), ITERATION)


def train_stage(
    learner: Learner,
    method: Method,
    k: int,
    *,
    task: str = "reach",
    iterations: int = 4,
    keep_moments: bool = False,
) -> None:
    """Train slot k as the training loop does, through the seam."""
    steps = iterations * ITERATION
    learner.begin_slot((k,), tiny_env(task, k, seed=k), steps, keep_moments=keep_moments)
    method.before_start(learner, k)
    method.before_task(learner, k)
    for phase in method.phases(steps):
        method.before_phase(learner, k, phase.name)
        with gradient_hooks(learner, method):
            learner.model.learn(phase.steps, reset_num_timesteps=False)
    method.after_task(learner, k, collector(learner, k))


def boxes(inputs: int, actions: int) -> tuple[spaces.Box, spaces.Box]:
    """Return the spaces of observations of `inputs` numbers and a slot, and of actions."""
    return spaces.Box(-np.inf, np.inf, (inputs + 1,)), spaces.Box(-1.0, 1.0, (actions,))


def box_policy(inputs: int, actions: int, **network: Any) -> PPOSlotPolicy:
    """Return PPO's policy for observations of `inputs` numbers and a slot, seeded."""
    th.manual_seed(0)
    return PPOSlotPolicy(*boxes(inputs, actions), lambda _: 1e-3, **network)


def state_std_policy(inputs: int, actions: int, **network: Any) -> SACSlotPolicy:
    """Return SAC's policy, whose standard deviations depend on the state, seeded."""
    th.manual_seed(0)
    return SACSlotPolicy(*boxes(inputs, actions), lambda _: 1e-3, **network)


def one_unit(policy: SlotPolicy, *heads: float) -> SlotPolicy:
    """Set tanh(W x + b) to 0.6 whatever x, so that its derivative is 1 - 0.36 = 0.64, and the head's weights."""
    network = policy.actor_net
    with th.no_grad():
        network.trunk[0].weight.fill_(0.0)
        network.trunk[0].bias.fill_(math.atanh(0.6))
        network.heads[0].weight.copy_(th.tensor(heads)[:, None])
    return policy


def collector(learner: Learner, slot: int):
    """Return a `collect` that draws made-up observations of `slot` and the policy's mean actions."""

    def collect(n: int) -> Experience:
        generator = th.Generator().manual_seed(slot)
        x = th.randn(n, learner.policy.actor_net.inputs, generator=generator)
        obs = th.cat([x, th.full((n, 1), float(slot))], dim=1)
        with th.no_grad():
            actions, _ = learner.policy.gaussian(obs)
        return Experience(obs, actions)

    return collect


def snapshot(module: th.nn.Module) -> dict[str, th.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same_bits(a: dict[str, th.Tensor], b: dict[str, th.Tensor]) -> bool:
    return a.keys() == b.keys() and all(th.equal(a[name], b[name]) for name in a)


def forge_manifest(folder: Path) -> None:
    """Make a folder's manifest agree with its files again: somebody's own doing, rather than the disk's."""
    if not (folder / MANIFEST).exists():
        return
    if (folder / "config.yaml").exists() and (folder / "scores.jsonl").exists():
        write_record(folder, [name for name in RECORDED if (folder / name).is_file()])
    else:
        write_manifest(folder)
