"""What the methods share that keep states of earlier tasks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from pydantic import Field
from typing_extensions import override

from clrobot.agents.methods.shared.distillation_loss import Behaviour, behaviour
from clrobot.agents.methods.shared.memory import Memory, generator_bytes
from clrobot.agents.methods.shared.method import Collect, Method

if TYPE_CHECKING:
    from torch import Tensor

    from clrobot.agents.algorithms.learner import Learner

FLOAT_BYTES = 4


def why_not_both_rehearse(method: type[Method], other: type[Method]) -> str | None:
    """Return why a method that distils earlier tasks' behaviour does not go with another that does; else None."""
    if other.family in ("distillation", "replay"):
        return f"{method.name} and {other.name} both rehearse earlier tasks through the same heads"
    return None


class Rehearsal(Method, ABC):
    """Keeps rows in a memory, and saves it."""

    class Settings(Method.Settings):
        """How much is rehearsed."""

        batch_size: int = Field(256, ge=1)
        """States of all earlier tasks together, drawn anew at every gradient step."""

    settings: Settings

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.memory = self.new_memory()

    @abstractmethod
    def new_memory(self) -> Memory[Any]:
        """Return the empty memory."""

    @override
    def before_task(self, learner: Learner, k: int) -> None:
        """Move the memory to the networks' device; in the first task, seed it with the run's seed.

        Raises:
            ValueError: what was loaded is of other networks.
        """
        actions = learner.action_size
        self.memory.check(
            observations=learner.observation_size,
            actions=actions,
            mean=actions,
            log_std=actions,
            values=len(learner.policy.critic_nets),
        )
        self.memory.to(learner.device)
        if k == 0:
            self.memory.seed(learner.seed)

    @override
    def state_dict(self) -> dict[str, Tensor]:
        """Return the memory."""
        return self.memory.state_dict()

    @override
    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore the memory."""
        self.memory.load_state_dict(state)


class StateRehearsal(Rehearsal):
    """Keeps on-policy states of each task, with the outputs that the finished policy had there."""

    class Settings(Rehearsal.Settings):
        """States of earlier tasks."""

        states: int = Field(10_000, ge=1)
        """On-policy states kept of each task."""

    settings: Settings
    memory: Memory[Behaviour]

    @override
    def new_memory(self) -> Memory[Behaviour]:
        """Return the empty memory."""
        return Memory(Behaviour)

    @override
    def after_task(self, learner: Learner, k: int, collect: Collect) -> None:
        """Keep states of task k, with what the finished policy does there."""
        self.memory.add(behaviour(learner.policy, collect(self.settings.states).observations))

    @override
    def memory_bound(self, learner: Learner, tasks: int) -> int:
        """Return the bytes of the states and outputs of all tasks."""
        d, a = learner.observation_size, learner.action_size
        return generator_bytes() + tasks * self.settings.states * FLOAT_BYTES * (d + 2 * a)
