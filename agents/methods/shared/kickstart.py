"""Kickstarting: an earlier skill teaches a new one while it begins."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from clrobot.agents.algorithms.role import Role
from clrobot.agents.deferred import th
from clrobot.agents.methods.shared.distillation_loss import gaussian_kl
from clrobot.agents.methods.shared.memory import generator_bytes
from clrobot.agents.methods.shared.method import Collect, Family, Method, named
from clrobot.agents.tensors import check_numbers

if TYPE_CHECKING:
    from clrobot.agents.algorithms.learner import Learner
    from clrobot.agents.policies.policy import SlotPolicy

_BATCH = 256  # states in each divergence
_TEACHER, _SLOT, _BEGUN, _GENERATOR = "teacher", "slot", "begun", "generator"  # kinds of what is kept


class Kickstart(Method):
    """Kickstarting (Schmitt et al. 2018, equation 4), for a Composite with any method that has warm starts.

        λ(t) · E_s KL(π_old(·|s) ‖ π(·|s)),   λ(t) = λ max(0, 1 - t / min(share · T, T')),

    s drawn from the states that the algorithm learns from, t of the stage's T control steps, counted from where it
    begins to learn, and T' what is left then: a trial has taken some. π_old is the slot as
    which the new one begins, frozen at the stage's start; where the new one begins anew there is no teacher. It is
    kept beside the policy for the stage alone.

    Args:
        weight: λ at the stage's start; 0 changes nothing, to the bit.
        share: of the stage, after which λ is 0.
    """

    name: ClassVar = "kickstart"
    summary: ClassVar = "an earlier skill teaches a new one while it begins"
    family: ClassVar[Family] = "distillation"

    def __init__(self, weight: float, share: float) -> None:
        super().__init__(Method.Settings())
        self._weight = weight
        self._share = share
        self._slot: int | None = None  # the teacher's
        self._begun = 0.0  # the share of the stage that was over when it began to teach
        self._teacher: dict[str, th.Tensor] = {}  # by the policy's own names, what trains and was it at the start

    @cached_property
    def _generator(self) -> th.Generator:
        return th.Generator()

    def weight(self, share_done: float) -> float:
        """Return λ when so much of the stage is over."""
        share = min(self._share, 1.0 - self._begun)
        return self._weight * max(0.0, 1.0 - (share_done - self._begun) / share) if share > 0 else 0.0

    @override
    def before_task(self, learner: Learner, k: int) -> None:
        """Freeze the teacher; a stage that goes on from a snapshot has it already.

        Raises:
            ValueError: what was loaded is of other networks.
        """
        trained = _trained_by_actor(learner.policy)
        if self._slot is not None:
            if not 0 <= self._slot < k or self._teacher.keys() != trained.keys():
                raise ValueError(f"a teacher of slot {self._slot} in task {k}")
            for name, tensor in self._teacher.items():
                check_numbers(name, tensor, trained[name].shape)
                self._teacher[name] = tensor.to(learner.device)
        elif learner.grown_from is not None:
            self._slot, self._begun = learner.grown_from, learner.share_done
            self._teacher = {name: p.detach().clone() for name, p in trained.items()}
            self._generator.manual_seed(learner.seed + k)

    @override
    def auxiliary_loss(self, learner: Learner, role: Role) -> th.Tensor | None:
        """Return λ(t) times the divergence over a minibatch of the states that the algorithm learns from."""
        weight = self.weight(learner.share_done)
        if Role.ACTOR not in role or self._slot is None or weight == 0:
            return None
        states = self._states(learner)
        seen_by_teacher = states.clone()
        seen_by_teacher[:, -1] = self._slot
        old = self._taught(learner.policy, seen_by_teacher)
        return weight * gaussian_kl(*old, *learner.policy.gaussian(states)).mean()

    def _states(self, learner: Learner) -> th.Tensor:
        """Return states of the stage (n, d + 1): of the rollout, or of a replay buffer, which holds no other."""
        buffer = learner.replay_buffer
        if buffer is None:
            rollout = learner.last_rollout
            assert rollout is not None, "PPO learns from a full rollout"
            rows = rollout.observations
        else:
            filled = buffer.buffer_size if buffer.full else buffer.pos
            rows = th.as_tensor(buffer.observations[:filled]).flatten(0, -2)  # on a card only those that are chosen
        chosen = th.randint(len(rows), (_BATCH,), generator=self._generator)
        return rows[chosen.to(rows.device)].to(learner.device)

    def _taught(self, policy: SlotPolicy, observations: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
        from torch.func import functional_call

        from clrobot.agents.methods.shared.gaussian import Gaussian

        weights = {f"policy.{name}": tensor for name, tensor in self._teacher.items()}
        with th.no_grad():
            mean, log_std = functional_call(Gaussian(policy), weights, (observations,))
        return mean, log_std

    @override
    def after_task(self, learner: Learner, k: int, collect: Collect) -> None:
        """Let go of the teacher."""
        self._slot, self._teacher, self._begun = None, {}, 0.0

    @override
    def state_dict(self) -> dict[str, th.Tensor]:
        """Return the teacher, within a stage."""
        if self._slot is None:
            return {}
        weights = {f"{_TEACHER}.{name}": tensor for name, tensor in self._teacher.items()}
        begun = th.tensor(self._begun, dtype=th.float64)
        return weights | {_SLOT: th.tensor(self._slot), _BEGUN: begun, _GENERATOR: self._generator.get_state()}

    @override
    def load_state_dict(self, state: dict[str, th.Tensor]) -> None:
        """Restore the teacher."""
        self._slot = int(state[_SLOT]) if state else None
        self._begun = float(state[_BEGUN]) if _BEGUN in state else 0.0
        self._teacher = named(state, _TEACHER)
        if state:
            self._generator.set_state(state[_GENERATOR].cpu())

    @override
    def memory_bound(self, learner: Learner, tasks: int) -> int:
        """Return the bytes of an actor with a head or column for each task, and of the generator."""
        actor = sum(p.numel() * p.element_size() for p in learner.policy.actor_net.parameters())
        return tasks * actor + generator_bytes() + 16


def _trained_by_actor(policy: SlotPolicy) -> dict[str, th.Tensor]:
    """Return what trains of the actor's network, by the policy's names; all else that a slot acts with is frozen."""
    own = {p for p in policy.actor_net.parameters() if p.requires_grad}
    return {name: p for name, p in policy.named_parameters() if p in own}
