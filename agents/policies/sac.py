"""SAC's policy with one head or column for each slot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch as th
from stable_baselines3.common.policies import ContinuousCritic
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.type_aliases import Schedule
from stable_baselines3.sac.policies import Actor, SACPolicy
from typing_extensions import override

from clrobot.agents.networks.slot_network import SlotNetwork, common_slot
from clrobot.agents.policies.gaussian import squashed_sample
from clrobot.agents.policies.listed import Listed
from clrobot.agents.policies.policy import ACTOR_GAIN, CRITIC_GAIN, SlotPolicy

_LOG_STD_MIN, _LOG_STD_MAX = -20.0, 2.0  # as Stable-Baselines3


class SlotActor(Actor):
    """A squashed Gaussian actor whose mean and log standard deviation are both a slot's head."""

    def __init__(self, network: SlotNetwork, log_std_init: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # In their place: one network with 2 A outputs.
        del self.latent_pi, self.mu, self.log_std
        self.network = network
        self._log_std_init = log_std_init

    @override
    def get_action_dist_params(self, obs: Any) -> tuple[th.Tensor, th.Tensor, dict[str, th.Tensor]]:
        """Return mean and log standard deviation, each (B, A), before squashing."""
        mean, log_std = self.network(obs).chunk(2, dim=1)
        return mean, (log_std + self._log_std_init).clamp(_LOG_STD_MIN, _LOG_STD_MAX), {}

    @override
    def action_log_prob(self, obs: Any) -> tuple[th.Tensor, th.Tensor]:
        """Return sampled actions (B, A) and their log-probabilities (B,)."""
        mean, log_std, _ = self.get_action_dist_params(obs)
        return squashed_sample(mean, log_std, th.randn_like(mean))


class SlotCritic(Listed, ContinuousCritic):
    """Two action values, each a network over observation, action and the slot's index."""

    def __init__(self, networks: Sequence[SlotNetwork], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for i, network in enumerate(networks):
            self.add_module(f"qf{i}", network)
        self.q_networks = list(networks)

    @override
    def forward(self, obs: th.Tensor, actions: th.Tensor) -> tuple[th.Tensor, ...]:
        """Return the values, each (B, 1).

        Where they are differentiated by the actions, as in the actor's loss, they are not by the critic's own
        weights: Stable-Baselines3 takes that gradient too, and sets it to zero unused.
        """
        networks: list[Any] = self.q_networks
        slot = common_slot(obs, networks[0].slots)
        if slot is None:
            inputs = th.cat([obs[:, :-1], actions, obs[:, -1:]], dim=1)  # the slot's index stays last
            return tuple(network(inputs) for network in networks)
        x = th.cat([obs[:, :-1], actions], dim=1)
        return tuple(network.forward_common(x, slot, constant=actions.requires_grad) for network in networks)

    @override
    def q1_forward(self, obs: th.Tensor, actions: th.Tensor) -> th.Tensor:
        """Return the first value (B, 1)."""
        return self.forward(obs, actions)[0]


class SACSlotPolicy(SlotPolicy, SACPolicy):
    """Squashed Gaussian actor and two action-value critics with their targets.

    `log_std_init` is added to what a head gives as log standard deviations.
    """

    actor: SlotActor
    critic: SlotCritic
    critic_target: SlotCritic

    @override
    def make_actor(self, features_extractor: BaseFeaturesExtractor | None = None) -> SlotActor:
        """Return an actor with one slot."""
        arguments = self._update_features_extractor(self.actor_kwargs, features_extractor)
        arguments.pop("log_std_init")
        inputs, actions = self.observation_space.shape[0] - 1, self.action_space.shape[0]  # type: ignore[index]
        network = self._new_network("network_class", inputs, 2 * actions, ACTOR_GAIN)
        return SlotActor(network, self._log_std_init, **arguments).to(self.device)

    @override
    def make_critic(self, features_extractor: BaseFeaturesExtractor | None = None) -> SlotCritic:
        """Return two critics with one slot."""
        arguments = self._update_features_extractor(self.critic_kwargs, features_extractor)
        inputs, actions = self.observation_space.shape[0] - 1, self.action_space.shape[0]  # type: ignore[index]
        networks = [
            self._new_network("critic_class", inputs + actions, 1, CRITIC_GAIN) for _ in range(arguments["n_critics"])
        ]
        return SlotCritic(networks, **arguments).to(self.device)

    @override
    def _build(self, lr_schedule: Schedule) -> None:
        super()._build(lr_schedule)
        self.critic_target.requires_grad_(False)
        self._finish_build(lr_schedule)

    @property
    @override
    def actor_net(self) -> SlotNetwork:
        return self.actor.network

    @property
    @override
    def critic_nets(self) -> tuple[SlotNetwork, ...]:
        return tuple(self.critic.q_networks)  # type: ignore[arg-type]

    @property
    @override
    def _growing_networks(self) -> tuple[SlotNetwork, ...]:
        pairs = zip(self.critic.q_networks, self.critic_target.q_networks, strict=True)
        return (self.actor_net, *(network for pair in pairs for network in pair))  # type: ignore[arg-type]

    @property
    @override
    def _optimized(self) -> tuple[Any, ...]:
        return self.actor, self.critic

    @override
    def list_anew(self) -> None:
        super().list_anew()
        for critic in (self.critic, self.critic_target):
            critic.list_anew()

    @override
    def rebuild_optimizers(self, learning_rate: float, *, keep_moments: bool = False) -> None:
        super().rebuild_optimizers(learning_rate, keep_moments=keep_moments)
        # Stable-Baselines3 averages critic and target over all that they list, and x (1 - τ) + x τ is not x: what is
        # frozen would drift from the critic's, unseen by what has copied it.
        trains = [p.requires_grad for p in self.critic.parameters()]
        for critic in (self.critic, self.critic_target):
            critic.list_only(trains)

    @override
    def add_slot(self) -> None:
        super().add_slot()
        self.reset_targets()

    @property
    @override
    def _mean_outputs(self) -> int:
        return self.actor_net.outputs // 2

    @override
    def begin_as(self, source: int, *, actor: bool = True, critic: bool = True) -> None:
        super().begin_as(source, actor=actor, critic=critic)
        self.reset_targets()

    @override
    def reset_targets(self) -> None:
        self.critic_target.load_state_dict(self.critic.state_dict())
        self.critic_target.requires_grad_(False)

    @override
    def gaussian(self, obs: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
        mean, log_std, _ = self.actor.get_action_dist_params(obs)
        return mean, log_std

    @override
    def to_action(self, samples: th.Tensor) -> th.Tensor:
        return th.tanh(samples)

    @override
    def values(self, obs: th.Tensor, actions: th.Tensor) -> th.Tensor:
        """Return the critics' values (B, 2) of `actions` (B, A) as samples of `gaussian`, before squashing."""
        return th.cat(self.critic(obs, self.to_action(actions)), dim=1)
