"""Stable-Baselines3 policies whose actor and critic hold one head or column for each slot.

The observation's last component is the slot's index. The `network_class` that a policy is built with is
where multi-head, progressive and masked networks differ; PPO and SAC differ in the policy around them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch as th
from stable_baselines3.common.policies import BasePolicy
from torch import nn
from torch.optim import Optimizer

from clrobot.agents.networks.slot_network import SlotNetwork
from clrobot.agents.policies.task_inference import TaskInference

ACTOR_GAIN = 0.01  # of a new action head: a new task starts with actions near zero
CRITIC_GAIN = 1.0

# The optimizers that step the actor and the critic, by the names that the verbs of a method are called with.
ACTOR_OPTIMIZERS = ("policy.optimizer", "actor.optimizer")
CRITIC_OPTIMIZERS = ("policy.optimizer", "critic.optimizer")


class SlotPolicy(BasePolicy):
    """What every policy here offers to methods, to evaluation and to checkpoints, whatever the algorithm.

    Attributes:
        task_inference: tells slots apart by their observations, for acting without a task label.
    """

    task_inference: TaskInference
    _network: dict[str, Any]  # `network_class`, `critic_class`, `widths`, `layer_norm`

    def _new_network(self, which: str, inputs: int, outputs: int, head_gain: float) -> SlotNetwork:
        """Return an actor's (`network_class`) or a critic's (`critic_class`) network with one slot."""
        network = self._network
        built: SlotNetwork = network[which](
            inputs, network["widths"], outputs, head_gain, layer_norm=network["layer_norm"]
        )
        return built

    @property
    def actor_net(self) -> SlotNetwork:
        """The network of the actor: its mean, or its mean and log standard deviation."""
        raise NotImplementedError

    @property
    def critic_nets(self) -> tuple[SlotNetwork, ...]:
        """The networks of the critic."""
        raise NotImplementedError

    @property
    def slots(self) -> int:
        """The number of slots that have a head."""
        return self.actor_net.slots

    def add_slot(self) -> None:
        """Give the next slot its head; earlier heads are frozen. Follow with `rebuild_optimizers`."""
        raise NotImplementedError

    def unfreeze(self) -> None:
        """Let every slot's head train again (for training on several tasks at once)."""
        raise NotImplementedError

    def rebuild_optimizers(self, learning_rate: float, *, keep_moments: bool = False) -> None:
        """Make optimizers over the trainable parameters, with fresh moments unless they are to be kept."""
        raise NotImplementedError

    def gaussian(self, obs: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
        """Return mean and log standard deviation, each (B, A), for observations (B, d + 1), the slot last.

        Where the algorithm squashes actions by a tanh, they are those before it.
        """
        raise NotImplementedError

    def to_action(self, samples: th.Tensor) -> th.Tensor:
        """Return samples of `gaussian` as the environment takes them: clipped to [-1, 1], or squashed into it."""
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


def renewed(optimizer: Optimizer, trainable: Sequence[nn.Parameter], *, keep_moments: bool) -> dict[Any, Any]:
    """Return the part of an optimizer's state that goes over to a new one over `trainable`."""
    return {p: optimizer.state[p] for p in trainable if keep_moments and p in optimizer.state}
