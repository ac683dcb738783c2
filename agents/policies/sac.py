"""SAC's policy with one head or column for each slot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch as th
from gymnasium import spaces
from stable_baselines3.common.policies import ContinuousCritic
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.type_aliases import Schedule
from stable_baselines3.sac.policies import Actor, SACPolicy

from clrobot.agents.networks.multi_head import MultiHeadNetwork
from clrobot.agents.networks.slot_network import SlotNetwork
from clrobot.agents.policies.policy import ACTOR_GAIN, CRITIC_GAIN, SlotPolicy, renewed
from clrobot.agents.policies.task_inference import TaskInference

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
        self.task_inference = TaskInference(self.actor_net.inputs, 1)
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
        self.task_inference.add_slot()
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

    def to_action(self, samples: th.Tensor) -> th.Tensor:  # noqa: D102
        return th.tanh(samples)

    def values(self, obs: th.Tensor, actions: th.Tensor) -> th.Tensor:
        """Return the critics' values (B, 2) of `actions` (B, A) as samples of `gaussian`, before squashing."""
        return th.cat(self.critic(obs, self.to_action(actions)), dim=1)
