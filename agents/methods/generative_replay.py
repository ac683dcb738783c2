"""Generative replay: a generator of earlier tasks' states, and a frozen policy that labels what it generates."""

from __future__ import annotations

import copy
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from clrobot.agents.algorithms.role import Role
from clrobot.agents.deferred import nn, th
from clrobot.agents.methods.shared.distillation_loss import Behaviour, distillation_loss
from clrobot.agents.methods.shared.memory import generator_bytes
from clrobot.agents.methods.shared.method import Collect, Method, named
from clrobot.agents.methods.shared.rehearsal import FLOAT_BYTES, why_not_both_rehearse
from clrobot.agents.tensors import check_numbers

if TYPE_CHECKING:
    from clrobot.agents.algorithms.learner import Learner
    from clrobot.agents.methods.shared.state_vae import StateGenerator
    from clrobot.agents.policies.policy import SlotPolicy

_FIT_BATCH = 256
_VAE = "state_vae"  # the kind of its tensors in the method's state


class GenerativeReplay(Method):
    """Deep generative replay (Shin et al. 2017), with a policy as the solver.

    When task k ends, the generator learns task k's own states and, of each earlier task, states that it generates;
    then the actor is copied. Both together, the paper's scholar, are all that is kept, and no state that was ever
    seen. While later tasks are learned,

        β · KL(π_teacher(·|s) ‖ π(·|s)),  s generated anew at every gradient step, for each earlier task as often.

    The paper's generator is a GAN of images. Here it is a variational autoencoder around each slot's exact mean and
    principal directions, which alone are a Gaussian generator already: what the autoencoder adds to it is seen with
    `generator: gaussian`, which leaves it out.
    """

    name: ClassVar = "generative-replay"
    summary: ClassVar = "old states are generated (moments, VAE; the paper: GAN) and labelled by a frozen policy copy"
    family: ClassVar = "replay"

    class Settings(Method.Settings):
        """The generator, and how much of what it generates is rehearsed."""

        strength: float = Field(1.0, ge=0)
        """β, the divergence's weight; 0 is fine-tuning, to the bit."""
        batch_size: int = Field(256, ge=1)
        """States of all earlier tasks together, generated anew at every gradient step."""
        generator: Literal["vae", "gaussian"] = "vae"
        """What generates states: the autoencoder, or each task's Gaussian alone, of the same mean and covariance."""
        states: int = Field(10_000, ge=2)
        """On-policy states from which the generator learns a task; they are not kept."""
        iterations: int = Field(1500, ge=1)
        """Minibatches of 256 states from which it learns, at each task's end."""
        width: int = Field(64, ge=1)
        """Units in each hidden layer of the generator."""
        latent: int = Field(8, ge=1)
        """The size of the generator's latent variable."""

    settings: Settings

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._vae: StateGenerator | None = None
        self._teacher: dict[str, th.Tensor] = {}  # the actor's parameters, by their names in `Gaussian`

    @cached_property
    def _random(self) -> th.Generator:
        return th.Generator()

    @classmethod
    @override
    def why_not_with(cls, other: type[Method]) -> str | None:
        return why_not_both_rehearse(cls, other)

    @override
    def before_task(self, learner: Learner, k: int) -> None:
        """Move the scholar to the networks' device; in the first task, take the run's seed.

        Raises:
            ValueError: what was loaded is of other networks.
        """
        self._check(learner)
        if k == 0:
            self._random.manual_seed(learner.seed)
        if self._vae is not None:
            self._vae.to(learner.device)
        self._teacher = {name: p.to(learner.device) for name, p in self._teacher.items()}

    def _check(self, learner: Learner) -> None:
        from clrobot.agents.methods.shared.gaussian import Gaussian

        if self._vae is None:
            return
        for name, tensor in self._vae.state_dict().items():
            if tensor.is_floating_point():
                check_numbers(f"{_VAE}.{name}", tensor, tensor.shape)
        if self._vae.size != learner.observation_size - 1:
            raise ValueError(f"{_VAE} is of states of {self._vae.size} numbers")
        # The teacher has the parameters that the actor had, when it had fewer heads; each is as it was then.
        actor = dict(Gaussian(learner.policy).named_parameters())
        for name, tensor in self._teacher.items():
            check_numbers(f"teacher.{name}", tensor, actor[name].shape)

    def recall(self, policy: SlotPolicy, n: int) -> Behaviour:
        """Return n generated states, of each earlier task as many, with what the teacher does there."""
        from clrobot.agents.methods.shared.gaussian import Gaussian

        vae = self._vae
        assert vae is not None
        with th.no_grad():
            slot = th.arange(n, device=vae.frames.mean.device) % vae.slots
            states = vae.sample(slot, self._random)
            obs = th.cat([states, slot[:, None].to(states)], dim=1)
            mean, log_std = th.func.functional_call(Gaussian(policy), self._teacher, (obs,))
        return Behaviour(obs, mean, log_std)

    @override
    def auxiliary_loss(self, learner: Learner, role: Role) -> th.Tensor | None:
        """Return β times the divergence from the teacher in generated states."""
        if Role.ACTOR not in role or self._vae is None or self.settings.strength == 0:
            return None
        return self.settings.strength * distillation_loss(
            learner.policy, self.recall(learner.policy, self.settings.batch_size)
        )

    @override
    def after_task(self, learner: Learner, k: int, collect: Collect) -> None:
        """Teach the generator task k beside the earlier ones, and copy the actor."""
        from clrobot.agents.methods.shared.gaussian import Gaussian

        policy, settings = learner.policy, self.settings
        states = collect(settings.states).observations[:, :-1]
        if self._vae is None:
            self._vae = self._new_vae(states.shape[1], self._random).to(learner.device)
        earlier = copy.deepcopy(self._vae)
        self._vae.add_slot(states, self._random)
        self._vae.fit(
            states,
            lambda slot: earlier.sample_coordinates(slot, self._random),
            iterations=settings.iterations,
            batch_size=_FIT_BATCH,
            generator=self._random,
        )
        acts = {*policy.actor_net.parameters(), *_scales(policy)}
        self._teacher = {name: p.detach().clone() for name, p in Gaussian(policy).named_parameters() if p in acts}

    def _new_vae(self, size: int, random: th.Generator) -> StateGenerator:
        from clrobot.agents.methods.shared.state_vae import StateGaussian, StateVAE

        if self.settings.generator == "gaussian":
            return StateGaussian(size)
        return StateVAE(size, self.settings.width, self.settings.latent, random)

    @override
    def memory_bound(self, learner: Learner, tasks: int) -> int:
        """Return the bytes of the scholar: the generator, and the actor with a head for each task."""
        size = learner.observation_size - 1
        with th.no_grad():
            vae = self._new_vae(size, th.Generator())
            actor = _numbers(learner.policy.actor_net) + sum(p.numel() for p in _scales(learner.policy))
            shared = sum(p.numel() for _, p in learner.policy.actor_net.shared_parameters())
            head = 0 if learner.policy.actor_net.one_head else actor - shared
            one = _numbers(vae)
            vae.add_slot(th.zeros(2, size), th.Generator())
            slot = _numbers(vae) - one
        return generator_bytes() + FLOAT_BYTES * (one + tasks * slot + actor + (tasks - 1) * head)

    @override
    def state_dict(self) -> dict[str, th.Tensor]:
        """Return the scholar and the generator's random state."""
        if self._vae is None:
            return {}
        return (
            {f"{_VAE}.{name}": t for name, t in self._vae.state_dict().items()}
            | {f"teacher.{name}": t for name, t in self._teacher.items()}
            | {"random": self._random.get_state()}
        )

    @override
    def load_state_dict(self, state: dict[str, th.Tensor]) -> None:
        """Restore the scholar."""
        self._vae, self._teacher = None, {}
        if not state:
            return
        weights = named(state, _VAE)
        slots, size = weights["frames.mean"].shape
        self._vae = self._new_vae(size, self._random)
        for _ in range(slots):
            self._vae.add_slot(th.zeros(2, size), th.Generator())
        self._vae.load_state_dict(weights)
        self._vae.requires_grad_(False)
        self._teacher = named(state, "teacher")
        self._random.set_state(state["random"].cpu())


def _scales(policy: SlotPolicy) -> list[nn.Parameter]:
    """Return the scales of PPO's noise that go on training: with a head for each task they are frozen with it."""
    scales = getattr(policy, "log_stds", None) if policy.actor_net.one_head else None
    return [] if scales is None else [*scales]


def _numbers(module: nn.Module) -> int:
    return sum(t.numel() for t in module.state_dict().values())
