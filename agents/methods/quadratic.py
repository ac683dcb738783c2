"""The quadratic penalty that EWC and its relatives share; they differ in the importance of each parameter."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch as th
from pydantic import Field
from stable_baselines3.common.base_class import BaseAlgorithm

from clrobot.agents.method import Collect, Method
from clrobot.agents.policies import SlotPolicy

Importance = dict[str, th.Tensor]  # by parameter name, each in its parameter's shape


def protected_parameters(model: BaseAlgorithm) -> dict[str, th.nn.Parameter]:
    """Return the actor's shared parameters by name.

    The heads are per task and frozen; the critic has a trunk of its own, which acting does not need.
    """
    assert isinstance(model.policy, SlotPolicy)
    return dict(model.policy.actor_net.shared_parameters())


class QuadraticMethod(Method, ABC):
    """Penalises moving away from earlier tasks' solutions, weighted by importance.

        ½ λ Σ_k Σ_j F_kj (θ_j - θ*_kj)²

    Each F_k is scaled to mean 1 over the protected parameters, so that λ means the same for every network and
    task, and the tasks are summed. A sum of quadratics is one quadratic, up to a constant, with

        F = Σ_k F_k   and   θ* = Σ_k F_k θ*_k / F,

    so the memory is two numbers for each protected parameter however many tasks there were.
    """

    family: ClassVar = "regularisation"
    composes: ClassVar = True

    class Settings(Method.Settings):
        """The weight of the penalty."""

        strength: float = Field(0.05, ge=0)
        """λ; 0 is fine-tuning, to the bit."""

    settings: Settings

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._importance: Importance = {}  # F
        self._anchor: dict[str, th.Tensor] = {}  # θ*
        self._terms: list[tuple[th.nn.Parameter, th.Tensor, th.Tensor]] = []  # (θ, λ F, θ*)

    @abstractmethod
    def importance(self, model: BaseAlgorithm, k: int, collect: Collect) -> Importance:
        """Return how much task k, just finished, needs each protected parameter; not negative, any scale."""

    def before_task(self, model: BaseAlgorithm, k: int) -> None:
        """Pair the parameters with their weights and anchors."""
        strength = self.settings.strength
        protected = protected_parameters(model)
        self._terms = [
            (protected[name], strength * importance.to(protected[name].device), self._anchor[name])
            for name, importance in self._importance.items()
            if strength > 0
        ]

    def adjust_gradients(self, model: BaseAlgorithm, optimizer_name: str) -> None:
        """Add the penalty's gradient, (λ F) (θ - θ*).

        In this order it equals, bit for bit, what autograd makes of the penalty in the loss; λ (F Δ) does not.
        """
        with th.no_grad():
            for parameter, weight, anchor in self._terms:
                if parameter.grad is not None:
                    parameter.grad.add_(weight * (parameter - anchor))

    def after_task(self, model: BaseAlgorithm, k: int, collect: Collect) -> None:
        """Merge task k's quadratic into the sum."""
        new = self.importance(model, k, collect)
        count = sum(f.numel() for f in new.values())
        mean = sum(f.sum() for f in new.values()) / count
        for name, parameter in protected_parameters(model).items():
            theta = parameter.detach().clone()
            f_new = new[name] / mean
            f_old = self._importance.get(name, th.zeros_like(f_new))
            total = f_old + f_new
            old_anchor = self._anchor.get(name, theta)
            # θ* = θ*_old + (F_new / F) (θ - θ*_old); where nothing is important, anywhere will do.
            share = th.where(total > 0, f_new / total.clamp_min(th.finfo(total.dtype).tiny), 0.0)
            self._anchor[name] = old_anchor + share * (theta - old_anchor)
            self._importance[name] = total

    def memory_bound(self, model: BaseAlgorithm, tasks: int) -> int:
        """Return the bytes of F and θ*, however many tasks there are."""
        return 2 * sum(p.numel() * p.element_size() for p in protected_parameters(model).values())

    def state_dict(self) -> dict[str, th.Tensor]:
        """Return F and θ*."""
        return {f"importance.{name}": f for name, f in self._importance.items()} | {
            f"anchor.{name}": a for name, a in self._anchor.items()
        }

    def load_state_dict(self, state: dict[str, th.Tensor]) -> None:
        """Restore F and θ*; they take effect in the next `before_task`."""
        parts: dict[str, dict[str, th.Tensor]] = {"importance": {}, "anchor": {}}
        for key, tensor in state.items():
            kind, name = key.split(".", 1)
            parts[kind][name] = tensor
        self._importance, self._anchor = parts["importance"], parts["anchor"]
