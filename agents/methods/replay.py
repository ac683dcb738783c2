"""Experience replay: a sample of all earlier tasks is mixed into every update, as behaviour to be kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple

from pydantic import Field
from typing_extensions import override

from clrobot.agents.algorithms.role import Role
from clrobot.agents.deferred import th
from clrobot.agents.methods.shared.distillation_loss import Behaviour, behaviour, distillation_loss
from clrobot.agents.methods.shared.memory import Reservoir, generator_bytes
from clrobot.agents.methods.shared.method import Collect, Method, named
from clrobot.agents.methods.shared.rehearsal import FLOAT_BYTES, Rehearsal, why_not_both_rehearse

if TYPE_CHECKING:
    from stable_baselines3.common.type_aliases import ReplayBufferSamples

    from clrobot.agents.algorithms.learner import Learner
    from clrobot.agents.algorithms.mixed_replay_buffer import MixedReplayBuffer

_DRAW_BYTES = 8
_TRANSITIONS = "transitions"  # the kind of their tensors in the method's state


class Steps(NamedTuple):
    """On-policy steps of finished tasks, with the outputs of actor and critic when they were finished."""

    observations: th.Tensor  # (n, d + 1), the slot's index last
    actions: th.Tensor  # (n, A)
    mean: th.Tensor  # (n, A)
    log_std: th.Tensor  # (n, A)
    values: th.Tensor  # (n, C), one column for each network of the critic


class Transitions(NamedTuple):
    """Off-policy transitions from which an algorithm learned earlier tasks, as its buffer gives them."""

    observations: th.Tensor  # (n, d + 1), the slot's index last
    actions: th.Tensor  # (n, A), as the environment took them
    next_observations: th.Tensor  # (n, d + 1)
    dones: th.Tensor  # (n, 1)
    rewards: th.Tensor  # (n, 1)


class Replay(Rehearsal):
    """CLEAR's replay (Rolnick et al. 2019): its policy and value cloning on a reservoir over all tasks.

        β (KL(π_old(·|s) ‖ π(·|s)) + w mean (V(s) - V_old(s))²),  s from the reservoir

    PPO's own objective is never applied to old experience: its clipped surrogate is defined for actions of the
    policy just before, and on older ones the ratio is far outside the clip. SAC's is defined for any: there a set
    share of every batch is transitions of earlier tasks, from a second reservoir that is filled from SAC's buffer.

    The memory is filled when a task ends, by the finished policy, and not while it is learned, as in CLEAR: there
    the old behaviour serves off-policy corrections, here it is what is distilled, and most of what a policy did while
    it learned is not worth that. Every task offers as many steps as the reservoir holds, so that all have the same
    expected share.
    """

    name: ClassVar = "replay"
    summary: ClassVar = "a fixed number of old steps, whose outputs actor and critic are trained to keep"
    family: ClassVar = "replay"

    class Settings(Rehearsal.Settings):
        """Steps of earlier tasks, mixed into every update."""

        strength: float = Field(1.0, ge=0)
        """β, the weight of what is replayed; 0 is fine-tuning, to the bit."""
        value_weight: float = Field(0.1, ge=0)
        """w, the critic's part beside the actor's."""
        memory: int = Field(20_000, ge=1)
        """Steps kept of all tasks together; with an off-policy algorithm also as many of its transitions."""
        share: float = Field(0.25, ge=0, le=0.9)
        """The part of each of an off-policy algorithm's batches that is transitions of earlier tasks."""

    settings: Settings
    memory: Reservoir[Steps]

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.transitions = Reservoir(Transitions, settings.memory)

    @classmethod
    @override
    def why_not_with(cls, other: type[Method]) -> str | None:
        return why_not_both_rehearse(cls, other)

    @override
    def new_memory(self) -> Reservoir[Steps]:
        """Return the empty memory."""
        return Reservoir(Steps, self.settings.memory)

    @override
    def auxiliary_loss(self, learner: Learner, role: Role) -> th.Tensor | None:
        """Return the distillation losses of the networks that this optimizer steps."""
        strength, value_weight = self.settings.strength, self.settings.value_weight
        acts = Role.ACTOR in role
        values = Role.CRITIC in role and value_weight > 0
        if not (acts or values) or not len(self.memory) or strength == 0:
            return None
        policy = learner.policy
        old = self.memory.sample(self.settings.batch_size)
        losses = []
        if acts:
            losses.append(distillation_loss(policy, Behaviour(old.observations, old.mean, old.log_std)))
        if values:
            now = policy.values(old.observations, old.actions)
            losses.append(value_weight * th.nn.functional.mse_loss(now, old.values))
        return strength * sum(losses[1:], losses[0])

    @override
    def before_task(self, learner: Learner, k: int) -> None:
        """Move the memories to the networks' device, and mix old transitions into a replay buffer's batches."""
        super().before_task(learner, k)
        observation = learner.observation_size
        self.transitions.check(
            observations=observation,
            actions=learner.action_size,
            next_observations=observation,
            dones=1,
            rewards=1,
        )
        self.transitions.to(learner.device)
        if k == 0:
            self.transitions.seed(learner.seed + 1)
        buffer = learner.replay_buffer
        if buffer is not None and len(self.transitions):
            buffer.mix_in(self._old_transitions, self.settings.share)

    @property
    def _mixes_in(self) -> bool:
        return self.settings.share > 0 and self.settings.strength > 0

    def _old_transitions(self, n: int) -> ReplayBufferSamples:
        from stable_baselines3.common.type_aliases import ReplayBufferSamples

        return ReplayBufferSamples(*self.transitions.sample(n))

    @override
    def after_task(self, learner: Learner, k: int, collect: Collect) -> None:
        """Offer the finished policy's steps to one reservoir, an off-policy algorithm's transitions to the other."""
        buffer = learner.replay_buffer
        if buffer is not None:
            buffer.stop_mixing()
            if self._mixes_in:
                self.transitions.add(self._drawn_from(buffer))
        policy = learner.policy
        steps = collect(self.settings.memory)
        _, mean, log_std = behaviour(policy, steps.observations)
        with th.no_grad():
            values = policy.values(steps.observations, steps.actions)
        self.memory.add(Steps(steps.observations, steps.actions, mean, log_std, values))

    def _drawn_from(self, buffer: MixedReplayBuffer) -> Transitions:
        """Return as many transitions as the reservoir holds, drawn evenly from all that the buffer has."""
        rows = buffer.buffer_size if buffer.full else buffer.pos
        generator = self.transitions.generator
        chosen = th.randint(rows * buffer.n_envs, (self.settings.memory,), generator=generator).numpy()
        found = buffer.transitions(chosen // buffer.n_envs, chosen % buffer.n_envs)
        return Transitions(found.observations, found.actions, found.next_observations, found.dones, found.rewards)

    @override
    def memory_bound(self, learner: Learner, tasks: int) -> int:
        """Return the bytes of full reservoirs, however many tasks there are."""
        d, a = learner.observation_size, learner.action_size
        row = FLOAT_BYTES * (d + 3 * a + len(learner.policy.critic_nets)) + _DRAW_BYTES
        bound = generator_bytes() + self.settings.memory * row
        if learner.replay_buffer is not None and self._mixes_in:
            bound += generator_bytes() + self.settings.memory * (FLOAT_BYTES * (2 * d + a + 2) + _DRAW_BYTES)
        return bound

    @override
    def state_dict(self) -> dict[str, th.Tensor]:
        """Return both memories."""
        transitions = self.transitions.state_dict()
        return super().state_dict() | {f"{_TRANSITIONS}.{name}": tensor for name, tensor in transitions.items()}

    @override
    def load_state_dict(self, state: dict[str, th.Tensor]) -> None:
        """Restore both memories."""
        super().load_state_dict(state)
        self.transitions.load_state_dict(named(state, _TRANSITIONS))
