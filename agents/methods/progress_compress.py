"""Progress & Compress: an active column learns a task, and a knowledge base of fixed size takes it in."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from clrobot.agents.algorithms.role import Role
from clrobot.agents.deferred import th
from clrobot.agents.methods.online_ewc import OnlineEWC
from clrobot.agents.methods.shared.distillation_loss import Behaviour, behaviour, distillation_loss
from clrobot.agents.methods.shared.method import Collect, Method

if TYPE_CHECKING:
    from clrobot.agents.algorithms.learner import Learner
    from clrobot.agents.networks.knowledge_base import ProgressNetwork
    from clrobot.agents.networks.slot_network import SlotNetwork


class ProgressCompress(Method):
    """Progress & Compress (Schwarz et al. 2018).

    Progress: the algorithm trains the active column, which reads the knowledge base. Compress, at the stage's end:
    the knowledge base learns what the active column does in states of the task, by gradient steps on

        E_s KL(π_active(·|s) ‖ π_KB(·|s)) + ½ λ Σ_j F_j (θ_j - θ*_j)²     (the paper's equation 2)

    with online EWC's F and θ* of the knowledge base's trunk. Then the task acts with the knowledge base.

    Only the actor is built so: the critic, which acting does not need, is an ordinary multi-head network.
    """

    name: ClassVar = "progress-compress"
    summary: ClassVar = "a column learns each task; a knowledge base takes it in by distillation and online EWC"
    family: ClassVar = "architecture"

    class Settings(OnlineEWC.Settings):
        """How the knowledge base takes a task in."""

        strength: float = Field(0.3, ge=0)
        """λ: the weight of the penalty on moving the knowledge base's weights that earlier tasks need."""
        column: Literal["kept", "reset"] = "kept"
        """What a task's active column begins with: what the one before learned, but for its head, or new weights."""
        compress_states: int = Field(20_000, ge=1)
        """On-policy states of the task from which the knowledge base learns."""
        compress_steps: int = Field(6_000, ge=1)
        """Gradient steps of a compression."""
        compress_batch: int = Field(256, ge=1)
        """States in each of them."""
        compress_rate: float = Field(2e-3, gt=0)
        """Adam's step size at a compression's start; it falls linearly to zero."""

    settings: Settings

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._ewc = OnlineEWC(settings)

    @classmethod
    @override
    def network_class(cls) -> type[ProgressNetwork]:
        from clrobot.agents.networks.knowledge_base import ProgressNetwork

        return ProgressNetwork

    @override
    def why_no_warm_start(self) -> str | None:
        return f"a task of {self.name} is learned by a column that reads the knowledge base, and no old head fits it"

    @classmethod
    @override
    def why_not_with(cls, other: type[Method]) -> str | None:
        return (
            f"{cls.name} changes what earlier tasks act with only while it compresses a task, "
            f"and {other.name} acts on the algorithm's updates"
        )

    @override
    def networks(self) -> dict[str, Callable[..., SlotNetwork]]:
        """Return an actor of two columns and an ordinary critic."""
        network = partial(self.network_class(), reset_column=self.settings.column == "reset")
        return {"network_class": network, "critic_class": super().network_class()}

    @override
    def before_task(self, learner: Learner, k: int) -> None:
        """Look now whether what was remembered is of these networks: it is needed at the stage's end."""
        self._ewc.before_task(learner, k)

    @override
    def after_task(self, learner: Learner, k: int, collect: Collect) -> None:
        """Compress task k into the knowledge base, and remember what of it the task needs."""
        policy = learner.policy
        network = policy.actor_net
        assert isinstance(network, self.network_class())
        teacher = behaviour(policy, collect(self.settings.compress_states).observations)
        network.compressed.fill_(k + 1)  # from here on the policy acts with the knowledge base
        self._ewc.before_task(learner, k)
        self._compress(learner, network.knowledge_of(k), teacher, th.Generator().manual_seed(k))
        self._ewc.after_task(learner, k, collect)

    def _compress(
        self,
        learner: Learner,
        parameters: list[th.nn.Parameter],
        teacher: Behaviour,
        generator: th.Generator,
    ) -> None:
        """Train `parameters` to act in the teacher's states as it did, under the penalty."""
        from clrobot.agents.compiler import Adam

        settings = self.settings
        steps = settings.compress_steps
        optimizer = Adam(parameters, lr=settings.compress_rate)
        schedule = th.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0 - step / steps)
        for parameter in parameters:
            parameter.requires_grad_(True)
        for _ in range(steps):
            chosen = th.randint(len(teacher.mean), (settings.compress_batch,), generator=generator)
            loss = distillation_loss(learner.policy, Behaviour(*(t[chosen.to(t.device)] for t in teacher)))
            optimizer.zero_grad()
            loss.backward(inputs=parameters)  # type: ignore[no-untyped-call]
            self._ewc.adjust_gradients(learner, Role.ACTOR)
            optimizer.step()
            schedule.step()
        for parameter in parameters:
            parameter.requires_grad_(False)
            parameter.grad = None

    @override
    def memory_bound(self, learner: Learner, tasks: int) -> int:
        """Return the bytes of F and θ*."""
        return self._ewc.memory_bound(learner, tasks)

    @override
    def state_dict(self) -> dict[str, th.Tensor]:
        """Return F and θ* of the knowledge base."""
        return self._ewc.state_dict()

    @override
    def load_state_dict(self, state: dict[str, th.Tensor]) -> None:
        """Restore them."""
        self._ewc.load_state_dict(state)
