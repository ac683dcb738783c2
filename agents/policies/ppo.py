"""PPO's policy with one head or column for each slot."""

from __future__ import annotations

from typing import Any

import torch as th
from gymnasium import spaces
from stable_baselines3.common.distributions import DiagGaussianDistribution, Distribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.type_aliases import Schedule
from torch import nn
from typing_extensions import override

from clrobot.agents.networks.slot_network import SlotNetwork, common_slot, slot_of
from clrobot.agents.policies.gaussian import entropy, log_probability
from clrobot.agents.policies.policy import ACTOR_GAIN, CRITIC_GAIN, SlotPolicy


class _Passthrough(nn.Module):
    """In the place of the feature network: actor and critic read the whole observation, its index included."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.latent_dim_pi = self.latent_dim_vf = size

    def forward(self, features: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
        return features, features

    def forward_actor(self, features: th.Tensor) -> th.Tensor:
        return features

    def forward_critic(self, features: th.Tensor) -> th.Tensor:
        return features


class PPOSlotPolicy(SlotPolicy, ActorCriticPolicy):
    """Diagonal Gaussian actor and state-value critic, as two networks that share nothing.

    A slot's head is a mean layer, a `log_std` (one number for each action) and a value layer.
    """

    action_net: SlotNetwork
    value_net: SlotNetwork  # type: ignore[assignment]

    @override
    def _build_mlp_extractor(self) -> None:
        self.mlp_extractor = _Passthrough(self.features_dim)  # type: ignore[assignment]

    @override
    def _build(self, lr_schedule: Schedule) -> None:
        self._build_mlp_extractor()
        assert isinstance(self.action_space, spaces.Box)
        self._actions = int(self.action_space.shape[0])
        inputs = self.features_dim - 1
        self.action_net = self._new_network("network_class", inputs, self._actions, ACTOR_GAIN)
        self.value_net = self._new_network("critic_class", inputs, 1, CRITIC_GAIN)
        self.log_stds = nn.ParameterList([self._new_log_std()])
        self._precomputed: tuple[int, ...] = (0, 0)  # of actor and critic, in the observations of an update
        self._finish_build(lr_schedule)

    def _new_log_std(self) -> nn.Parameter:
        return nn.Parameter(th.full((self._actions,), self._log_std_init))

    @property
    @override
    def actor_net(self) -> SlotNetwork:
        return self.action_net

    @property
    @override
    def critic_nets(self) -> tuple[SlotNetwork, ...]:
        return (self.value_net,)

    @property
    def log_std(self) -> nn.Parameter:  # type: ignore[override]
        """The newest head's log standard deviations (A,); Stable-Baselines3 logs it."""
        newest: nn.Parameter = self.log_stds[-1]
        return newest

    @property
    @override
    def _optimized(self) -> tuple[Any, ...]:
        return (self,)

    @override
    def add_slot(self) -> None:
        super().add_slot()
        self.log_stds.requires_grad_(False)
        self.log_stds.append(self._new_log_std().to(self.log_stds[0].device))

    @override
    def unfreeze(self) -> None:
        super().unfreeze()
        self.log_stds.requires_grad_(True)

    def _log_std_of(self, obs: th.Tensor) -> th.Tensor:
        """Return each observation's log standard deviations, (A,) where all are of one slot and (B, A) otherwise."""
        slot = common_slot(obs, self.slots)
        if slot is not None:
            one: th.Tensor = self.log_stds[slot]
            return one
        index = slot_of(obs, self.slots)
        each = th.stack([self.log_stds[slot] for slot in range(int(index.max()) + 1)])
        return each.index_select(0, index)

    @override
    def _get_action_dist_from_latent(self, latent_pi: th.Tensor) -> Distribution:
        assert isinstance(self.action_dist, DiagGaussianDistribution)
        return self.action_dist.proba_distribution(self.action_net(latent_pi), self._log_std_of(latent_pi))

    @override
    def evaluate_actions(
        self, obs: th.Tensor | dict[str, th.Tensor], actions: th.Tensor
    ) -> tuple[th.Tensor, th.Tensor, th.Tensor]:
        """Return values (B, 1), and the log-probabilities (B,) of actions (B, A) and entropies (B,).

        They are Stable-Baselines3's numbers; see `tanh_layers` and `log_probability` for what is gained.
        Observations are (B, d + 1), or (B, d + F + 1) as `with_precomputed` widens them.
        """
        assert isinstance(obs, th.Tensor)
        slot = common_slot(obs, self.slots)
        if slot is None:
            mean, values = self.action_net(obs), self.value_net(obs)
            log_std = self._log_std_of(obs)
        else:
            d = self.action_net.inputs
            x, precomputed = obs[:, :d], obs[:, d:-1]
            outputs = []
            for network, size in zip((self.action_net, self.value_net), self._precomputed, strict=True):
                own, precomputed = precomputed[:, :size], precomputed[:, size:]
                outputs.append(
                    network.forward_precomputed(x, slot, own) if own.shape[1] else network.forward_common(x, slot)
                )
            mean, values = outputs
            log_std = self.log_stds[slot]
        return values, log_probability(mean, log_std, actions), entropy(log_std, len(obs))

    @th.no_grad()
    def with_precomputed(self, obs: th.Tensor) -> th.Tensor:
        """Return observations (N, d + 1) with what frozen columns make of them in between, (N, d + F + 1).

        An update goes through the same observations many times, and asks for the columns' part of it once. F is zero
        where no part is frozen, or where the observations are of several slots. `evaluate_actions` takes what the
        newest call has widened.
        """
        slot = common_slot(obs, self.slots)
        x = obs[:, :-1]
        parts = [
            None if slot is None else network.precompute(x, slot) for network in (self.action_net, self.value_net)
        ]
        self._precomputed = tuple(0 if part is None else part.shape[1] for part in parts)
        if not any(self._precomputed):
            return obs
        return th.cat([x, *(part for part in parts if part is not None), obs[:, -1:]], dim=1)

    @override
    def gaussian(self, obs: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
        mean = self.action_net(obs)
        return mean, self._log_std_of(obs).expand_as(mean)

    @override
    def forward(self, obs: th.Tensor, deterministic: bool = False) -> tuple[th.Tensor, th.Tensor, th.Tensor]:
        """Return actions (B, A), values (B, 1) and the actions' log-probabilities (B,).

        With mean μ and standard deviation σ, where ε is standard normal, or zero if `deterministic`:

            a = μ + σ ε        log π(a) = Σ -(a - μ)² / (2 σ²) - log σ - log √(2π)

        They are Stable-Baselines3's numbers, bit for bit, in two thirds of its time: a rollout asks for few
        observations at once, which making and checking a distribution would outweigh.
        """
        mean, values = self.action_net(obs), self.value_net(obs)
        log_std = self._log_std_of(obs)
        actions = mean if deterministic else mean + log_std.exp() * th.randn_like(mean)
        return actions, values, log_probability(mean, log_std, actions)

    @override
    def _predict(self, observation: th.Tensor | dict[str, th.Tensor], deterministic: bool = False) -> th.Tensor:
        if not deterministic:
            return super()._predict(observation, deterministic)
        assert isinstance(observation, th.Tensor)
        # A Gaussian's mode is its mean: making the distribution for it would take as long again.
        mean: th.Tensor = self.action_net(observation)
        return mean

    @override
    def values(self, obs: th.Tensor, actions: th.Tensor) -> th.Tensor:
        values: th.Tensor = self.value_net(obs)
        return values
