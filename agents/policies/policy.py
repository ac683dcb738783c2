"""Stable-Baselines3 policies whose actor and critic hold one head or column for each slot.

The observation's last component is the slot's index. The `network_class` that a policy is built with is where
multi-head, progressive and masked networks differ; PPO and SAC differ in the policy around them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch as th
from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import Schedule
from typing_extensions import override

from clrobot.agents.networks.multi_head import MultiHeadNetwork
from clrobot.agents.networks.slot_network import SlotNetwork
from clrobot.agents.policies.flat_adam import FlatAdam
from clrobot.agents.policies.listed import Listed
from clrobot.agents.policies.task_inference import TaskInference

ACTOR_GAIN = 0.01  # of a new action head: a new task starts with actions near zero
CRITIC_GAIN = 1.0

# What Stable-Baselines3's policies are built from, and these are not.
_UNUSED = (
    *("net_arch", "activation_fn", "use_sde", "use_expln"),
    *("squash_output", "full_std"),  # PPO's
    *("clip_mean", "n_critics"),  # SAC's
)


class SlotPolicy(Listed, BasePolicy):
    """What every policy here offers to methods, to evaluation and to checkpoints, whatever the algorithm.

    A policy derives from this class first and from Stable-Baselines3's second: its `_build` is called by the latter's
    constructor, makes the networks with one slot, and ends with `_finish_build`.

    Args:
        observation_space: a flat box, the slot's index last.
        action_space: a box.
        lr_schedule: as in Stable-Baselines3.
        network_class: of actor and critic: called as a SlotNetwork is.
        critic_class: of the critic, where it is another.
        widths: of the hidden layers of actor and critic.
        layer_norm: normalise each hidden layer.
        slots: how many heads to build (more than one when a checkpoint is loaded).
        log_std_init: the log standard deviation of a new head's actions.
        kwargs: as in Stable-Baselines3.

    Attributes:
        task_inference: tells slots apart by their observations, for acting without a task label.
    """

    task_inference: TaskInference

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
        # `_build` needs them, and runs within the constructor of Stable-Baselines3's policy.
        self._network: dict[str, Any] = {
            "network_class": network_class,
            "critic_class": critic_class or network_class,
            "widths": tuple(widths),
            "layer_norm": layer_norm,
        }
        self._log_std_init = float(log_std_init)
        self._initial_slots = slots
        # The next in line is Stable-Baselines3's policy of the algorithm, which BasePolicy's type does not say.
        super().__init__(observation_space, action_space, lr_schedule, net_arch=[], **kwargs)

    @override
    def _get_constructor_parameters(self) -> dict[str, Any]:
        stock = super()._get_constructor_parameters()
        own = {**self._network, "slots": self.slots, "log_std_init": self._log_std_init}
        return {name: value for name, value in stock.items() if name not in _UNUSED} | own

    def _new_network(self, which: str, inputs: int, outputs: int, head_gain: float) -> SlotNetwork:
        """Return an actor's (`network_class`) or a critic's (`critic_class`) network with one slot."""
        network = self._network
        built: SlotNetwork = network[which](
            inputs, network["widths"], outputs, head_gain, layer_norm=network["layer_norm"]
        )
        return built

    def _finish_build(self, lr_schedule: Schedule) -> None:
        """Add to the networks of one slot what every policy has: the other slots, and the optimizers."""
        self.task_inference = TaskInference(self.actor_net.inputs, 1)
        for _ in range(self._initial_slots - 1):
            self.add_slot()
        self.rebuild_optimizers(lr_schedule(1))

    @property
    def actor_net(self) -> SlotNetwork:
        """The network of the actor: its mean, or its mean and log standard deviation."""
        raise NotImplementedError

    @property
    def critic_nets(self) -> tuple[SlotNetwork, ...]:
        """The networks of the critic."""
        raise NotImplementedError

    @property
    def _growing_networks(self) -> tuple[SlotNetwork, ...]:
        """All that get a head with a new slot, in the order in which their new weights are drawn."""
        return (self.actor_net, *self.critic_nets)

    @property
    def _optimized(self) -> tuple[Any, ...]:
        """The modules whose `optimizer` steps their own parameters."""
        raise NotImplementedError

    @property
    def slots(self) -> int:
        """The number of slots that have a head."""
        return self.actor_net.slots

    def add_slot(self) -> None:
        """Give the next slot its head; earlier heads are frozen. Follow with `rebuild_optimizers`."""
        self.list_anew()
        for network in self._growing_networks:
            network.add_slot()
        self.task_inference.add_slot()

    @property
    def _mean_outputs(self) -> int | None:
        """How many of the actor's outputs are its mean, the first ones; None: all."""
        return None

    def begin_as(self, source: int, *, actor: bool = True, critic: bool = True) -> None:
        """Let the newest slot begin as a copy of slot `source`, which stays as it is.

        The log standard deviations stay a new head's: a copied skill has to explore again. Weights are written in
        place, so that an optimizer goes on with them.

        Args:
            source: an earlier slot, from 0.
            actor: whether the actor's mean is copied.
            critic: whether the critic is.
        """
        if actor:
            self.actor_net.begin_as(source, self._mean_outputs)
        for network in self.critic_nets if critic else ():
            network.begin_as(source)

    def reset_targets(self) -> None:
        """Make the networks that follow others, if there are any, equal to them."""

    def unfreeze(self) -> None:
        """Let every slot's head train again (for training on several tasks at once)."""
        for network in (self.actor_net, *self.critic_nets):
            network.requires_grad_(True)

    def rebuild_optimizers(self, learning_rate: float, *, keep_moments: bool = False) -> None:
        """Make optimizers over the trainable parameters, with fresh moments unless they are to be kept."""
        self.list_anew()
        for module in self._optimized:
            trainable = []
            for p in module.parameters():
                if p.requires_grad:
                    trainable.append(p)
                    continue
                # The gradient of its last stage: Stable-Baselines3's clipping would go through it at every step.
                p.grad = None
                if p.untyped_storage().nbytes() > p.nbytes:
                    p.data = p.data.clone()  # out of the former optimizer's tensor, which is let go
            moments = module.optimizer.state if keep_moments else None
            module.optimizer = FlatAdam(trainable, learning_rate, moments=moments, **self.optimizer_kwargs)

    def gaussian(self, obs: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
        """Return mean and log standard deviation, each (B, A), for observations (B, d + 1), the slot last.

        Where the algorithm squashes actions by a tanh, they are those before it.
        """
        raise NotImplementedError

    def to_action(self, samples: th.Tensor) -> th.Tensor:
        """Return samples of `gaussian` (B, A) as the environment takes them: clipped or squashed to [-1, 1]."""
        return samples.clamp(-1.0, 1.0)

    def values(self, obs: th.Tensor, actions: th.Tensor) -> th.Tensor:
        """Return the critic's values (B, C), one column for each of its C networks.

        For a state-value critic (PPO) C is 1 and the actions (B, A) are not looked at.
        """
        raise NotImplementedError

    def parameter_counts(self) -> dict[str, int]:
        """Return the numbers of `trainable` and of `total` parameters."""
        counts = [(p.numel(), p.requires_grad) for p in self.parameters()]
        frozen = sum(network.frozen() for network in (self.actor_net, *self.critic_nets))
        return {"trainable": sum(n for n, on in counts if on) - frozen, "total": sum(n for n, _ in counts)}
