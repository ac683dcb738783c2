"""An agent in training, as methods see it: a Stable-Baselines3 model and the algorithm that it was made by."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import NamedTuple

import torch as th
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv
from torch.optim import Optimizer

from clrobot.agents.algorithms.algorithm import Algorithm, slot_policy
from clrobot.agents.algorithms.mixed_replay_buffer import MixedReplayBuffer
from clrobot.agents.algorithms.role import Role
from clrobot.agents.policies.flat_adam import FlatAdam
from clrobot.agents.policies.policy import SlotPolicy


def optimizers(model: BaseAlgorithm) -> dict[str, Optimizer]:
    """Return the model's optimizers by name (`policy.optimizer`, …), from Stable-Baselines3's own list."""
    names, _ = model._get_torch_save_params()
    found = {name: attrgetter(name)(model) for name in names}
    return {name: entry for name, entry in found.items() if isinstance(entry, Optimizer)}


class Rollout(NamedTuple):
    """What an on-policy algorithm has learned from last, each row a step."""

    observations: th.Tensor  # (n, d + 1), the slot's index last
    actions: th.Tensor  # (n, A), as they were sampled, before clipping


def load_moments(optimizer: Optimizer, parameter: th.Tensor, moments: dict[str, th.Tensor]) -> None:
    """Give a parameter its moments back, as the optimizer's `state` showed them.

    Raises:
        KeyError, RuntimeError: they are none of this parameter.
    """
    if isinstance(optimizer, FlatAdam):
        optimizer.load_moments(parameter, moments)
    else:
        optimizer.state[parameter] = moments


class Learner:
    """An algorithm with its model. What is learned is in the model.

    Args:
        algorithm: with its settings.
        model: made by the algorithm.

    Attributes:
        grown_from: the earlier slot, from 0, as which the newest one has begun; None: anew, or not known, since the
            stage goes on from a snapshot.
        copied: whether actor and critic are a copy of that slot's.
    """

    def __init__(self, algorithm: Algorithm, model: BaseAlgorithm) -> None:
        self.algorithm = algorithm
        self.model = model
        self.grown_from: int | None = None
        self.copied = (False, False)
        self._slot_start, self._slot_steps = 0, 1

    @property
    def policy(self) -> SlotPolicy:
        """Actor and critic, with a head or column for each slot."""
        return slot_policy(self.model)

    @property
    def step(self) -> int:
        """Environment steps trained so far."""
        return int(self.model.num_timesteps)

    @property
    def device(self) -> th.device:
        """Where the networks are."""
        return self.model.device

    @property
    def seed(self) -> int:
        """The seed that the model was made with."""
        return self.model.seed or 0

    @property
    def observation_size(self) -> int:
        """The numbers in an observation, the slot's index included: d + 1."""
        assert self.model.observation_space.shape is not None
        return int(self.model.observation_space.shape[0])

    @property
    def action_size(self) -> int:
        """The numbers in an action, A."""
        assert self.model.action_space.shape is not None
        return int(self.model.action_space.shape[0])

    @property
    def replay_buffer(self) -> MixedReplayBuffer | None:
        """What an off-policy algorithm learns from; None with an on-policy one."""
        buffer = getattr(self.model, "replay_buffer", None)
        return buffer if isinstance(buffer, MixedReplayBuffer) else None

    @property
    def last_rollout(self) -> Rollout | None:
        """The steps that an on-policy algorithm has learned from last; None with another, or before it has learned.

        They are of the policy as it was one update ago: a trust region's step from what it is now.
        """
        buffer = getattr(self.model, "rollout_buffer", None)
        if buffer is None or not buffer.full:
            return None
        arrays = (buffer.observations, buffer.actions)
        return Rollout(*(th.as_tensor(array, device=self.device).flatten(0, -2) for array in arrays))

    @property
    def log_temperatures(self) -> th.Tensor | None:
        """Logs of the temperatures of the slots that the stage trains, (T,); None with an algorithm that has none."""
        found: th.Tensor | None = getattr(self.model, "log_temperatures", None)
        return found

    @property
    def optimizers(self) -> dict[str, Optimizer]:
        """The optimizers by Stable-Baselines3's names for them; a new slot's are others."""
        return optimizers(self.model)

    @property
    def roles(self) -> dict[Role, Optimizer]:
        """The optimizers by what they step."""
        return {self.algorithm.roles[name]: optimizer for name, optimizer in self.optimizers.items()}

    def optimizer(self, role: Role) -> Optimizer:
        """Return the optimizer that steps the networks of `role`.

        Raises:
            KeyError: the algorithm has none, such as PPO for the temperature.
        """
        for own, optimizer in self.roles.items():
            if role in own:
                return optimizer
        raise KeyError(role)

    def begin_slot(self, trained: Sequence[int], env: VecEnv, steps: int, *, keep_moments: bool = False) -> None:
        """Begin a stage that trains these slots for `steps` control steps in `env`; see `Algorithm.begin_slot`."""
        self.grown_from, self.copied = None, (False, False)
        self._slot_start, self._slot_steps = self.step, steps
        self.algorithm.begin_slot(self.model, trained, env, steps, keep_moments=keep_moments)

    def begin_as(self, source: int, *, actor: bool = True, critic: bool = True) -> None:
        """Let the newest slot begin as a copy of an earlier one, from 0; see `SlotPolicy.begin_as`."""
        self.algorithm.begin_as(self.model, source, actor=actor, critic=critic)
        self.grown_from, self.copied = source, (actor, critic)

    @property
    def share_done(self) -> float:
        """How much of the stage's control steps are over, in [0, 1]."""
        return (self.step - self._slot_start) / self._slot_steps

    def is_finite(self) -> bool:
        """Return whether every weight of the policy is a finite number: false where training has diverged."""
        return all(bool(p.isfinite().all()) for p in self.policy.parameters())
