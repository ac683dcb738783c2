"""What learns: a Stable-Baselines3 model and the algorithm that made it, from a run's settings."""

from __future__ import annotations

from dataclasses import dataclass

import torch as th
from stable_baselines3.common.base_class import BaseAlgorithm

from clrobot.agents.algorithms.algorithm import Algorithm
from clrobot.agents.methods.shared.method import Method
from clrobot.agents.policies.policy import SlotPolicy
from clrobot.errors import UserError
from clrobot.experiment.build import check_device, make_algorithm, make_method, network_arguments
from clrobot.experiment.config import RunConfig
from clrobot.training.seeds import seed_for
from clrobot.training.training_env import training_env


@dataclass(frozen=True)
class Learner:
    """A model and its algorithm."""

    algorithm: Algorithm
    model: BaseAlgorithm

    @property
    def policy(self) -> SlotPolicy:
        """The policy being trained."""
        assert isinstance(self.model.policy, SlotPolicy)
        return self.model.policy

    @property
    def step(self) -> int:
        """Environment steps trained so far."""
        return int(self.model.num_timesteps)

    def is_finite(self) -> bool:
        """Return whether every weight is a number."""
        return all(bool(p.isfinite().all()) for p in self.policy.parameters())


def make_learner(config: RunConfig) -> tuple[Learner, Method]:
    """Return an untrained learner with one slot and its method; torch then computes with the run's threads.

    Raises:
        UserError: a setting cannot be used here.
    """
    check_device(config.device)
    th.set_num_threads(config.torch_threads)
    algorithm, method = make_algorithm(config), make_method(config)
    env, seed = training_env(config, algorithm, 1), seed_for(config.seed, "learner")
    return Learner(algorithm, algorithm.make(env, network_arguments(config), seed, config.device)), method


def check_memory(config: RunConfig, learner: Learner, method: Method) -> None:
    """Raise UserError when the method could outgrow the bound, before anything is made."""
    bound = method.memory_bound(learner.model, len(config.curriculum.stages))
    limit = config.memory_limit_mb * 2**20
    if bound > limit:
        raise UserError(
            f"{config.method} may keep {bound / 2**20:,.0f} MiB beside the policy, and --memory-limit-mb is "
            f"{limit / 2**20:,.0f}; raise it, or use a smaller network"
        )
