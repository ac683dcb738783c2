"""PPO as Stable-Baselines3 has it: its settings, how it is made, and how it moves to the next slot."""

from __future__ import annotations

from pydantic import Field
from stable_baselines3 import PPO
from stable_baselines3.common.utils import FloatSchedule
from stable_baselines3.common.vec_env import VecEnv

from clrobot.agents.method import FrozenSettings
from clrobot.agents.policies import MultiHeadPolicy


class PPOSettings(FrozenSettings):
    """Proximal policy optimisation (Schulman et al. 2017)."""

    num_envs: int = Field(64, ge=1)
    """Simulations stepped together."""
    n_steps: int = Field(32, ge=1)
    """Control steps of each simulation between updates."""
    batch_size: int = Field(512, ge=2)
    """Samples in a minibatch."""
    n_epochs: int = Field(5, ge=1)
    """Passes over the samples of an update."""
    learning_rate: float = Field(1e-3, gt=0)
    """Adam's step size at a stage's start."""
    final_learning_rate: float = Field(1e-3, gt=0)
    """Adam's step size at a stage's end; it changes linearly from one to the other."""
    gamma: float = Field(0.95, gt=0, le=1)
    """Discount for each control step."""
    gae_lambda: float = Field(0.95, ge=0, le=1)
    """Decay of generalised advantage estimation."""
    clip_range: float = Field(0.2, gt=0)
    """How far the probability ratio may move."""
    ent_coef: float = Field(0.0, ge=0)
    """Weight of the entropy bonus."""
    vf_coef: float = Field(0.5, ge=0)
    """Weight of the value loss."""
    max_grad_norm: float = Field(0.5, gt=0)
    """The norm to which the summed gradient is clipped."""
    log_std_init: float = -0.5
    """Log standard deviation of a new head's actions."""
    reset_optimizer: bool = True
    """Start every stage with fresh Adam moments."""


def make_ppo(
    env: VecEnv,
    settings: PPOSettings,
    policy_class: type[MultiHeadPolicy],
    widths: tuple[int, ...],
    seed: int,
    device: str,
) -> PPO:
    """Return an untrained PPO with one slot. Seeds torch's, numpy's and Python's global generators."""
    return PPO(
        policy_class,
        env,
        learning_rate=settings.learning_rate,
        n_steps=settings.n_steps,
        batch_size=settings.batch_size,
        n_epochs=settings.n_epochs,
        gamma=settings.gamma,
        gae_lambda=settings.gae_lambda,
        clip_range=settings.clip_range,
        ent_coef=settings.ent_coef,
        vf_coef=settings.vf_coef,
        max_grad_norm=settings.max_grad_norm,
        policy_kwargs={
            "widths": widths,
            "log_std_init": settings.log_std_init,
            # Stable-Baselines3's epsilon; the fused step saves a tenth of the learning time.
            "optimizer_kwargs": {"eps": 1e-5, "fused": True},
        },
        seed=seed,
        device=device,
    )


def whole_iterations(steps: int, settings: PPOSettings) -> int:
    """Return `steps` rounded up to whole iterations: PPO collects `num_envs * n_steps` at a time."""
    iteration = settings.num_envs * settings.n_steps
    return -(-steps // iteration) * iteration


def gradient_steps(model: PPO) -> int:
    """Return the optimizer steps so far: Stable-Baselines3 counts passes over an iteration's samples."""
    return model._n_updates * -(-model.n_steps * model.n_envs // model.batch_size)


def begin_slot(model: PPO, k: int, env: VecEnv, steps: int, settings: PPOSettings) -> None:
    """Move `model` to slot k in `env` for `steps` steps: a head of its own, fresh optimizer, schedule and buffers."""
    policy = model.policy
    assert isinstance(policy, MultiHeadPolicy)
    while policy.slots <= k:
        policy.add_slot()
    policy.rebuild_optimizer(settings.learning_rate, keep_moments=not settings.reset_optimizer)
    model.policy_kwargs["slots"] = policy.slots
    model.set_env(env, force_reset=True)
    # These mix the tasks' episodes unless they start anew.
    model.ep_info_buffer = model.ep_success_buffer = None
    start, end = model.num_timesteps, model.num_timesteps + steps
    first, last = settings.learning_rate, settings.final_learning_rate

    def schedule(progress_remaining: float) -> float:
        # Stable-Baselines3 counts progress over all steps so far: remaining = 1 - t / end. This stage's own:
        remaining = progress_remaining * end / (end - start)
        return last + (first - last) * min(1.0, remaining)

    model.lr_schedule = FloatSchedule(schedule)
