"""SAC as Stable-Baselines3 has it, with one head or column for each slot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch as th
from gymnasium import spaces
from pydantic import Field
from stable_baselines3 import SAC
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import ContinuousCritic
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.type_aliases import Schedule
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.sac.policies import Actor, SACPolicy

from clrobot.agents.algorithm import Algorithm, AlgorithmSettings
from clrobot.agents.networks import MultiHeadNetwork, SlotNetwork
from clrobot.agents.policies import ACTOR_GAIN, CRITIC_GAIN, SlotPolicy, renewed
from clrobot.agents.recognition import Recognizer
from clrobot.agents.shared_buffer import SharedBuffer

_LOG_STD_MIN, _LOG_STD_MAX = -20.0, 2.0  # as Stable-Baselines3


class SlotActor(Actor):
    """A squashed Gaussian actor whose mean and log standard deviation are both a slot's head."""

    def __init__(self, network: SlotNetwork, log_std_init: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # In their place: one network with 2 A outputs.
        del self.latent_pi, self.mu, self.log_std
        self.network = network
        self._log_std_init = log_std_init

    def get_action_dist_params(self, obs: Any) -> tuple[th.Tensor, th.Tensor, dict[str, th.Tensor]]:
        """Return mean and log standard deviation, each (B, A), before squashing."""
        mean, log_std = self.network(obs).chunk(2, dim=1)
        return mean, (log_std + self._log_std_init).clamp(_LOG_STD_MIN, _LOG_STD_MAX), {}


class SlotCritic(ContinuousCritic):
    """Two action values, each a network over observation, action and the slot's index."""

    def __init__(self, networks: Sequence[SlotNetwork], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for i, network in enumerate(networks):
            self.add_module(f"qf{i}", network)
        self.q_networks = list(networks)

    def forward(self, obs: th.Tensor, actions: th.Tensor) -> tuple[th.Tensor, ...]:
        """Return the values, each (B, 1)."""
        inputs = th.cat([obs[:, :-1], actions, obs[:, -1:]], dim=1)  # the slot's index stays last
        return tuple(network(inputs) for network in self.q_networks)

    def q1_forward(self, obs: th.Tensor, actions: th.Tensor) -> th.Tensor:
        """Return the first value (B, 1)."""
        return self.forward(obs, actions)[0]


class SACSlotPolicy(SACPolicy, SlotPolicy):
    """Squashed Gaussian actor and two action-value critics with their targets.

    Args:
        observation_space: a flat box, the slot's index last.
        action_space: a box.
        lr_schedule: as in Stable-Baselines3.
        network_class: of actor and critics: takes what a SlotNetwork does.
        critic_class: of the critics, where it is another.
        widths: of the hidden layers.
        layer_norm: normalise each hidden layer.
        slots: how many heads to build (more than one when a checkpoint is loaded).
        log_std_init: added to a head's log standard deviations.
        kwargs: as in Stable-Baselines3.
    """

    actor: SlotActor
    critic: SlotCritic
    critic_target: SlotCritic

    def __init__(
        self,
        observation_space: spaces.Box,
        action_space: spaces.Box,
        lr_schedule: Schedule,
        *,
        network_class: Callable[..., SlotNetwork] = MultiHeadNetwork,
        critic_class: Callable[..., SlotNetwork] | None = None,
        widths: Sequence[int] = (64, 64),
        layer_norm: bool = False,
        slots: int = 1,
        log_std_init: float = 0.0,
        **kwargs: Any,
    ) -> None:
        self._network = {
            "network_class": network_class,
            "critic_class": critic_class or network_class,
            "widths": tuple(widths),
            "layer_norm": layer_norm,
        }
        self._log_std_init = log_std_init
        self._initial_slots = slots
        kwargs.pop("use_sde", None)
        super().__init__(observation_space, action_space, lr_schedule, net_arch=[], **kwargs)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        data = super()._get_constructor_parameters()
        for unused in ("net_arch", "activation_fn", "use_sde", "use_expln", "clip_mean", "n_critics"):
            data.pop(unused, None)
        return data | self._network | {"slots": self.slots, "log_std_init": self._log_std_init}

    def make_actor(self, features_extractor: BaseFeaturesExtractor | None = None) -> SlotActor:
        """Return an actor with one slot."""
        arguments = self._update_features_extractor(self.actor_kwargs, features_extractor)
        arguments.pop("log_std_init")
        inputs, actions = self.observation_space.shape[0] - 1, self.action_space.shape[0]  # type: ignore[index]
        network = self._new_network("network_class", inputs, 2 * actions, ACTOR_GAIN)
        return SlotActor(network, self._log_std_init, **arguments).to(self.device)

    def make_critic(self, features_extractor: BaseFeaturesExtractor | None = None) -> SlotCritic:
        """Return two critics with one slot."""
        arguments = self._update_features_extractor(self.critic_kwargs, features_extractor)
        inputs, actions = self.observation_space.shape[0] - 1, self.action_space.shape[0]  # type: ignore[index]
        networks = [
            self._new_network("critic_class", inputs + actions, 1, CRITIC_GAIN) for _ in range(arguments["n_critics"])
        ]
        return SlotCritic(networks, **arguments).to(self.device)

    def _build(self, lr_schedule: Schedule) -> None:
        super()._build(lr_schedule)
        self.critic_target.requires_grad_(False)
        self.recognizer = Recognizer(self.actor_net.inputs, 1)
        for _ in range(self._initial_slots - 1):
            self.add_slot()
        self.rebuild_optimizers(lr_schedule(1))

    @property
    def actor_net(self) -> SlotNetwork:  # noqa: D102
        return self.actor.network

    @property
    def critic_nets(self) -> tuple[SlotNetwork, ...]:  # noqa: D102
        return tuple(self.critic.q_networks)  # type: ignore[arg-type]

    def add_slot(self) -> None:  # noqa: D102
        self.actor_net.add_slot()
        self.recognizer.add_slot()
        for network, target in zip(self.critic_nets, self.critic_target.q_networks, strict=True):
            network.add_slot()
            target.add_slot()  # type: ignore[operator]
        self.reset_targets()

    def reset_targets(self) -> None:
        """Make the critics' targets equal to the critics."""
        self.critic_target.load_state_dict(self.critic.state_dict())
        self.critic_target.requires_grad_(False)

    def unfreeze(self) -> None:  # noqa: D102
        self.actor.requires_grad_(True)
        self.critic.requires_grad_(True)

    def rebuild_optimizers(self, learning_rate: float, *, keep_moments: bool = False) -> None:  # noqa: D102
        for part in (self.actor, self.critic):
            trainable = [p for p in part.parameters() if p.requires_grad]
            state = renewed(part.optimizer, trainable, keep_moments=keep_moments)
            part.optimizer = self.optimizer_class(trainable, lr=learning_rate, **self.optimizer_kwargs)  # type: ignore[call-arg]
            part.optimizer.state.update(state)

    def gaussian(self, obs: th.Tensor) -> tuple[th.Tensor, th.Tensor]:  # noqa: D102
        mean, log_std, _ = self.actor.get_action_dist_params(obs)
        return mean, log_std

    def bounded(self, actions: th.Tensor) -> th.Tensor:  # noqa: D102
        return th.tanh(actions)

    def values(self, obs: th.Tensor, actions: th.Tensor) -> th.Tensor:
        """Return the critics' values (B, 2) of `actions` (B, A) as samples of `gaussian`, before squashing."""
        return th.cat(self.critic(obs, self.bounded(actions)), dim=1)


# What the replay buffer holds, by the names of its arrays.
_STORED = ("observations", "actions", "next_observations", "dones", "rewards", "timeouts")


class SACSettings(AlgorithmSettings):
    """Soft actor-critic (Haarnoja et al. 2018)."""

    num_envs: int = Field(32, ge=1)
    """Simulations stepped together."""
    train_freq: int = Field(8, ge=1)
    """Control steps of each simulation between updates."""
    gradient_steps: int = Field(64, ge=1)
    """Gradient steps of an update."""
    batch_size: int = Field(256, ge=2)
    """Transitions in a minibatch."""
    buffer_size: int = Field(200_000, ge=1)
    """Transitions kept; the buffer starts empty in every stage."""
    learning_starts: int = Field(2_000, ge=0)
    """Steps with random actions at a stage's start."""
    learning_rate: float = Field(1e-3, gt=0)
    """Adam's step size."""
    gamma: float = Field(0.95, gt=0, le=1)
    """Discount for each control step."""
    tau: float = Field(0.01, gt=0, le=1)
    """How far the targets follow the critics in one step."""
    ent_coef: float = Field(0.1, gt=0)
    """The temperature at a stage's start; it is learned."""
    target_entropy: float = -4.0
    """The entropy that the temperature aims at."""
    log_std_init: float = -0.5
    """Log standard deviation of a new head's actions, before squashing."""


class SACAlgorithm(Algorithm):
    """Soft actor-critic."""

    name: ClassVar = "sac"
    policy_class: ClassVar = SACSlotPolicy
    Settings: ClassVar = SACSettings
    settings: SACSettings

    @property
    def iteration(self) -> int:  # noqa: D102
        return self.settings.num_envs * self.settings.train_freq

    def make(self, env: VecEnv, network: Mapping[str, Any], seed: int, device: str) -> SAC:  # noqa: D102
        s = self.settings
        return SAC(
            SACSlotPolicy,
            env,
            learning_rate=s.learning_rate,
            buffer_size=s.buffer_size,
            replay_buffer_class=SharedBuffer,
            learning_starts=s.learning_starts,
            batch_size=s.batch_size,
            tau=s.tau,
            gamma=s.gamma,
            train_freq=(s.train_freq, "step"),
            gradient_steps=s.gradient_steps,
            ent_coef=f"auto_{s.ent_coef}",
            target_entropy=s.target_entropy,
            policy_kwargs={**network, "log_std_init": s.log_std_init, "optimizer_kwargs": {"fused": True}},
            seed=seed,
            device=device,
        )

    def _begin_steps(self, model: BaseAlgorithm, steps: int) -> None:
        assert isinstance(model, SAC)
        assert isinstance(model.policy, SACSlotPolicy)
        assert model.replay_buffer is not None
        # Temperature, targets and buffer would carry one task into the next.
        model.policy.reset_targets()
        model.log_ent_coef = th.full((1,), self.settings.ent_coef, device=model.device).log().requires_grad_(True)
        model.ent_coef_optimizer = th.optim.Adam([model.log_ent_coef], lr=self.settings.learning_rate)
        model.replay_buffer.reset()
        model.learning_starts = model.num_timesteps + self.settings.learning_starts
        model._episode_num = 0  # Stable-Baselines3 logs after every so many episodes: of this stage

    def tensors(self, model: BaseAlgorithm) -> dict[str, th.Tensor]:
        """Return the temperature and the replay buffer."""
        assert isinstance(model, SAC)
        assert model.log_ent_coef is not None
        buffer: Any = model.replay_buffer
        rows = buffer.buffer_size if buffer.full else buffer.pos
        stored = {f"buffer.{name}": th.from_numpy(getattr(buffer, name)[:rows].copy()) for name in _STORED}
        return stored | {
            "log_ent_coef": model.log_ent_coef.detach().clone(),
            "buffer_pos": th.tensor(buffer.pos),
            "learning_starts": th.tensor(model.learning_starts),
        }

    def load_tensors(self, model: BaseAlgorithm, tensors: Mapping[str, th.Tensor]) -> None:
        """Restore what `tensors` returned."""
        assert isinstance(model, SAC)
        assert model.log_ent_coef is not None
        with th.no_grad():
            model.log_ent_coef.copy_(tensors["log_ent_coef"])
        buffer: Any = model.replay_buffer
        rows = len(tensors["buffer.rewards"])
        for name in _STORED:
            getattr(buffer, name)[:rows] = tensors[f"buffer.{name}"].numpy()
        buffer.pos = int(tensors["buffer_pos"])
        buffer.full = rows == buffer.buffer_size
        model.learning_starts = int(tensors["learning_starts"])
