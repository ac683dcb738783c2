"""Experience replay: a sample of all earlier tasks is mixed into every update, as behaviour to be kept."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pydantic import Field
from typing_extensions import override

from clrobot.agents.algorithms.role import Role
from clrobot.agents.deferred import th
from clrobot.agents.methods.shared.distillation_loss import Behaviour, behaviour, distillation_loss, gaussian_kl
from clrobot.agents.methods.shared.memory import Reservoir, RowSize, generator_bytes
from clrobot.agents.methods.shared.method import Collect, Method, Trajectories, named
from clrobot.agents.methods.shared.rehearsal import FLOAT_BYTES, Rehearsal, why_not_both_rehearse
from clrobot.agents.methods.shared.v_trace import gaussian_log_density, v_trace
from clrobot.agents.tensors import check_numbers

if TYPE_CHECKING:
    from stable_baselines3.common.type_aliases import ReplayBufferSamples

    from clrobot.agents.algorithms.learner import Learner
    from clrobot.agents.algorithms.mixed_replay_buffer import MixedReplayBuffer
    from clrobot.agents.policies.policy import SlotPolicy

_DRAW_BYTES = 8
UNROLL = 20  # steps in a stretch for V-trace, as in IMPALA: five are an episode
_TEMPERATURES = "log_temperatures"
_TRANSITIONS = "transitions"  # the kind of their tensors in the method's state


class Steps(NamedTuple):
    """On-policy steps of finished tasks, with the outputs of actor and critic when they were finished."""

    observations: th.Tensor  # (n, d + 1), the slot's index last
    actions: th.Tensor  # (n, A)
    mean: th.Tensor  # (n, A)
    log_std: th.Tensor  # (n, A)
    values: th.Tensor  # (n, C), one column for each network of the critic


class Unrolls(NamedTuple):
    """The same as stretches of T steps, each within one episode, with what V-trace needs beside."""

    observations: th.Tensor  # (n, T + 1, d + 1), the slot's index last; the last one is what the last step led to
    actions: th.Tensor  # (n, T, A)
    mean: th.Tensor  # (n, T, A)
    log_std: th.Tensor  # (n, T, A)
    values: th.Tensor  # (n, T, C)
    rewards: th.Tensor  # (n, T)
    ended: th.Tensor  # (n, T), 1 where nothing follows a step


class Transitions(NamedTuple):
    """Off-policy transitions from which an algorithm learned earlier tasks, as its buffer gives them."""

    observations: th.Tensor  # (n, d + 1), the slot's index last
    actions: th.Tensor  # (n, A), as the environment took them
    next_observations: th.Tensor  # (n, d + 1)
    dones: th.Tensor  # (n, 1)
    rewards: th.Tensor  # (n, 1)


class Replay(Rehearsal):
    """CLEAR's replay (Rolnick et al. 2019): its policy and value cloning on a reservoir over all tasks.

        β (KL(π_old(·|s) ‖ π(·|s)) + w mean (V(s) - V_old(s))² + v L_V-trace),  s from the reservoir

    PPO's own objective is never applied to old experience: its clipped surrogate is defined for actions of the
    policy just before, and on older ones the ratio is far outside the clip. Cloning alone (v = 0) is distillation on
    fewer states: an old skill can be kept and never improved. What CLEAR learns from old steps, it learns by V-trace,

        L_V-trace = mean [-A_t log π(a_t|s_t) + ½ (v_t - V(s_t))²],   with v_t and A_t as in `v_trace`,

    through the trunks, since finished heads are constant. SAC's own loss is defined for any experience: there a set
    share of every batch is transitions of earlier tasks, from a second reservoir that is filled from SAC's buffer,
    and the policy alone is cloned (w = 0). Old values that are pinned while they still learn would stay wrong: their
    targets are made of them, so that their own loss pulls with (1 - γ) of what is missing.

    The memory is filled when a task ends, by the finished policy, and not while it is learned, as in CLEAR: there
    the old behaviour serves off-policy corrections, here it is what is distilled, and most of what a policy did while
    it learned is not worth that. Every task offers as many steps as the reservoir holds, so that all have the same
    expected share.
    """

    name: ClassVar = "replay"
    summary: ClassVar = (
        "CLEAR’s cloning of old outputs; its V-trace is an option; stored when a task ends, not before"
    )
    family: ClassVar = "replay"

    class Settings(Rehearsal.Settings):
        """Steps of earlier tasks, mixed into every update."""

        strength: float = Field(1.0, ge=0)
        """β, the weight of what is replayed; 0 is fine-tuning, to the bit."""
        value_weight: float = Field(0.1, ge=0)
        """w, with PPO: the critic's part beside the actor's. SAC's critics learn old tasks by their own loss."""
        v_trace: float = Field(0.0, ge=0)
        """v, with PPO: the weight of learning from old rewards (CLEAR's V-trace); an old skill can then improve."""
        memory: int = Field(20_000, ge=1)
        """Steps kept of all tasks together; with an off-policy algorithm also as many of its transitions."""
        share: float = Field(0.1, ge=0, le=0.9)
        """The part of each of an off-policy algorithm's batches that is transitions of earlier tasks."""

        @override
        def idle_with(self, algorithm: str) -> set[str]:
            """Return what plays no part: with PPO the share, with SAC what is the critic's."""
            return {"share"} if algorithm == "ppo" else {"value_weight", "v_trace"}

    settings: Settings
    memory: Reservoir[Any]  # of Steps, or with V-trace of Unrolls

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.transitions = Reservoir(Transitions, settings.memory)

    @cached_property
    def _log_temperatures(self) -> th.Tensor:  # at which SAC's stages ended, of each slot whose transitions are kept
        return th.zeros(0)

    @classmethod
    @override
    def why_not_with(cls, other: type[Method]) -> str | None:
        return why_not_both_rehearse(cls, other)

    @override
    def why_not_here(self, algorithm: str, tasks: int) -> str | None:
        """Return that V-trace is for PPO."""
        if self._traces and algorithm != "ppo":
            return (
                f"--replay.v-trace is {self.settings.v_trace:g}, and {algorithm} learns from old rewards by its own "
                "loss (--replay.share); leave it at 0"
            )
        return None

    @override
    def learns_old_rewards_by(self) -> str | None:
        return f"--replay.v-trace {self.settings.v_trace:g}" if self._traces else None

    @property
    def _traces(self) -> bool:
        return self.settings.v_trace > 0

    @override
    def new_memory(self) -> Reservoir[Any]:
        """Return the empty memory."""
        if self._traces:
            return Reservoir(Unrolls, self._unrolls)
        return Reservoir(Steps, self.settings.memory)

    @property
    def _unrolls(self) -> int:
        return max(1, self.settings.memory // UNROLL)

    @override
    def auxiliary_loss(self, learner: Learner, role: Role) -> th.Tensor | None:
        """Return the distillation losses of the networks that this optimizer steps."""
        strength, value_weight = self.settings.strength, self.settings.value_weight
        acts = Role.ACTOR in role
        values = Role.CRITIC in role and (value_weight > 0 or self._traces) and learner.replay_buffer is None
        if not (acts or values) or not len(self.memory) or strength == 0:
            return None
        policy = learner.policy
        if self._traces:
            unrolls = self.memory.sample(max(1, round(self.settings.batch_size / UNROLL)))
            return strength * self._clear_loss(learner, unrolls, acts, values)
        old = self.memory.sample(self.settings.batch_size)
        losses = []
        if acts:
            losses.append(distillation_loss(policy, Behaviour(old.observations, old.mean, old.log_std)))
        if values:
            now = policy.values(old.observations, old.actions)
            losses.append(value_weight * th.nn.functional.mse_loss(now, old.values))
        return strength * sum(losses[1:], losses[0])

    def _clear_loss(self, learner: Learner, old: Unrolls, acts: bool, values: bool) -> th.Tensor:
        """Return cloning and V-trace of one batch of stretches, for the networks that an optimizer steps."""
        policy, settings = learner.policy, self.settings
        n, steps = old.rewards.shape
        with th.set_grad_enabled(acts):
            mean, log_std = policy.gaussian(old.observations[:, :-1].flatten(0, 1))
            log_prob = gaussian_log_density(mean, log_std, old.actions.flatten(0, 1)).view(n, steps)
        with th.set_grad_enabled(values):
            every = old.observations.flatten(0, 1)
            now = policy.values(every, every.new_zeros(len(every), old.actions.shape[2])).view(n, steps + 1)
        behaved = gaussian_log_density(*(t.flatten(0, 1) for t in (old.mean, old.log_std, old.actions))).view(
            n, steps
        )
        model: Any = learner.model
        targets, advantages = v_trace(now, old.rewards, old.ended, log_prob - behaved, model.gamma)
        losses = []
        if acts:
            losses.append(gaussian_kl(old.mean.flatten(0, 1), old.log_std.flatten(0, 1), mean, log_std).mean())
            losses.append(-settings.v_trace * (advantages * log_prob).mean())
        if values:
            kept = th.nn.functional.mse_loss(now[:, :-1], old.values.squeeze(2))
            losses.append(settings.value_weight * kept)
            losses.append(settings.v_trace * 0.5 * th.nn.functional.mse_loss(now[:, :-1], targets))
        return th.stack(losses).sum()

    @override
    def row_sizes(self, learner: Learner) -> dict[str, RowSize]:
        """Return what a row of the memory is, by field: a step, or with V-trace a stretch of them."""
        sizes = super().row_sizes(learner)
        if not self._traces or not len(self.memory):
            return sizes
        steps = self.memory.rows.rewards.shape[-1]  # the same in all stretches: episodes may be short
        stretch: dict[str, RowSize] = {field: (steps, size) for field, size in sizes.items() if isinstance(size, int)}
        return stretch | {
            "observations": (steps + 1, learner.observation_size),
            "rewards": (steps,),
            "ended": (steps,),
        }

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
            check_numbers(_TEMPERATURES, self._log_temperatures, (k,))  # of each slot before this one
            self._log_temperatures = self._log_temperatures.to(learner.device)
            buffer.mix_in(self._old_transitions, self.settings.share, self._log_temperatures)

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
                temperatures = learner.log_temperatures
                assert temperatures is not None
                self._log_temperatures = th.cat([self._log_temperatures.to(temperatures), temperatures.detach()])
        policy = learner.policy
        if self._traces:
            self.memory.add(_unrolls(policy, collect.trajectories(self._unrolls, UNROLL)))
            return
        steps = collect(self.settings.memory)
        _, mean, log_std = behaviour(policy, steps.observations)
        with th.no_grad():
            values = policy.values(steps.observations, steps.actions)
        self.memory.add(Steps(steps.observations, steps.actions, mean, log_std, values))

    def _drawn_from(self, buffer: MixedReplayBuffer) -> Transitions:
        """Return as many transitions as the reservoir holds, drawn evenly: from too few, each as often as can be."""
        rows = buffer.buffer_size if buffer.full else buffer.pos
        held, wanted, generator = rows * buffer.n_envs, self.settings.memory, self.transitions.generator
        orders = [th.randperm(held, generator=generator) for _ in range(-(-wanted // held))]
        chosen = th.cat(orders)[:wanted].numpy()
        found = buffer.transitions(chosen // buffer.n_envs, chosen % buffer.n_envs)
        return Transitions(found.observations, found.actions, found.next_observations, found.dones, found.rewards)

    @override
    def memory_bound(self, learner: Learner, tasks: int) -> int:
        """Return the bytes of full reservoirs, and with SAC of a temperature for each task."""
        d, a = learner.observation_size, learner.action_size
        c = len(learner.policy.critic_nets)
        if self._traces:
            row = FLOAT_BYTES * (d + UNROLL * (d + 3 * a + c + 2)) + _DRAW_BYTES
            return generator_bytes() + self._unrolls * row
        row = FLOAT_BYTES * (d + 3 * a + c) + _DRAW_BYTES
        bound = generator_bytes() + self.settings.memory * row
        if learner.replay_buffer is not None and self._mixes_in:
            bound += generator_bytes() + self.settings.memory * (FLOAT_BYTES * (2 * d + a + 2) + _DRAW_BYTES)
            bound += FLOAT_BYTES * tasks
        return bound

    @override
    def state_dict(self) -> dict[str, th.Tensor]:
        """Return both memories, and the temperatures."""
        transitions = self.transitions.state_dict()
        state = super().state_dict() | {f"{_TRANSITIONS}.{name}": tensor for name, tensor in transitions.items()}
        return state | ({_TEMPERATURES: self._log_temperatures} if transitions else {})

    @override
    def load_state_dict(self, state: dict[str, th.Tensor]) -> None:
        """Restore both memories, and the temperatures."""
        super().load_state_dict(state)
        self.transitions.load_state_dict(named(state, _TRANSITIONS))
        self._log_temperatures = state.get(_TEMPERATURES, th.zeros(0))


def _unrolls(policy: SlotPolicy, found: Trajectories) -> Unrolls:
    """Return stretches with what the policy that took their steps gives in them."""
    n, steps = found.rewards.shape
    observations, actions = found.observations[:, :-1].flatten(0, 1), found.actions.flatten(0, 1)
    _, mean, log_std = behaviour(policy, observations)
    with th.no_grad():
        values = policy.values(observations, actions)
    mean, log_std, values = (t.view(n, steps, t.shape[1]) for t in (mean, log_std, values))
    return Unrolls(found.observations, found.actions, mean, log_std, values, found.rewards, found.ended)
