"""Small models for the tests of the learning side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch as th
from stable_baselines3 import PPO
from stable_baselines3.common.logger import Logger

from clrobot.agents.method import Experience, Method
from clrobot.agents.networks import MultiHeadNetwork, SlotNetwork
from clrobot.agents.ppo import PPOSettings, begin_slot, make_ppo
from clrobot.envs.make import make_vector_env
from clrobot.files import MANIFEST, write_manifest, write_record
from clrobot.run_folder import RECORDED
from clrobot.sb3_env import SlotVecEnv

th.set_num_threads(1)  # as a training does; with more, tiny networks wait for each other's threads

TINY = PPOSettings(num_envs=4, n_steps=16, batch_size=32, n_epochs=2)
ITERATION = TINY.num_envs * TINY.n_steps


_FEW = {"states": 100, "memory": 200, "iterations": 20}


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
    model = make_ppo(tiny_env(), TINY, network, seed=0, device="cpu")
    model.set_logger(Logger(None, []))
    return model


def next_slot(model: PPO, k: int, task: str = "button-press") -> None:
    begin_slot(model, k, tiny_env(task, k, seed=k), ITERATION, TINY)


def collector(model: PPO, slot: int):
    """Return a `collect` that draws made-up observations of `slot` and the policy's mean actions."""

    def collect(n: int) -> Experience:
        generator = th.Generator().manual_seed(slot)
        x = th.randn(n, model.policy.action_net.inputs, generator=generator)
        obs = th.cat([x, th.full((n, 1), float(slot))], dim=1)
        with th.no_grad():
            actions = model.policy.action_net(obs)
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
