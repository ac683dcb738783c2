"""What an algorithm is here: a stock Stable-Baselines3 learner, how it is made, and how it moves to the next slot.

Adding an algorithm is one file and one line in `algorithms/__init__.py`; its settings become flags (`--sac.gamma`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from clrobot.agents.algorithms.role import Role
from clrobot.agents.settings import FrozenSettings

if TYPE_CHECKING:
    import torch as th
    from stable_baselines3.common.base_class import BaseAlgorithm
    from stable_baselines3.common.vec_env import VecEnv

    from clrobot.agents.policies.policy import SlotPolicy


class AlgorithmSettings(FrozenSettings):
    """What every algorithm has."""

    num_envs: int = Field(64, ge=1, le=65_536)
    """Simulations stepped together."""
    learning_rate: float = Field(1e-3, gt=0, le=100)
    """Adam's step size."""


def slot_policy(model: BaseAlgorithm) -> SlotPolicy:
    """Return a model's policy, which is of this package in every model here."""
    from clrobot.agents.policies.policy import SlotPolicy

    assert isinstance(model.policy, SlotPolicy)
    return model.policy


class Algorithm(ABC):
    """One learner with its settings; it holds no state, which is all in the Stable-Baselines3 model."""

    name: ClassVar[str]
    Settings: ClassVar[type[AlgorithmSettings]]
    roles: ClassVar[Mapping[str, Role]]
    """What each optimizer steps, by Stable-Baselines3's name for the optimizer."""
    rewards_as_paid: ClassVar[bool] = False
    """Whether it learns from rewards long after they were paid, and brings them to a moving scale only then."""
    settings: AlgorithmSettings

    def __init__(self, settings: AlgorithmSettings) -> None:
        self.settings = settings

    @staticmethod
    @abstractmethod
    def policy_class() -> type[SlotPolicy]:
        """Return the class of the models' policies, imported here: listing an algorithm needs no torch."""

    @property
    @abstractmethod
    def iteration(self) -> int:
        """Control steps from one update to the next, over all simulations."""

    @property
    def first_update(self) -> int:
        """Control steps of a stage until its first gradient step, over all simulations."""
        return self.iteration

    @property
    def remarks(self) -> Sequence[str]:
        """Sentences on these settings that a user should read before a training; none where they go well together."""
        return ()

    @abstractmethod
    def make(self, env: VecEnv, network: Mapping[str, Any], seed: int, device: str) -> BaseAlgorithm:
        """Return an untrained model with one slot. Seeds torch's, numpy's and Python's global generators.

        `network` is what the policy takes of it: `network_class`, `critic_class`, `widths`, `layer_norm`.
        """

    def begin_slot(
        self,
        model: BaseAlgorithm,
        trained: Sequence[int],
        env: VecEnv,
        steps: int,
        *,
        keep_moments: bool = False,
    ) -> None:
        """Begin a stage: fresh optimizers, schedules and buffers, and a head for every slot that it trains.

        Args:
            model: made by `make`.
            trained: the slots that the stage trains. The heads of others are frozen where it trains one alone;
                where it trains several at once, every head can train.
            env: with observations of these slots.
            steps: control steps of the stage.
            keep_moments: go on with Adam's moments of parameters that trained before.
        """
        policy = slot_policy(model)
        while policy.slots <= max(trained):
            policy.add_slot()
        if len(trained) > 1:
            policy.unfreeze()
        policy.rebuild_optimizers(self.settings.learning_rate, keep_moments=keep_moments)
        model.policy_kwargs["slots"] = policy.slots
        model.set_env(env, force_reset=True)
        # These mix the tasks' episodes unless they start anew.
        model.ep_info_buffer = model.ep_success_buffer = None
        self._begin_steps(model, steps)

    def begin_as(self, model: BaseAlgorithm, source: int, *, actor: bool, critic: bool) -> None:
        """Let the newest slot begin as a copy of an earlier one, from 0; see `SlotPolicy.begin_as`."""
        slot_policy(model).begin_as(source, actor=actor, critic=critic)

    def spend(self, model: BaseAlgorithm, steps: int) -> None:
        """Let the stage's learning begin so many control steps later: something else has taken them."""
        model.num_timesteps += steps

    @abstractmethod
    def _begin_steps(self, model: BaseAlgorithm, steps: int) -> None:
        """Begin a slot's `steps` steps: what only this algorithm carries from one task to the next starts anew."""

    def whole_iterations(self, steps: int) -> int:
        """Return `steps` rounded up to whole iterations."""
        return -(-steps // self.iteration) * self.iteration

    def tensors(self, model: BaseAlgorithm) -> dict[str, th.Tensor]:
        """Return what the model holds beside weights and optimizers, and an exact resume needs."""
        return {}

    def load_tensors(self, model: BaseAlgorithm, tensors: Mapping[str, th.Tensor]) -> None:  # noqa: B027
        """Restore what `tensors` returned."""
