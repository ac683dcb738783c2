"""What a continual-learning method is: a few verbs, each a no-op that a method overrides as it needs.

Adding a method is one file in `methods/` and one line in `methods/__init__.py`: its settings become flags
(`--ewc.strength`), and the tests that run over every method run over it.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple, Protocol

import torch as th
from pydantic import BaseModel, ConfigDict
from stable_baselines3.common.base_class import BaseAlgorithm

from clrobot.agents.policies import MultiHeadPolicy


class FrozenSettings(BaseModel):
    """The base of every settings class: frozen, and unknown names are errors."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        revalidate_instances="always",
        allow_inf_nan=False,
    )


class Experience(NamedTuple):
    """On-policy experience of the task just finished."""

    observations: th.Tensor  # (n, d + 1), the slot's index last
    actions: th.Tensor  # (n, A), sampled from the policy, before clipping


class Collect(Protocol):
    """Gathers experience with the current policy, in an environment and from a generator of its own."""

    def __call__(self, n: int) -> Experience:
        """Return n steps."""


class Method:
    """A continual-learning method; this base protects nothing.

    The training loop calls, for each stage k = 0, 1, …: `before_task`, then `learn` inside `shaping` (which calls
    `auxiliary_loss`, `adjust_gradients` and `after_update` around every optimizer step), then `after_task`.
    """

    name: ClassVar[str]
    summary: ClassVar[str]  # one line, for `clrobot methods`
    policy_class: ClassVar[type[MultiHeadPolicy]] = MultiHeadPolicy

    class Settings(FrozenSettings):
        """This method has no settings."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def before_task(self, model: BaseAlgorithm, k: int) -> None:
        """Prepare for task k; its head exists already.

        A run that is resumed within task k calls it again, after `load_state_dict`: what it sets up may depend only
        on that state and on the model.
        """

    def auxiliary_loss(self, model: BaseAlgorithm, optimizer_name: str) -> th.Tensor | None:
        """Return a scalar whose gradient is added to the algorithm's own, or None."""
        return None

    def adjust_gradients(self, model: BaseAlgorithm, optimizer_name: str) -> None:
        """Change the gradients in place, before they are clipped."""

    def after_update(self, model: BaseAlgorithm, optimizer_name: str) -> None:
        """Act after an optimizer step."""

    def after_task(self, model: BaseAlgorithm, k: int, collect: Collect) -> None:
        """Remember what matters of task k."""

    def state_dict(self) -> dict[str, th.Tensor]:
        """Return all that the method remembers, as named tensors."""
        return {}

    def load_state_dict(self, state: dict[str, th.Tensor]) -> None:
        """Restore what `state_dict` returned."""

    def memory_bound(self, model: BaseAlgorithm, tasks: int) -> int:
        """Return the most bytes that will be kept beside the policy after `tasks` tasks; asked before training."""
        return 0

    def memory_bytes(self) -> int:
        """Return the bytes kept beside the policy."""
        return sum(t.numel() * t.element_size() for t in self.state_dict().values())
