"""What a continual-learning method is: a few verbs, each a no-op that a method overrides as it needs.

Adding one of ours is one file in `methods/` and one line in `methods/__init__.py`, and the tests that run over every
method run over it; a user's own is given to `clrobot.register_method`. Its settings become flags (`--ewc.strength`).
How a method's file imports torch, and where its own network lives, is said in `clrobot.agents.deferred`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import getattr_static
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol

from clrobot.agents.algorithms.role import Role
from clrobot.agents.deferred import th
from clrobot.agents.settings import FrozenSettings

if TYPE_CHECKING:
    from clrobot.agents.algorithms.learner import Learner
    from clrobot.agents.networks.slot_network import SlotNetwork

Family = Literal["bound", "regularisation", "architecture", "distillation", "replay"]


class Experience(NamedTuple):
    """On-policy experience of the task just finished, some of it of the policy one update before."""

    observations: th.Tensor  # (n, d + 1), the slot's index last
    actions: th.Tensor  # (n, A), sampled from the policy, before clipping or squashing


class Trajectories(NamedTuple):
    """Stretches of T on-policy steps of the task just finished, each within one episode."""

    observations: th.Tensor  # (n, T + 1, d + 1), the slot's index last; the last one is what the last step led to
    actions: th.Tensor  # (n, T, A), sampled from the policy, before clipping or squashing
    rewards: th.Tensor  # (n, T)
    ended: th.Tensor  # (n, T), 1 where nothing follows a step; 0 also where an episode was cut by its length


class Collect(Protocol):
    """Gathers on-policy experience: what the algorithm has learned from last, and the rest from an environment anew.

    It draws from a generator of its own.
    """

    def __call__(self, n: int) -> Experience:
        """Return n steps."""

    def trajectories(self, n: int, length: int) -> Trajectories:
        """Return n stretches of `length` steps, or fewer where episodes are shorter than that."""


class Phase(NamedTuple):
    """A part of a stage."""

    name: str
    steps: int  # control steps, rounded up to whole iterations by the algorithm
    curve: bool = True  # whether it is part of the learning curve, or lies outside, as retraining after pruning does


class Method:
    """A continual-learning method; this base protects nothing.

    The training loop calls, for each stage k = 0, 1, …: `before_start`, `before_task`, then for each of its `phases`
    `before_phase` and `learn` inside `gradient_hooks` (which calls `auxiliary_loss`, `adjust_gradients` and
    `after_update` around every optimizer step, with what that optimizer steps: see `Role`), then `after_task`.

    Stages, slots and tasks are numbered from 0.
    """

    name: ClassVar[str]
    summary: ClassVar[str]  # one line, for `clrobot methods`
    family: ClassVar[Family]
    measures_updates: ClassVar[bool] = False  # whether `after_update` looks at what the optimizer's step has changed
    refuses: ClassVar[Mapping[str, str]] = {}  # an algorithm (`sac`) that it cannot work with: a clause that says why

    class Settings(FrozenSettings):
        """This method has no settings."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @classmethod
    def why_not_with(cls, other: type[Method]) -> str | None:
        """Return why this method and `other` make no composed one (`ewc+replay`), as a clause; None if they may.

        Both parts are asked: each speaks for itself. A method that only adds to gradients can be a part.
        """
        return f"{cls.name} does not say that it goes with other methods"

    @classmethod
    def network_class(cls) -> type[SlotNetwork]:
        """Return the class of the policy's networks, imported here: listing a method needs no torch."""
        from clrobot.agents.networks.multi_head import MultiHeadNetwork

        return MultiHeadNetwork

    def networks(self) -> dict[str, Callable[..., SlotNetwork]]:
        """Return what builds the policy's networks, as it takes them: `network_class`, and perhaps `critic_class`.

        Both are called as a SlotNetwork is; a method's settings may go into them by `functools.partial`.
        """
        return {"network_class": self.network_class()}

    def trained_slots(self, k: int, n: int) -> range:
        """Return the slots that stage k of n trains (all from 0); all of them have a head when it begins."""
        return range(k, k + 1)

    def heads(self, k: int, n: int) -> int:
        """Return how many slots have a head once stage k of n has begun."""
        return 1 + max(max(self.trained_slots(stage, n)) for stage in range(k + 1))

    def why_not_here(self, algorithm: str, tasks: int) -> str | None:
        """Return why, as it is set, it cannot learn so many tasks by an algorithm (`sac`): a sentence, or None."""
        return None

    @classmethod
    def begins_warm(cls, settings: Any) -> bool:
        """Return whether a new slot usually begins as an earlier one that does clearly better than chance.

        So it is with every method on the plain network of one trunk and a head for each task, whose stages train a
        slot each in one phase; one with another network says so itself. A trial comes off a stage's first phase,
        which of several may be short. Asked without torch.

        Args:
            settings: the method's.
        """
        plain = ("network_class", "networks", "trained_slots", "phases", "why_no_warm_start")
        return all(getattr_static(cls, name) is vars(Method)[name] for name in plain)

    def why_no_warm_start(self) -> str | None:
        """Return why no new slot can begin as a copy of an earlier one, as a clause; None where one can."""
        from clrobot.agents.networks.slot_network import SlotNetwork

        if self.network_class().begin_as is SlotNetwork.begin_as:
            return f"the network of {self.name} does not say how a slot begins as a copy of another"
        return None

    def only_adds(self) -> bool:
        """Return whether it does no more to the algorithm's gradient than to add one of its own."""
        return not self.uses("adjust_gradients")

    def learns_old_rewards_by(self) -> str | None:
        """Return the setting by which it learns from what earlier tasks paid, on their learners' scale; None: not."""
        return None

    def in_sequence(self, n: int) -> bool:
        """Return whether each of n stages trains its own slot alone: what forgetting and transfer are defined by."""
        return all(len(self.trained_slots(k, n)) == 1 for k in range(n))

    def phases(self, steps: int) -> list[Phase]:
        """Return the parts of a stage of `steps` control steps, in order; most methods have one."""
        return [Phase("train", steps)]

    def before_start(self, learner: Learner, k: int) -> None:
        """Change what task k begins with: its head exists, and may yet begin as another, by what that does now.

        A run that is resumed within task k does not call it again. It takes no steps: none are counted here.
        """

    def before_task(self, learner: Learner, k: int) -> None:
        """Prepare for task k; its head exists already, and the optimizers are fresh.

        A run that is resumed within task k calls it again, after `load_state_dict` and before the weights of the
        snapshot are loaded: what it sets up may depend only on that state and on the structure of the networks.
        """

    def before_phase(self, learner: Learner, k: int, phase: str) -> None:
        """Begin a phase of task k; a run that is resumed within the phase does not call it again."""

    def auxiliary_loss(self, learner: Learner, role: Role) -> th.Tensor | None:
        """Return a scalar whose gradient is added to the algorithm's own, or None."""
        return None

    def adjust_gradients(self, learner: Learner, role: Role) -> None:
        """Change the gradients in place, before they are clipped."""

    def after_update(self, learner: Learner, role: Role) -> None:
        """Act after an optimizer step."""

    def after_task(self, learner: Learner, k: int, collect: Collect) -> None:
        """Remember what matters of task k."""

    def state_dict(self) -> dict[str, th.Tensor]:
        """Return all that the method remembers, as named tensors."""
        return {}

    def load_state_dict(self, state: dict[str, th.Tensor]) -> None:
        """Restore what `state_dict` returned."""

    def memory_bound(self, learner: Learner, tasks: int) -> int:
        """Return the most bytes that will be kept beside the policy after `tasks` tasks; asked before training."""
        return 0

    def uses(self, verb: str) -> bool:
        """Return whether the method overrides `verb`; what it does not use costs nothing."""
        return getattr(type(self), verb) is not getattr(Method, verb)

    def memory_bytes(self) -> int:
        """Return the bytes kept beside the policy."""
        return sum(t.numel() * t.element_size() for t in self.state_dict().values())


def named(state: dict[str, th.Tensor], kind: str) -> dict[str, th.Tensor]:
    """Return the tensors of one kind in a method's state, `kind.NAME`, by name."""
    prefix = f"{kind}."
    return {key.removeprefix(prefix): tensor for key, tensor in state.items() if key.startswith(prefix)}
