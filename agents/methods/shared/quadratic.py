"""The quadratic penalty that EWC and its relatives share; they differ in the importance of each parameter."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, TypeAlias

from pydantic import Field
from typing_extensions import override

from clrobot.agents.algorithms.role import Role
from clrobot.agents.deferred import th
from clrobot.agents.methods.shared.method import Collect, Method, named
from clrobot.agents.tensors import check_numbers

if TYPE_CHECKING:
    from clrobot.agents.algorithms.learner import Learner

Importance: TypeAlias = "dict[str, th.Tensor]"  # by parameter name, each in its parameter's shape


class Quadratic(NamedTuple):
    """½ Σ_j F_j (θ_j - θ*_j)² of one parameter, both in its shape."""

    importance: th.Tensor  # F
    anchor: th.Tensor  # θ*

    def to(self, device: th.device) -> Quadratic:
        """Return it on `device`."""
        return Quadratic(self.importance.to(device), self.anchor.to(device))


def summed(old: Quadratic, new: Quadratic) -> Quadratic:
    """Return the sum of two quadratics, itself one up to a constant.

        F = F_old + F_new   and   θ* = θ*_old + (F_new / F) (θ*_new - θ*_old)

    Where nothing is important the old anchor stays: any would do.
    """
    total = old.importance + new.importance
    share = th.where(total > 0, new.importance / total.clamp_min(th.finfo(total.dtype).tiny), 0.0)
    return Quadratic(total, old.anchor + share * (new.anchor - old.anchor))


def recentred(old: Quadratic, new: Quadratic, decay: float = 1.0) -> Quadratic:
    """Return the importances' sum around the newest solution, earlier ones decayed.

    F = γ F_old + F_new   and   θ* = θ*_new
    """
    return Quadratic(decay * old.importance + new.importance, new.anchor)


def protected_parameters(learner: Learner) -> dict[str, th.nn.Parameter]:
    """Return the actor's shared parameters by name.

    The heads are per task and frozen; the critic has a trunk of its own, which acting does not need.
    """
    return dict(learner.policy.actor_net.shared_parameters())


class QuadraticMethod(Method, ABC):
    """Penalises moving away from earlier tasks' solutions, weighted by importance.

        ½ λ Σ_j F_j (θ_j - θ*_j)²

    A task's own importances are scaled to mean 1 over the protected parameters, so that λ means the same for every
    network, task and method, and `merge` adds them to what earlier tasks left: the memory is two numbers for each
    protected parameter however many tasks there were.

    The anchor θ* is that of the sum of the tasks' quadratics, as EWC's paper has it, or the newest solution, as
    online EWC's, MAS's and SI's have it. Where all parameters are equally important (L2) the sum's is the mean of all
    old solutions, where no head works; the newest is where every old head still did when the task ended.
    """

    family: ClassVar = "regularisation"

    class Settings(Method.Settings):
        """The weight of the penalty; each method has its own default."""

        strength: float = Field(ge=0)
        """λ; 0 is fine-tuning, to the bit."""
        anchor: Literal["summed", "newest"] = "summed"
        """θ*: of the sum of all tasks' quadratics, or where the newest task ended."""

    settings: Settings

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._quadratics: dict[str, Quadratic] = {}  # by parameter name
        self._terms: list[tuple[th.nn.Parameter, th.Tensor, th.Tensor]] = []  # (θ, λ F, θ*)

    @classmethod
    @override
    def why_not_with(cls, other: type[Method]) -> str | None:
        if issubclass(other, QuadraticMethod):
            return f"{cls.name} and {other.name} are both penalties on moving the same weights"
        return None

    @override
    def only_adds(self) -> bool:
        return True

    @abstractmethod
    def importance(self, learner: Learner, k: int, collect: Collect) -> Importance:
        """Return how much task k, just finished, needs each protected parameter; not negative, any scale."""

    @property
    def decay(self) -> float:
        """γ: what a later task leaves of the earlier ones' importances."""
        return 1.0

    def merge(self, old: Quadratic, new: Quadratic) -> Quadratic:
        """Return what to remember of a parameter: Σ_k γ^(K-k) F_k (θ - θ*_k)² of K tasks, or that F around θ*_K."""
        if self.settings.anchor == "newest":
            return recentred(old, new, self.decay)
        return summed(Quadratic(self.decay * old.importance, old.anchor), new)

    @override
    def before_task(self, learner: Learner, k: int) -> None:
        """Pair the parameters with their weights and anchors.

        Raises:
            KeyError, ValueError: what was loaded is of other networks.
        """
        protected = protected_parameters(learner)
        for name, q in self._quadratics.items():
            check_numbers(f"importance.{name}", q.importance, protected[name].shape)
            check_numbers(f"anchor.{name}", q.anchor, protected[name].shape)
        self._quadratics = {name: q.to(protected[name].device) for name, q in self._quadratics.items()}
        strength = self.settings.strength
        self._terms = [
            (protected[name], strength * q.importance, q.anchor)
            for name, q in self._quadratics.items()
            if strength > 0
        ]

    @override
    def adjust_gradients(self, learner: Learner, role: Role) -> None:
        """Add the penalty's gradient, (λ F) (θ - θ*), to the actor's.

        In this order it equals, bit for bit, what autograd makes of the penalty in the loss; λ (F Δ) does not.
        """
        if Role.ACTOR not in role:
            return
        with th.no_grad():
            for parameter, weight, anchor in self._terms:
                if parameter.grad is not None:
                    parameter.grad.add_(weight * (parameter - anchor))

    @override
    def after_task(self, learner: Learner, k: int, collect: Collect) -> None:
        """Merge task k's quadratic, around the parameters as they are now, into what is remembered."""
        new = _with_mean_one(self.importance(learner, k, collect))
        for name, parameter in protected_parameters(learner).items():
            quadratic = Quadratic(new[name], parameter.detach().clone())
            old = self._quadratics.get(name)
            self._quadratics[name] = quadratic if old is None else self.merge(old.to(parameter.device), quadratic)

    @override
    def memory_bound(self, learner: Learner, tasks: int) -> int:
        """Return the bytes of F and θ*, however many tasks there are."""
        return 2 * _size(learner)

    @override
    def state_dict(self) -> dict[str, th.Tensor]:
        """Return F and θ*."""
        return {f"importance.{name}": q.importance for name, q in self._quadratics.items()} | {
            f"anchor.{name}": q.anchor for name, q in self._quadratics.items()
        }

    @override
    def load_state_dict(self, state: dict[str, th.Tensor]) -> None:
        """Restore F and θ*; they take effect in the next `before_task`."""
        anchors = named(state, "anchor")
        self._quadratics = {name: Quadratic(f, anchors[name]) for name, f in named(state, "importance").items()}


def _with_mean_one(importance: Importance) -> Importance:
    """Scale to mean 1 over all parameters together; a task that needs none of them protects none."""
    count = sum(f.numel() for f in importance.values())
    mean = float(sum(f.sum() for f in importance.values())) / count
    return {name: f / mean if mean > 0 else th.zeros_like(f) for name, f in importance.items()}


def _size(learner: Learner) -> int:
    """Return the bytes of the protected parameters."""
    return sum(p.numel() * p.element_size() for p in protected_parameters(learner).values())
