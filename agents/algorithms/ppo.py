"""PPO as Stable-Baselines3 has it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self
from weakref import proxy

from pydantic import Field, model_validator
from typing_extensions import override

from clrobot.agents.algorithms.algorithm import Algorithm, AlgorithmSettings
from clrobot.agents.algorithms.role import Role

if TYPE_CHECKING:
    from stable_baselines3 import PPO
    from stable_baselines3.common.base_class import BaseAlgorithm
    from stable_baselines3.common.vec_env import VecEnv

    from clrobot.agents.policies.ppo import PPOSlotPolicy


class PPOSettings(AlgorithmSettings):
    """Proximal policy optimisation (Schulman et al. 2017)."""

    num_envs: int = Field(128, ge=1, le=65_536)
    """Simulations stepped together: 128 for 16 steps each bring success .9 sooner, in seconds, than 64 for 32."""
    n_steps: int = Field(16, ge=1, le=1_000_000)
    """Control steps of each simulation between updates."""
    batch_size: int = Field(512, ge=2, le=2**24)
    """Samples in a minibatch."""
    n_epochs: int = Field(10, ge=1, le=10_000)
    """Passes over the samples of an update: with 10 success .9 comes sooner, in seconds, than with 5 or 15."""
    learning_rate: float = Field(2e-3, gt=0, le=100)
    """Adam's step size at a stage's start."""
    final_learning_rate: float = Field(2e-3, gt=0, le=100)
    """Adam's step size at a stage's end; it changes linearly from one to the other."""
    gamma: float = Field(0.95, gt=0, le=1)
    """Discount for each control step."""
    gae_lambda: float = Field(0.95, ge=0, le=1)
    """Decay of generalised advantage estimation."""
    clip_range: float = Field(0.2, gt=0, le=1e6)
    """How far the probability ratio may move."""
    ent_coef: float = Field(0.0, ge=0, le=1e6)
    """Weight of the entropy bonus."""
    vf_coef: float = Field(0.5, ge=0, le=1e6)
    """Weight of the value loss."""
    max_grad_norm: float = Field(0.5, gt=0, le=1e6)
    """The norm to which the summed gradient is clipped."""
    log_std_init: float = Field(-0.5, ge=-20, le=2)
    """Log standard deviation of a new head's actions."""

    @model_validator(mode="after")
    def _several_samples(self) -> Self:
        # Advantages are normalised over an update's samples.
        if self.num_envs * self.n_steps < 2:
            raise ValueError(
                "--ppo.num-envs 1 and --ppo.n-steps 1 make an update of one sample, and PPO needs two or more; "
                "raise one of them"
            )
        return self


class PPOAlgorithm(Algorithm):
    """Proximal policy optimisation."""

    name: ClassVar = "ppo"
    Settings: ClassVar = PPOSettings
    roles: ClassVar = {"policy.optimizer": Role.ACTOR | Role.CRITIC}
    settings: PPOSettings

    @staticmethod
    @override
    def policy_class() -> type[PPOSlotPolicy]:
        from clrobot.agents.policies.ppo import PPOSlotPolicy

        return PPOSlotPolicy

    @property
    @override
    def iteration(self) -> int:
        return self.settings.num_envs * self.settings.n_steps

    @property
    @override
    def remarks(self) -> Sequence[str]:
        s, samples = self.settings, self.iteration
        found: list[str] = []
        if s.final_learning_rate > s.learning_rate:
            found.append(
                f"the learning rate rises in each stage from --ppo.learning-rate {s.learning_rate:g} to "
                f"--ppo.final-learning-rate {s.final_learning_rate:g}; give both where it is to stay"
            )
        update = f"an update has --ppo.num-envs {s.num_envs} × --ppo.n-steps {s.n_steps} = {samples:,} samples"
        if samples < s.batch_size:
            found.append(
                f"{update}: each pass is one minibatch of all of them, not of --ppo.batch-size {s.batch_size}"
            )
        elif samples % s.batch_size:
            found.append(
                f"{update}: the last minibatch has {samples % s.batch_size}, and moves the weights as much as one of "
                f"--ppo.batch-size {s.batch_size}; give a batch size that divides {samples:,}"
            )
        return tuple(found)

    @override
    def make(self, env: VecEnv, network: Mapping[str, Any], seed: int, device: str) -> PPO:
        from stable_baselines3 import PPO

        from clrobot.agents.algorithms.rollout_buffer import ShuffledRolloutBuffer
        from clrobot.agents.policies.ppo import PPOSlotPolicy

        s = self.settings
        with warnings.catch_warnings():
            # `remarks` says it in this house's words, once and before a training.
            warnings.filterwarnings("ignore", "You have specified a mini-batch size of", UserWarning)
            model = PPO(
                self.policy_class(),
                env,
                learning_rate=s.learning_rate,
                n_steps=s.n_steps,
                batch_size=s.batch_size,
                n_epochs=s.n_epochs,
                gamma=s.gamma,
                gae_lambda=s.gae_lambda,
                clip_range=s.clip_range,
                ent_coef=s.ent_coef,
                vf_coef=s.vf_coef,
                max_grad_norm=s.max_grad_norm,
                rollout_buffer_class=ShuffledRolloutBuffer,
                policy_kwargs={
                    **network,
                    "log_std_init": s.log_std_init,
                    "optimizer_kwargs": {"eps": 1e-5},  # Stable-Baselines3's
                },
                seed=seed,
                device=device,
            )
        assert isinstance(model.rollout_buffer, ShuffledRolloutBuffer)
        assert isinstance(model.policy, PPOSlotPolicy)
        model.rollout_buffer.widen = model.policy.with_precomputed
        return model

    @override
    def _begin_steps(self, model: BaseAlgorithm, steps: int) -> None:
        from stable_baselines3.common.utils import FloatSchedule

        start, end = model.num_timesteps, model.num_timesteps + steps
        model._total_timesteps = end  # where a phase ends earlier, `learn` says so
        first, last = self.settings.learning_rate, self.settings.final_learning_rate
        learning: PPO = proxy(model)  # a model that refers to itself would live on after its training

        def schedule(progress_remaining: float) -> float:
            # Stable-Baselines3 counts progress over all steps so far: remaining = 1 - t / total, where total is
            # the end of this call of `learn`. This stage's own:
            step = (1.0 - progress_remaining) * learning._total_timesteps
            return last + (first - last) * min(1.0, max(0.0, (end - step) / (end - start)))

        model.lr_schedule = FloatSchedule(schedule)
