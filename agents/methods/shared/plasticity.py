"""Keeping a network able to learn: options that go with any method, and the measure that says whether they matter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pydantic import Field
from typing_extensions import override

from clrobot.agents.deferred import th
from clrobot.agents.methods.shared.method import Collect, Family, Method
from clrobot.agents.tensors import check_numbers

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

    from clrobot.agents.algorithms.learner import Learner
    from clrobot.agents.algorithms.role import Role
    from clrobot.agents.networks.slot_network import SlotNetwork

DORMANT = 0.025  # a unit whose activity is at most this share of its layer's mean is dormant
_SEEN = "seen."  # begins the names of kept states
_NOTED = "noted"
KEPT_STATES = 256  # of each task, by which ReDo judges whether a unit is dormant there


class Inputs(NamedTuple):
    """What networks have read: n states of one task and the actions taken in them."""

    states: th.Tensor  # (n, d), without the slot's index
    actions: th.Tensor  # (n, A)

    def of(self, network: SlotNetwork) -> th.Tensor:
        """Return what the network reads of them: the states, and for a critic of actions those too."""
        if network.inputs == self.states.shape[1]:
            return self.states
        return th.cat([self.states, self.actions], dim=1)


def dormant_units(network: SlotNetwork, x: th.Tensor, slot: int, threshold: float) -> list[th.Tensor]:
    """Return a mask (width,) of the dormant units of each hidden layer (Sokar et al. 2023, equation 1).

        s_i = E_x |h_i(x)| / (1/H Σ_k E_x |h_k(x)|),   dormant: s_i ≤ τ

    Args:
        network: an actor or a critic.
        x: inputs (n, d), without the slot's index.
        slot: whose activations are looked at.
        threshold: τ.
    """
    with th.no_grad():
        hidden = network.activations(x, slot)[:-1]
    activity = [h.abs().mean(0) for h in hidden]
    return [a <= threshold * a.mean() for a in activity]


def dormant_share(network: SlotNetwork, x: th.Tensor, slot: int, threshold: float = DORMANT) -> float:
    """Return the share of dormant units among all hidden units, in [0, 1]."""
    masks = dormant_units(network, x, slot, threshold)
    return float(th.cat(masks).float().mean())


class PlasticitySettings(Method.Settings):
    """Options against the loss of plasticity, usable with any method."""

    reset_optimizer: bool = True
    """Start every stage with fresh Adam moments."""
    l2_init: float = Field(0.0, ge=0)
    """Weight of the pull towards the initial weights (L2-to-init); 0 is off."""
    shrink: float = Field(1.0, ge=0, le=1)
    """What earlier weights are multiplied by when a stage begins (shrink and perturb); 1 is off."""
    perturb: float = Field(0.0, ge=0)
    """Scale of the fresh random weights added then; 0 is off."""
    redo_every: int = Field(0, ge=0)
    """Updates between two resets of units that are dormant in every task so far (ReDo); 0 is off."""
    redo_threshold: float = Field(DORMANT, ge=0)
    """Activity, as a share of its layer's mean, up to which a unit is dormant."""


class Plasticity(Method):
    """The options as verbs, for a Composite with any method; the method's own verbs come after these.

    They touch what trains, on actor and critic alike: the shared trunk, or the newest column. Frozen weights stay. To
    shrink and to perturb is for a trunk: columns, which begin anew or as a copy, are left alone.

    Sources: L2-to-init (Kumar et al. 2023); shrink and perturb (Ash and Adams 2020); ReDo (Sokar et al. 2023).
    """

    name: ClassVar = "plasticity"
    summary: ClassVar = "options that keep a network able to learn"
    family: ClassVar[Family] = "bound"
    Settings = PlasticitySettings
    settings: PlasticitySettings

    def __init__(self, settings: PlasticitySettings) -> None:
        super().__init__(settings)
        self._initial: dict[str, th.Tensor] = {}
        self._noted: int | None = None  # the task in which they were noted
        self._seen: dict[int, Inputs] = {}  # of each task so far, by its slot
        self._task = 0  # that is learned, from 0

    @property
    def is_on(self) -> bool:
        """Whether any option of this class is on (fresh moments are the algorithm's)."""
        return any(self.uses(verb) for verb in ("adjust_gradients", "after_update")) or self._shrinks

    @property
    def _shrinks(self) -> bool:
        return self.settings.shrink < 1 or self.settings.perturb > 0

    @override
    def uses(self, verb: str) -> bool:
        s = self.settings
        wanted = {"adjust_gradients": s.l2_init > 0, "after_update": s.redo_every > 0}
        return wanted.get(verb, super().uses(verb))

    @override
    def only_adds(self) -> bool:
        return True

    @override
    def before_start(self, learner: Learner, k: int) -> None:
        """Shrink and perturb what is not new: a start that is chosen by what it does is then the one that learns."""
        if k > 0 and self._shrinks:
            for network in _networks(learner):
                self._shrink_and_perturb(network)
            learner.policy.reset_targets()

    @override
    def before_task(self, learner: Learner, k: int) -> None:
        """Note the initial weights of what is new; a trunk that was copied since, tried as it was, shrinks now."""
        self._task = k
        actor, critic = learner.copied
        both = zip(_networks(learner), (actor, *(critic for _ in learner.policy.critic_nets)), strict=True)
        again = [network for network, copied in both if copied and network.begins_with_trunk]
        if self._shrinks and again:
            for network in again:
                self._shrink_and_perturb(network)
            learner.policy.reset_targets()
        if self.settings.l2_init > 0:
            # What has no part in this stage needs no anchor any more.
            trainable = {name: p for name, p in _hidden_parameters(learner).items() if p.requires_grad}
            # A stage that goes on from a snapshot has noted what it drew; here other weights may stand by now.
            drawn = {p for network in _networks(learner) for p in network.drawn_anew()}
            anew = drawn if self._noted != k else set()
            kept = {n: p for n, p in self._initial.items() if trainable.get(n) not in anew}
            self._noted = k
            self._initial = {n: kept.get(n, p.detach().clone()) for n, p in trainable.items()}
            for name, initial in self._initial.items():
                check_numbers(name, initial, trainable[name].shape)
        self._check_seen(learner, k)

    def _check_seen(self, learner: Learner, k: int) -> None:
        """Raise ValueError unless the states kept are some of each task's, up to task k."""
        for slot, inputs in self._seen.items():
            count = inputs.states.shape[0]
            if not 0 <= slot <= k or not 0 < count <= KEPT_STATES:
                raise ValueError(f"{_SEEN}{slot} has {count} states, in task {k}")
            check_numbers(f"{_SEEN}{slot}.states", inputs.states, (count, learner.observation_size - 1))
            check_numbers(f"{_SEEN}{slot}.actions", inputs.actions, (count, learner.action_size))

    def _shrink_and_perturb(self, network: SlotNetwork) -> None:
        if not list(network.shared_parameters()):
            return  # columns: what trains is new
        #   θ ← shrink · θ + perturb · θ_fresh
        new = set(network.drawn_anew())  # such as the active column beside a knowledge base
        for layer in network.layers(network.newest)[:-1]:
            if layer.weight in new:
                continue
            fresh = _fresh(layer)
            with th.no_grad():
                for p, drawn in zip(layer.parameters(), fresh.parameters(), strict=True):
                    p.mul_(self.settings.shrink).add_(drawn.to(p.device), alpha=self.settings.perturb)

    @override
    def adjust_gradients(self, learner: Learner, role: Role) -> None:
        """Add the gradient of ½ λ Σ (θ - θ_0)², for the parameters that this optimizer steps."""
        stepped = _stepped(learner.optimizer(role))
        parameters = _hidden_parameters(learner)
        with th.no_grad():
            for name, initial in self._initial.items():
                p = parameters[name]
                if p in stepped and p.grad is not None:
                    p.grad.add_(p - initial.to(p.device), alpha=self.settings.l2_init)

    @override
    def after_update(self, learner: Learner, role: Role) -> None:
        """Every `redo_every` updates, give dormant units fresh inputs and no output to what is learned.

        A frozen head of an earlier task keeps its weight on a unit of the last layer, which was at rest for it too.
        """
        optimizer = learner.optimizer(role)
        stepped = _stepped(optimizer)
        networks = [n for n in _networks(learner) if n.layers(n.newest)[-1].weight in stepped]
        if not networks:
            return  # SAC's temperature
        # Adam's own count: fresh in every stage, and part of every snapshot.
        updates = int(optimizer.state[networks[0].layers(networks[0].newest)[-1].weight]["step"])
        if updates % self.settings.redo_every:
            return
        inputs = _recent_inputs(learner)
        for network in networks:
            layers = network.layers(network.newest)
            masks = self._dormant_everywhere(learner, network, inputs)
            for below, above, dormant in zip(layers[:-1], layers[1:], masks, strict=True):
                if below.weight.requires_grad and bool(dormant.any()):
                    _renew(below, above, dormant, optimizer)

    def _dormant_everywhere(self, learner: Learner, network: SlotNetwork, recent: Inputs) -> list[th.Tensor]:
        """Return a mask (width,) for each hidden layer: dormant in this task, and in each earlier one that reads it.

        The frozen head of an earlier task may live on a unit that this task leaves at rest.
        """
        threshold, newest = self.settings.redo_threshold, network.newest
        masks = dormant_units(network, recent.of(network), newest, threshold)
        for task, inputs in self._seen.items():
            if task == self._task:
                continue
            slot = min(task, newest)  # with one head for all
            there = Inputs(*(t.to(learner.device) for t in inputs))
            asleep = dormant_units(network, there.of(network), slot, threshold)
            pairs = zip(network.layers(slot)[:-1], network.layers(newest)[:-1], strict=True)
            for i, (theirs, ours) in enumerate(pairs):
                if theirs is ours:  # a column of its own reads nothing of this one
                    masks[i] = masks[i] & asleep[i]
        return masks

    @override
    def after_task(self, learner: Learner, k: int, collect: Collect) -> None:
        """Keep some of the newest states, which the algorithm has at hand, for judging units by later."""
        if self.settings.redo_every:
            inputs = _recent_inputs(learner)
            count = len(inputs.states)
            chosen = th.linspace(0, count - 1, min(count, KEPT_STATES)).long()
            self._seen[k] = Inputs(*(t[chosen.to(t.device)].clone() for t in inputs))

    @override
    def state_dict(self) -> dict[str, th.Tensor]:
        """Return the initial weights, and the states of each task."""
        seen = {
            f"{_SEEN}{k}.{field}": tensor for k, own in self._seen.items() for field, tensor in own._asdict().items()
        }
        noted = {} if self._noted is None else {_NOTED: th.tensor(self._noted)}
        return self._initial | noted | seen

    @override
    def load_state_dict(self, state: dict[str, th.Tensor]) -> None:
        """Restore what `state_dict` returned."""
        weights = {name: tensor for name, tensor in state.items() if not name.startswith(_SEEN)}
        noted = weights.pop(_NOTED, None)
        self._initial, self._noted = weights, None if noted is None else int(noted)
        slots = sorted({int(name.split(".")[1]) for name in state if name.startswith(_SEEN)})
        self._seen = {k: Inputs(*(state[f"{_SEEN}{k}.{field}"] for field in Inputs._fields)) for k in slots}

    @override
    def memory_bound(self, learner: Learner, tasks: int) -> int:
        """Return the bytes of the initial weights (those of one stage: columns grow) and of the states."""
        bound = 0
        if self.settings.l2_init:
            bound += tasks * sum(p.numel() * p.element_size() for p in _hidden_parameters(learner).values())
            bound += th.tensor(0).element_size()
        if self.settings.redo_every:
            row = learner.observation_size - 1 + learner.action_size
            bound += tasks * KEPT_STATES * row * th.finfo(th.float32).bits // 8
        return bound


def _networks(learner: Learner) -> list[SlotNetwork]:
    policy = learner.policy
    return [policy.actor_net, *policy.critic_nets]


def _hidden_parameters(learner: Learner) -> dict[str, nn.Parameter]:
    """Return the parameters of the hidden layers that the newest slot reads or owns, of actor and critic.

    They go by their networks' own names for them: of a network with a column for each slot, no two columns share one.
    """
    found = {}
    for i, network in enumerate(_networks(learner)):
        names = {p: name for name, p in network.named_parameters()}
        for layer in network.layers(network.newest)[:-1]:
            found.update({f"{i}.{names[p]}": p for p in layer.parameters()})
    return found


def _stepped(optimizer: Optimizer) -> set[nn.Parameter]:
    return {p for group in optimizer.param_groups for p in group["params"]}


def _recent_inputs(learner: Learner) -> Inputs:
    """Return what the networks have read lately: some of all the replay buffer holds (SAC), or the rollout (PPO)."""
    model: Any = learner.model
    if learner.replay_buffer is not None:
        batch = learner.replay_buffer.evenly(model.batch_size)
        return Inputs(batch.observations[:, :-1], batch.actions)
    rollout = model.rollout_buffer
    observations, actions = (
        th.as_tensor(array, device=learner.device).flatten(0, -2) for array in (rollout.observations, rollout.actions)
    )
    return Inputs(observations[:, :-1], actions)


def _fresh(layer: nn.Linear) -> nn.Linear:
    from clrobot.agents.networks.slot_network import HIDDEN_GAIN, linear

    return linear(layer.in_features, layer.out_features, HIDDEN_GAIN)


def _renew(below: nn.Linear, above: nn.Linear, dormant: th.Tensor, optimizer: Optimizer) -> None:
    """Give units fresh incoming weights and outgoing weights of zero, without momentum (Sokar et al. 2023, §4)."""
    fresh = _fresh(below).to(below.weight.device)
    with th.no_grad():
        below.weight[dormant] = fresh.weight[dormant]
        below.bias[dormant] = 0.0
        above.weight[:, dormant] = 0.0
        renewed: Any = ((below.weight, dormant), (below.bias, dormant), (above.weight, (slice(None), dormant)))
        for p, index in renewed:
            for name in ("exp_avg", "exp_avg_sq"):
                if name in optimizer.state.get(p, {}):
                    optimizer.state[p][name][index] = 0.0
