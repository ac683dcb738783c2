"""SAC as Stable-Baselines3 has it, with one head or column for each slot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field
from typing_extensions import override

from clrobot.agents.algorithms.algorithm import Algorithm, AlgorithmSettings
from clrobot.agents.algorithms.role import Role
from clrobot.agents.deferred import th
from clrobot.agents.tensors import check_numbers

if TYPE_CHECKING:
    from stable_baselines3 import SAC
    from stable_baselines3.common.base_class import BaseAlgorithm
    from stable_baselines3.common.vec_env import VecEnv

    from clrobot.agents.policies.sac import SACSlotPolicy

# What the replay buffer holds, by the names of its arrays.
_STORED = ("observations", "actions", "next_observations", "dones", "rewards", "timeouts")


class SACSettings(AlgorithmSettings):
    """Soft actor-critic (Haarnoja et al. 2018)."""

    num_envs: int = Field(32, ge=1, le=65_536)
    """Simulations stepped together."""
    train_freq: int = Field(8, ge=1, le=1_000_000)
    """Control steps of each simulation between updates."""
    gradient_steps: int = Field(64, ge=1, le=1_000_000)
    """Gradient steps of an update."""
    batch_size: int = Field(256, ge=2, le=2**24)
    """Transitions in a minibatch."""
    buffer_size: int = Field(200_000, ge=1, le=10**9)
    """Transitions kept; the buffer starts empty in every stage."""
    learning_starts: int = Field(2_000, ge=0, le=10**12)
    """Steps with random actions at a stage's start."""
    learning_rate: float = Field(1e-3, gt=0, le=100)
    """Adam's step size."""
    gamma: float = Field(0.95, gt=0, le=1)
    """Discount for each control step."""
    tau: float = Field(0.01, gt=0, le=1)
    """How far the targets follow the critics in one step."""
    ent_coef: float = Field(0.1, gt=0, le=1e6)
    """The temperature at a stage's start; it is learned."""
    target_entropy: float = Field(-4.0, ge=-1e6, le=1e6)
    """The entropy that the temperature aims at."""
    log_std_init: float = Field(-0.5, ge=-20, le=2)
    """Log standard deviation of a new head's actions, before squashing."""


class SACAlgorithm(Algorithm):
    """Soft actor-critic."""

    name: ClassVar = "sac"
    Settings: ClassVar = SACSettings
    roles: ClassVar = {
        "actor.optimizer": Role.ACTOR,
        "critic.optimizer": Role.CRITIC,
        "ent_coef_optimizer": Role.TEMPERATURE,
    }
    settings: SACSettings

    @staticmethod
    @override
    def policy_class() -> type[SACSlotPolicy]:
        from clrobot.agents.policies.sac import SACSlotPolicy

        return SACSlotPolicy

    @property
    @override
    def iteration(self) -> int:
        return self.settings.num_envs * self.settings.train_freq

    @property
    @override
    def first_update(self) -> int:
        # Stable-Baselines3 learns once there are more steps than `learning_starts`.
        return (self.settings.learning_starts // self.iteration + 1) * self.iteration

    @override
    def make(self, env: VecEnv, network: Mapping[str, Any], seed: int, device: str) -> SAC:
        from stable_baselines3 import SAC

        from clrobot.agents.algorithms.mixed_replay_buffer import MixedReplayBuffer

        s = self.settings
        return SAC(
            self.policy_class(),
            env,
            learning_rate=s.learning_rate,
            buffer_size=s.buffer_size,
            replay_buffer_class=MixedReplayBuffer,
            learning_starts=s.learning_starts,
            batch_size=s.batch_size,
            tau=s.tau,
            gamma=s.gamma,
            train_freq=(s.train_freq, "step"),
            gradient_steps=s.gradient_steps,
            ent_coef=f"auto_{s.ent_coef}",
            target_entropy=s.target_entropy,
            policy_kwargs={**network, "log_std_init": s.log_std_init},
            seed=seed,
            device=device,
        )

    @override
    def _begin_steps(self, model: BaseAlgorithm, steps: int) -> None:
        from stable_baselines3 import SAC

        from clrobot.agents.policies.flat_adam import FlatAdam

        assert isinstance(model, SAC)
        assert isinstance(model.policy, self.policy_class())
        assert model.replay_buffer is not None
        # Temperature, targets and buffer would carry one task into the next.
        model.policy.reset_targets()
        model.log_ent_coef = th.full((1,), self.settings.ent_coef, device=model.device).log().requires_grad_(True)
        model.ent_coef_optimizer = FlatAdam([model.log_ent_coef], self.settings.learning_rate)
        model.replay_buffer.reset()
        model.learning_starts = model.num_timesteps + self.settings.learning_starts
        model._episode_num = 0  # Stable-Baselines3 logs after every so many episodes: of this stage

    @override
    def tensors(self, model: BaseAlgorithm) -> dict[str, th.Tensor]:
        """Return the temperature, the replay buffer, and the count of episodes, by which rows are logged."""
        from stable_baselines3 import SAC

        assert isinstance(model, SAC)
        assert model.log_ent_coef is not None
        buffer: Any = model.replay_buffer
        rows = buffer.buffer_size if buffer.full else buffer.pos
        stored = {f"buffer.{name}": th.from_numpy(getattr(buffer, name)[:rows].copy()) for name in _STORED}
        return stored | {
            "log_ent_coef": model.log_ent_coef.detach().clone(),
            "buffer_pos": th.tensor(buffer.pos),
            "learning_starts": th.tensor(model.learning_starts),
            "episodes": th.tensor(model._episode_num),
        }

    @override
    def load_tensors(self, model: BaseAlgorithm, tensors: Mapping[str, th.Tensor]) -> None:
        """Restore what `tensors` returned.

        Raises:
            KeyError, ValueError: it is of another model.
        """
        from stable_baselines3 import SAC

        assert isinstance(model, SAC)
        assert model.log_ent_coef is not None
        buffer: Any = model.replay_buffer
        rows = len(tensors["buffer.rewards"])
        position, starts, episodes = (int(tensors[name]) for name in ("buffer_pos", "learning_starts", "episodes"))
        full = rows == buffer.buffer_size
        if not (0 <= position < buffer.buffer_size if full else position == rows) or min(starts, episodes) < 0:
            raise ValueError(f"position {position} in a buffer with {rows} rows")
        check_numbers("log_ent_coef", tensors["log_ent_coef"], (1,))
        with th.no_grad():
            model.log_ent_coef.copy_(tensors["log_ent_coef"])
        for name in _STORED:
            own, stored = getattr(buffer, name), tensors[f"buffer.{name}"]
            check_numbers(name, stored, (rows, *own.shape[1:]))
            own[:rows] = stored.numpy()
        buffer.pos, buffer.full = position, full
        model.learning_starts, model._episode_num = starts, episodes
