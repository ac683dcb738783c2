"""Stable-Baselines3 policies whose actor and critic hold one head or column for each slot."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import torch as th
from gymnasium import spaces
from stable_baselines3.common.distributions import DiagGaussianDistribution, Distribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.type_aliases import Schedule
from torch import nn

from clrobot.agents.networks import MultiHeadNetwork, ProgressiveNetwork, SlotNetwork, slot_of

ACTOR_GAIN = 0.01  # of a new action head: a new task starts with actions near zero
CRITIC_GAIN = 1.0


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


class MultiHeadPolicy(ActorCriticPolicy):
    """Diagonal Gaussian actor and critic with separate trunks, shared by all slots, and a head for each slot.

    A head is a mean layer, a `log_std` (one number for each action) and a value layer. The observation's last
    component is the slot's index; the trunks never see it.

    Args:
        observation_space: a flat box, the slot's index last.
        action_space: a box.
        lr_schedule: as in Stable-Baselines3.
        widths: of the hidden layers of actor and critic.
        slots: how many heads to build (more than one when a checkpoint is loaded).
        log_std_init: of a new head.
        kwargs: as in Stable-Baselines3.
    """

    network_class: ClassVar[type[SlotNetwork]] = MultiHeadNetwork
    action_net: SlotNetwork
    value_net: SlotNetwork  # type: ignore[assignment]

    def __init__(
        self,
        observation_space: spaces.Box,
        action_space: spaces.Box,
        lr_schedule: Schedule,
        *,
        widths: Sequence[int] = (128, 128),
        slots: int = 1,
        log_std_init: float = 0.0,
        **kwargs: Any,
    ) -> None:
        self._widths = tuple(widths)
        self._initial_slots = slots
        super().__init__(observation_space, action_space, lr_schedule, log_std_init=log_std_init, **kwargs)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        data = super()._get_constructor_parameters()
        for unused in ("net_arch", "activation_fn", "use_sde", "squash_output", "full_std", "use_expln"):
            data.pop(unused, None)
        return data | {"widths": self._widths, "slots": self.slots}

    def _build_mlp_extractor(self) -> None:
        self.mlp_extractor = _Passthrough(self.features_dim)  # type: ignore[assignment]

    def _build(self, lr_schedule: Schedule) -> None:
        self._build_mlp_extractor()
        assert isinstance(self.action_space, spaces.Box)
        self._actions = int(self.action_space.shape[0])
        build = partial(self.network_class, self.features_dim - 1, self._widths)
        self.action_net = build(self._actions, ACTOR_GAIN)
        self.value_net = build(1, CRITIC_GAIN)
        self.log_stds = nn.ParameterList([self._new_log_std()])
        for _ in range(self._initial_slots - 1):
            self.add_slot()
        self.rebuild_optimizer(lr_schedule(1))

    def _new_log_std(self) -> nn.Parameter:
        return nn.Parameter(th.full((self._actions,), float(self.log_std_init)))

    @property
    def actor_net(self) -> SlotNetwork:
        """The network of the actor."""
        return self.action_net

    @property
    def slots(self) -> int:
        """The number of slots that have a head."""
        return self.action_net.slots

    @property
    def log_std(self) -> nn.Parameter:  # type: ignore[override]
        """The newest head's log standard deviations (A,); Stable-Baselines3 logs it."""
        newest: nn.Parameter = self.log_stds[-1]
        return newest

    def add_slot(self) -> None:
        """Give the next slot its head; earlier heads are frozen. Follow with `rebuild_optimizer`."""
        self.action_net.add_slot()
        self.value_net.add_slot()
        self.log_stds.requires_grad_(False)
        self.log_stds.append(self._new_log_std().to(self.log_stds[0].device))

    def rebuild_optimizer(self, learning_rate: float, *, keep_moments: bool = False) -> None:
        """Make an optimizer over the trainable parameters, with fresh moments unless they are to be kept."""
        moments = dict(self.optimizer.state) if keep_moments else {}
        trainable = [p for p in self.parameters() if p.requires_grad]
        self.optimizer = self.optimizer_class(trainable, lr=learning_rate, **self.optimizer_kwargs)  # type: ignore[call-arg]
        for p in trainable:
            if p in moments:
                self.optimizer.state[p] = moments[p]

    def _get_action_dist_from_latent(self, latent_pi: th.Tensor) -> Distribution:
        assert isinstance(self.action_dist, DiagGaussianDistribution)
        mean = self.action_net(latent_pi)
        index = slot_of(latent_pi, self.slots)
        first = int(index[0])
        one_slot = bool((index == first).all())
        log_std = self.log_stds[first] if one_slot else th.stack(list(self.log_stds))[index]
        return self.action_dist.proba_distribution(mean, log_std)

    def parameter_counts(self) -> dict[str, int]:
        """Return the numbers of `trainable` and of `total` parameters."""
        counts = [(p.numel(), p.requires_grad) for p in self.parameters()]
        return {"trainable": sum(n for n, on in counts if on), "total": sum(n for n, _ in counts)}


class ProgressivePolicy(MultiHeadPolicy):
    """A progressive network: each slot has its own column of actor and critic; earlier columns are frozen."""

    network_class = ProgressiveNetwork
