"""Example: a spring that holds every shared weight near where the newest task left it."""

import torch
from pydantic import Field

import clrobot
from clrobot.agents.algorithms.role import Role
from clrobot.agents.methods.shared.quadratic import protected_parameters


class Example(clrobot.Method):
    """The gradient of strength / 2 · Σ (w - w*)² is added to the actor's, with w* the weights after the last task."""

    name = "example"
    summary = "a spring to where the newest task left the shared weights"
    family = "regularisation"

    class Settings(clrobot.Method.Settings):
        """The spring's."""

        strength: float = Field(0.01, ge=0)
        """How stiff it is."""

    def __init__(self, settings):
        super().__init__(settings)
        self._anchor = {}

    def auxiliary_loss(self, learner, role):
        """Return the spring's energy."""
        if Role.ACTOR not in role or not self._anchor:
            return None
        parameters = protected_parameters(learner)
        energy = sum(((parameters[name] - old) ** 2).sum() for name, old in self._anchor.items())
        return 0.5 * self.settings.strength * energy

    def after_task(self, learner, k, collect):
        """Keep the weights as they are now."""
        self._anchor = {name: p.detach().clone() for name, p in protected_parameters(learner).items()}

    def state_dict(self):
        """Return the kept weights."""
        return {f"anchor.{name}": old for name, old in self._anchor.items()}

    def load_state_dict(self, state):
        """Take the kept weights back."""
        self._anchor = {name.removeprefix("anchor."): old.clone() for name, old in state.items()}

    def memory_bound(self, learner, tasks):
        """Return the bytes of one copy of the weights."""
        return sum(p.numel() * torch.finfo(p.dtype).bits // 8 for p in protected_parameters(learner).values())
