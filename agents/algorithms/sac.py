"""SAC as Stable-Baselines3 has it, with one head or column for each slot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field
from typing_extensions import override

from clrobot.agents.algorithms.algorithm import Algorithm, AlgorithmSettings
from clrobot.agents.algorithms.role import Role
from clrobot.agents.deferred import th
from clrobot.agents.tensors import check_numbers

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm
    from stable_baselines3.common.vec_env import VecEnv

    from clrobot.agents.algorithms.slot_sac import SlotSAC
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
    """A task's temperature at its stage's start; each task has its own, and it is learned."""
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
    rewards_as_paid: ClassVar = True
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
    def make(self, env: VecEnv, network: Mapping[str, Any], seed: int, device: str) -> SlotSAC:
        from clrobot.agents.algorithms.mixed_replay_buffer import MixedReplayBuffer
        from clrobot.agents.algorithms.slot_sac import SlotSAC
        from clrobot.agents.compiler import load_compiler

        load_compiler()  # the optimizer of the temperature, of which Stable-Baselines3 leaves no choice, does
        s = self.settings
        return SlotSAC(
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
    def begin_slot(
        self,
        model: BaseAlgorithm,
        trained: Sequence[int],
        env: VecEnv,
        steps: int,
        *,
        keep_moments: bool = False,
    ) -> None:
        from clrobot.agents.algorithms.slot_sac import SlotSAC

        assert isinstance(model, SlotSAC)
        start = th.full((len(trained),), self.settings.ent_coef, device=model.device)
        model.log_temperatures, model.first_trained = start.log().requires_grad_(True), trained[0]
        super().begin_slot(model, trained, env, steps, keep_moments=keep_moments)
        assert model.replay_buffer is not None
        model.replay_buffer.rescale = getattr(env, "rescale", None)  # type: ignore[attr-defined]

    @override
    def _begin_steps(self, model: BaseAlgorithm, steps: int) -> None:
        from clrobot.agents.algorithms.slot_sac import SlotSAC
        from clrobot.agents.policies.flat_adam import FlatAdam

        assert isinstance(model, SlotSAC)
        assert model.log_temperatures is not None
        assert isinstance(model.policy, self.policy_class())
        assert model.replay_buffer is not None
        # Temperature, targets and buffer would carry one task into the next.
        model.policy.reset_targets()
        model.ent_coef_optimizer = FlatAdam([model.log_temperatures], self.settings.learning_rate)
        model.replay_buffer.reset()
        model.learning_starts = model.num_timesteps + self.settings.learning_starts
        model.explores_by_itself = False
        model._episode_num = 0  # Stable-Baselines3 logs after every so many episodes: of this stage

    @override
    def begin_as(self, model: BaseAlgorithm, source: int, *, actor: bool, critic: bool) -> None:
        """Let the newest slot begin as a copy; one that has a skill explores with it, not by random actions."""
        from clrobot.agents.algorithms.slot_sac import SlotSAC

        assert isinstance(model, SlotSAC)
        super().begin_as(model, source, actor=actor, critic=critic)
        model.explores_by_itself = actor

    @override
    def spend(self, model: BaseAlgorithm, steps: int) -> None:
        from clrobot.agents.algorithms.slot_sac import SlotSAC

        assert isinstance(model, SlotSAC)
        super().spend(model, steps)
        model.learning_starts += steps

    @override
    def tensors(self, model: BaseAlgorithm) -> dict[str, th.Tensor]:
        """Return the temperatures, the replay buffer, and the count of episodes, by which rows are logged."""
        from clrobot.agents.algorithms.slot_sac import SlotSAC

        assert isinstance(model, SlotSAC)
        assert model.log_temperatures is not None
        buffer: Any = model.replay_buffer
        rows = buffer.buffer_size if buffer.full else buffer.pos
        stored = {f"buffer.{name}": th.from_numpy(getattr(buffer, name)[:rows].copy()) for name in _STORED}
        return stored | {
            "log_temperatures": model.log_temperatures.detach().clone(),
            "buffer_pos": th.tensor(buffer.pos),
            "learning_starts": th.tensor(model.learning_starts),
            "episodes": th.tensor(model._episode_num),
            "explores_by_itself": th.tensor(int(model.explores_by_itself)),
        }

    @override
    def load_tensors(self, model: BaseAlgorithm, tensors: Mapping[str, th.Tensor]) -> None:
        """Restore what `tensors` returned.

        Raises:
            KeyError, ValueError: it is of another model.
        """
        from clrobot.agents.algorithms.slot_sac import SlotSAC

        assert isinstance(model, SlotSAC)
        assert model.log_temperatures is not None
        buffer: Any = model.replay_buffer
        rows = len(tensors["buffer.rewards"])
        position, starts, episodes = (int(tensors[name]) for name in ("buffer_pos", "learning_starts", "episodes"))
        full = rows == buffer.buffer_size
        if not (0 <= position < buffer.buffer_size if full else position == rows) or min(starts, episodes) < 0:
            raise ValueError(f"position {position} in a buffer with {rows} rows")
        check_numbers("log_temperatures", tensors["log_temperatures"], model.log_temperatures.shape)
        with th.no_grad():
            model.log_temperatures.copy_(tensors["log_temperatures"])
        for name in _STORED:
            own, stored = getattr(buffer, name), tensors[f"buffer.{name}"]
            check_numbers(name, stored, (rows, *own.shape[1:]))
            own[:rows] = stored.numpy()
        buffer.pos, buffer.full = position, full
        model.learning_starts, model._episode_num = starts, episodes
        model.explores_by_itself = bool(int(tensors["explores_by_itself"]))
