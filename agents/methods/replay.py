"""Experience replay: a sample of all earlier tasks is mixed into every update, as behaviour to be kept."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch as th
from pydantic import Field
from stable_baselines3.common.base_class import BaseAlgorithm

from clrobot.agents.cloning import Behaviour, behaviour, cloning_loss
from clrobot.agents.memory import GENERATOR_BYTES, Reservoir
from clrobot.agents.method import Collect
from clrobot.agents.methods.rehearsal import FLOAT_BYTES, Rehearsal, sizes
from clrobot.agents.policies import ACTOR_OPTIMIZERS, CRITIC_OPTIMIZERS, SlotPolicy

_DRAW_BYTES = 8


class Transition(NamedTuple):
    """Experience of finished tasks, with what actor and critic gave then."""

    observations: th.Tensor  # (n, d + 1), the slot's index last
    actions: th.Tensor  # (n, A)
    mean: th.Tensor  # (n, A)
    log_std: th.Tensor  # (n, A)
    values: th.Tensor  # (n, C), one column for each network of the critic


class Replay(Rehearsal):
    """CLEAR's replay (Rolnick et al. 2019): policy cloning and value cloning on a reservoir over all tasks.

        β (KL(π_then(·|s) ‖ π(·|s)) + w mean (V(s) - V_then(s))²),  s from the reservoir

    The algorithm's own objective is never applied to old experience: PPO's clipped surrogate is defined for actions
    of the policy just before, and on older ones its ratio is far outside the clip.

    The memory is filled when a task ends, by the finished policy, and not while it is learned, as in CLEAR: there
    the old behaviour is a help for off-policy corrections, here it is what is cloned, and most of what a policy did
    while it learned is not worth cloning. Every task offers as many steps as the reservoir holds, so that its
    expected share is the same for all.
    """

    name: ClassVar = "replay"
    summary: ClassVar = "a fixed number of steps of all earlier tasks; actor and critic are held to what they gave"
    family: ClassVar = "replay"
    composes: ClassVar = True

    class Settings(Rehearsal.Settings):
        """Steps of earlier tasks, mixed into every update."""

        strength: float = Field(1.0, ge=0)
        """β, the weight of what is replayed; 0 is fine-tuning, to the bit."""
        value_weight: float = Field(0.1, ge=0)
        """w, the critic's part beside the actor's."""
        memory: int = Field(20_000, ge=1)
        """Steps kept of all tasks together."""

    settings: Settings
    memory: Reservoir[Transition]

    def new_memory(self) -> Reservoir[Transition]:
        """Return the empty memory."""
        return Reservoir(Transition, self.settings.memory)

    def auxiliary_loss(self, model: BaseAlgorithm, optimizer_name: str) -> th.Tensor | None:
        """Return the cloning losses of the networks that this optimizer steps."""
        strength, value_weight = self.settings.strength, self.settings.value_weight
        acts = optimizer_name in ACTOR_OPTIMIZERS
        values = optimizer_name in CRITIC_OPTIMIZERS and value_weight > 0
        if not (acts or values) or not len(self.memory) or strength == 0:
            return None
        policy = model.policy
        assert isinstance(policy, SlotPolicy)
        then = self.memory.sample(self.settings.batch_size)
        losses = []
        if acts:
            losses.append(cloning_loss(policy, Behaviour(then.observations, then.mean, then.log_std)))
        if values:
            now = policy.values(then.observations, then.actions)
            losses.append(value_weight * th.nn.functional.mse_loss(now, then.values))
        return strength * sum(losses[1:], losses[0])

    def after_task(self, model: BaseAlgorithm, k: int, collect: Collect) -> None:
        """Offer steps of the finished policy to the reservoir."""
        policy = model.policy
        assert isinstance(policy, SlotPolicy)
        steps = collect(self.settings.memory)
        _, mean, log_std = behaviour(policy, steps.observations)
        with th.no_grad():
            values = policy.values(steps.observations, steps.actions)
        self.memory.add(Transition(steps.observations, steps.actions, mean, log_std, values))

    def memory_bound(self, model: BaseAlgorithm, tasks: int) -> int:
        """Return the bytes of a full reservoir, however many tasks there are."""
        assert isinstance(model.policy, SlotPolicy)
        d, a = sizes(model)
        row = FLOAT_BYTES * (d + 3 * a + len(model.policy.critic_nets)) + _DRAW_BYTES
        return GENERATOR_BYTES + self.settings.memory * row
