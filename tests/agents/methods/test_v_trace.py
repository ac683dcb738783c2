"""V-trace against closed forms and numbers worked out by hand, and CLEAR's loss with it in replay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch as th
from support import point
from support.models import collector, next_slot, tiny_learner
from support.trainings import settings
from torch.distributions import Normal

from clrobot.agents.algorithms.learner import Learner
from clrobot.agents.algorithms.role import Role
from clrobot.agents.methods.replay import UNROLL, Replay, Unrolls
from clrobot.agents.methods.shared.distillation_loss import gaussian_kl
from clrobot.agents.methods.shared.method import Experience, Trajectories
from clrobot.agents.methods.shared.v_trace import gaussian_log_density, v_trace
from clrobot.agents.vec_env import SlotVecEnv
from clrobot.envs.worlds.make import make_vector_env
from clrobot.errors import UserError
from clrobot.evaluation.collect import Collector, trajectories
from clrobot.experiment.config import make_config
from clrobot.experiment.curriculum import Stage
from clrobot.experiment.method import make_method
from clrobot.training.start_check import check_start
from clrobot.training.training import train
from clrobot.training.untrained import untrained


def random(*shape: int, seed: int = 0) -> th.Tensor:
    return th.randn(*shape, generator=th.Generator().manual_seed(seed))


# The targets -------------------------------------------------------------------------------------------------


def test_on_policy_the_targets_are_the_returns_and_the_advantages_their_excess() -> None:
    """π = μ: v_t = Σ_i γ^i r_{t+i} + γ^(T-t) V(s_T), and A_t = v_t - V(s_t) (Espeholt et al. 2018, section 4.1)."""
    values, rewards, zeros = random(7, 6), random(7, 5, seed=1), th.zeros(7, 5)
    found = v_trace(values, rewards, zeros, zeros, gamma=0.9)
    expected, following = [], values[:, 5]
    for t in reversed(range(5)):
        following = rewards[:, t] + 0.9 * following
        expected.insert(0, following)
    th.testing.assert_close(found.targets, th.stack(expected, 1))
    th.testing.assert_close(found.advantages, found.targets - values[:, :-1])


def test_off_policy_numbers_worked_out_by_hand() -> None:
    """V = (1, 2, 4), r = (1, 3), γ = ½, ratios ½ and 3, which is cut to 1.

    δ_1 = 3 + 2 - 2 = 3, so v_1 = 5. δ_0 = ½ (1 + 1 - 1) = ½, so v_0 = 1 + ½ + ½ · ½ · 3 = 2.25.
    A_1 = 3 + 2 - 2 = 3 and A_0 = ½ (1 + ½ · 5 - 1) = 1.25.
    """
    ratios = th.tensor([[0.5, 3.0]])
    found = v_trace(th.tensor([[1.0, 2.0, 4.0]]), th.tensor([[1.0, 3.0]]), th.zeros(1, 2), ratios.log(), gamma=0.5)
    th.testing.assert_close(found.targets, th.tensor([[2.25, 5.0]]))
    th.testing.assert_close(found.advantages, th.tensor([[1.25, 3.0]]))


def test_nothing_follows_a_step_that_ended_the_task() -> None:
    """V = (1, 2, 4), r = (1, 3), γ = ½, on policy; the last step ends it: v_1 = 3, v_0 = 1 + 1.5."""
    zeros = th.zeros(1, 2)
    ended = th.tensor([[0.0, 1.0]])
    found = v_trace(th.tensor([[1.0, 2.0, 4.0]]), th.tensor([[1.0, 3.0]]), ended, zeros, gamma=0.5)
    th.testing.assert_close(found.targets, th.tensor([[2.5, 3.0]]))


def test_the_targets_are_those_of_its_definition() -> None:
    """v_s = V(x_s) + Σ_t γ^(t-s) (Π_{i<t} c_i) δ_t (equation 1), summed as it stands there."""
    values, rewards, log_ratio = random(3, 9), random(3, 8, seed=1), 0.7 * random(3, 8, seed=2)
    found = v_trace(values, rewards, th.zeros(3, 8), log_ratio, gamma=0.95)
    c = log_ratio.exp().clamp(max=1.0)
    for s in range(8):
        expected = values[:, s].clone()
        for t in range(s, 8):
            delta = c[:, t] * (rewards[:, t] + 0.95 * values[:, t + 1] - values[:, t])
            expected += 0.95 ** (t - s) * c[:, s:t].prod(1) * delta
        th.testing.assert_close(found.targets[:, s], expected)


def test_no_gradient_goes_through_values_or_ratios() -> None:
    values, log_ratio = random(2, 4).requires_grad_(), random(2, 3).requires_grad_()
    found = v_trace(values, random(2, 3), th.zeros(2, 3), log_ratio, gamma=0.9)
    assert not found.targets.requires_grad
    assert not found.advantages.requires_grad


def test_the_log_density_is_torchs() -> None:
    mean, log_std, x = random(6, 4), 0.3 * random(6, 4, seed=1), random(6, 4, seed=2)
    th.testing.assert_close(gaussian_log_density(mean, log_std, x), Normal(mean, log_std.exp()).log_prob(x).sum(1))


# What is collected -------------------------------------------------------------------------------------------


def test_stretches_are_consecutive_steps_of_one_episode() -> None:
    """Rewards and observations again, by stepping the same simulations with the actions that were kept."""
    learner = tiny_learner()
    found = trajectories(learner.policy, _env(3), 15, 20, seed=4)  # five in each of three episodes
    assert found.observations.shape == (15, 21, 24)
    assert not found.ended.any()  # an episode that is cut by its length is not over
    again = _env(3)
    again.seed(4)
    obs = again.reset()
    starts = {obs[i].tobytes(): i for i in range(3)}
    order = [starts.get(row.numpy().tobytes()) for row in found.observations[:, 0]]
    assert sorted(i for i in order if i is not None) == [0, 1, 2]
    first = [order.index(i) for i in range(3)]
    for t in range(20):
        for i, row in enumerate(first):
            np.testing.assert_array_equal(found.observations[row, t].numpy(), obs[i])
        obs, rewards, *_ = again.step(found.actions[first, t].clamp(-1, 1).numpy())
        np.testing.assert_array_equal(found.rewards[first, t].numpy(), rewards)
    np.testing.assert_array_equal(found.observations[first, 20].numpy(), obs)


def _env(n: int) -> SlotVecEnv:
    return SlotVecEnv(make_vector_env("reach", n, threads=1), 0)


def test_the_last_observation_of_an_episode_is_where_it_ended_and_not_where_the_next_began() -> None:
    learner = tiny_learner()
    found = trajectories(learner.policy, _env(2), 10, 20, seed=4)
    # The stretches of one episode follow each other: each begins where another ended, but for the episodes' starts.
    starts = {row.numpy().tobytes() for row in found.observations[:, 0]}
    ends = {row.numpy().tobytes() for row in found.observations[:, -1]}
    assert len(starts - ends) == 2
    assert len(ends - starts) == 2


def test_a_stretch_longer_than_any_episode_is_not_there_and_steps_are_counted() -> None:
    learner = tiny_learner()
    assert trajectories(learner.policy, _env(2), 10, 101, seed=4).rewards.shape == (0, 101)
    collect = Collector(learner.policy, Stage(task="reach", steps=100), 0, seed=4, threads=1)
    assert collect.trajectories(12, 20).rewards.shape == (12, 20)  # of three episodes
    assert collect.steps == 300


def test_rewards_are_on_the_scale_on_which_the_stage_was_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    """And of others' worlds a few run at a time, from the start states that all at once have."""
    policy, found = tiny_learner().policy, []
    monkeypatch.setattr("clrobot.evaluation.collect._AT_ONCE", 2)
    for changes, native in (({}, True), ({"reward_scale": 0.125}, True), ({}, False)):
        monkeypatch.setattr(Stage, "native", native)
        collect = Collector(policy, Stage(task="reach", steps=100, **changes), 0, seed=4, threads=1)
        found.append(collect.trajectories(15, 20))
        assert collect.steps == 300
    usual, scaled, batches = found
    np.testing.assert_array_equal(scaled.rewards, 0.125 * usual.rewards)
    assert batches.rewards.shape == (15, 20)
    starts = [{row.numpy().tobytes() for row in some.observations[:, 0]} for some in (usual, batches)]
    assert len(starts[0] & starts[1]) >= 3


def test_a_scale_that_moves_while_a_task_is_learned_is_refused(own_registries: None) -> None:
    point.register()
    stages = [{"task": "reach", "steps": 100}, {"task": "gymnasium:Point-v0", "steps": 100}]
    curriculum = {"name": "both", "pad": True, "stages": stages}
    for method in ("replay", "ewc+replay"):
        chosen = make_config(method=method, curriculum=curriculum, replay={"v_trace": 0.5})
        with pytest.raises(UserError, match=r"^--replay.v-trace 0.5: the scale of .*Point-v0's rewards moves"):
            check_start(chosen, make_method(chosen))
    stages[1] |= {"reward_scale": 0.1}
    chosen = make_config(method="replay", curriculum=curriculum, replay={"v_trace": 0.5})
    check_start(chosen, make_method(chosen))


# Replay with it ----------------------------------------------------------------------------------------------


class Collect:
    """Made-up experience of a slot: of mean actions, with a reward of one at each step."""

    def __init__(self, learner: Learner, slot: int) -> None:
        self.learner, self.slot = learner, slot

    def __call__(self, n: int) -> Experience:
        return collector(self.learner, self.slot)(n)

    def trajectories(self, n: int, length: int) -> Trajectories:
        steps = self(n * (length + 1))
        observations = steps.observations.unflatten(0, (n, length + 1))
        noise = random(n, length, 4, seed=self.slot)
        with th.no_grad():
            mean, log_std = self.learner.policy.gaussian(observations[:, :-1].flatten(0, 1))
        actions = (mean + log_std.exp() * noise.flatten(0, 1)).unflatten(0, (n, length))
        return Trajectories(observations, actions, random(n, length, seed=7), th.zeros(n, length))


def after(tasks: int, **chosen: float) -> tuple[Learner, Replay]:
    method = Replay(Replay.Settings(**{"memory": 200, "batch_size": 4000, "v_trace": 1.0} | chosen))
    learner = tiny_learner()
    for k in range(tasks):
        method.before_task(learner, k)
        method.after_task(learner, k, Collect(learner, k))
        next_slot(learner, k + 1)
    method.before_task(learner, tasks)
    return learner, method


def test_the_memory_is_of_stretches_and_no_larger_than_it_says() -> None:
    sizes = []
    for tasks in (1, 2):
        learner, method = after(tasks)
        rows = method.memory.rows
        assert rows.observations.shape == (10, UNROLL + 1, 24)
        mean, _ = learner.policy.gaussian(rows.observations[:, :-1].flatten(0, 1))
        th.testing.assert_close(rows.mean.flatten(0, 1), mean)
        sizes.append(method.memory_bytes())
        assert method.memory_bytes() == method.memory_bound(learner, tasks)
    assert len(set(sizes)) == 1


@pytest.mark.parametrize("field", Unrolls._fields)
def test_a_loaded_memory_of_other_stretches_is_refused(field: str) -> None:
    learner, method = after(1)
    state = method.state_dict()
    whole = Replay(method.settings)
    whole.load_state_dict(state)
    whole.before_task(learner, 1)
    held = state[field]
    for wrong in (held[..., None], held[:, :3], held.long(), th.full_like(held, np.nan)):
        other = Replay(method.settings)
        other.load_state_dict(state | {field: wrong})
        with pytest.raises(ValueError, match=r"expected numbers of shape|not finite"):
            other.before_task(learner, 1)


def test_the_loss_is_cloning_and_v_trace_written_out() -> None:
    learner, method = after(2, strength=2.0, value_weight=0.5, v_trace=3.0)
    with th.no_grad():
        learner.policy.action_net.trunk[0].weight.mul_(1.2)
        learner.policy.value_net.trunk[0].weight.mul_(1.2)
    state = method.memory.generator.get_state()
    old = method.memory.sample(200)
    method.memory.generator.set_state(state)
    policy, n = learner.policy, 200 * UNROLL
    obs, actions = old.observations[:, :-1].reshape(n, 24), old.actions.reshape(n, 4)
    with th.no_grad():
        mean, log_std = policy.gaussian(obs)
        log_prob = Normal(mean, log_std.exp()).log_prob(actions).sum(1)
        before = Normal(old.mean.reshape(n, 4), old.log_std.reshape(n, 4).exp()).log_prob(actions).sum(1)
        values = policy.values(old.observations.reshape(-1, 24), th.zeros(1)).reshape(200, UNROLL + 1)
        ratio = (log_prob - before).view(200, UNROLL)
        trace = v_trace(values, old.rewards, old.ended, ratio, gamma=learner.algorithm.settings.gamma)
        kl = gaussian_kl(old.mean.reshape(n, 4), old.log_std.reshape(n, 4), mean, log_std).mean()
        cloned = (values[:, :-1] - old.values[:, :, 0]).square().mean()
        actor = -(trace.advantages * log_prob.view(200, UNROLL)).mean()
        critic = 0.5 * (trace.targets - values[:, :-1]).square().mean()
    expected = 2.0 * (kl + 0.5 * cloned + 3.0 * (actor + critic))
    assert ratio.abs().max() > 1e-3
    th.testing.assert_close(method.auxiliary_loss(learner, Role.ACTOR | Role.CRITIC).detach(), expected)


def test_each_optimizer_is_given_its_own_networks_part() -> None:
    learner, method = after(1)
    for role, own, other in (
        (Role.ACTOR, learner.policy.action_net, learner.policy.value_net),
        (Role.CRITIC, learner.policy.value_net, learner.policy.action_net),
    ):
        learner.policy.zero_grad()
        method.auxiliary_loss(learner, role).backward()
        assert own.trunk[0].weight.grad.any()
        assert other.trunk[0].weight.grad is None


@pytest.mark.parametrize(("v", "improves"), [(1e-9, False), (1.0, True)])
def test_cloning_alone_cannot_improve_an_old_skill_and_v_trace_does(v: float, improves: bool) -> None:
    """Old actions with more than the expected return become likelier: with cloning alone nothing moves."""
    learner, method = after(1, v_trace=v, value_weight=0.0)
    old = method.memory.rows
    obs, actions = old.observations[:, :-1].flatten(0, 1), old.actions.flatten(0, 1)
    # Half of the stretches went far better than the others.
    good = (th.arange(len(old.rewards)) % 2 == 0)[:, None].expand_as(old.rewards)
    old.rewards.copy_(good.float() * 10)
    optimizer = th.optim.Adam(learner.policy.action_net.trunk.parameters(), lr=3e-3)

    def likelier() -> float:
        with th.no_grad():
            log_prob = gaussian_log_density(*learner.policy.gaussian(obs), actions).view_as(old.rewards)
        return float(log_prob[good].mean() - log_prob[~good].mean())

    before = likelier()
    for _ in range(30):
        optimizer.zero_grad()
        method.auxiliary_loss(learner, Role.ACTOR).backward()
        optimizer.step()
    gained = likelier() - before
    assert (gained > 1e-3) == improves, gained


def test_it_is_refused_with_sac_in_a_sentence() -> None:
    config = make_config(method="ewc+replay", algo="sac", replay={"v_trace": 0.5})
    with pytest.raises(UserError, match=r"^--replay.v-trace is 0.5, and sac learns from old rewards by its own loss"):
        untrained(config)


@pytest.mark.usefixtures("quick_training")
def test_it_trains_through_the_whole_loop_and_resumes_with_the_same_bits(tmp_path: Path) -> None:
    from support.outcomes import outcome, stopped

    from clrobot.training.resuming import resume

    changes = {"replay": {"memory": 200, "v_trace": 1.0}}
    whole = train(make_config(**settings("replay") | changes), tmp_path / "whole")
    run = stopped(tmp_path / "run", "replay", boundary=6, **changes)
    resume(run)
    assert outcome(run) == outcome(whole.path)
    assert whole.read_metrics().environment_steps.method == 3 * 200
    plain = train(make_config(**settings("replay") | {"replay": {"memory": 200}}), tmp_path / "plain")
    assert outcome(plain.path)["stage_03/weights.safetensors"] != outcome(run)["stage_03/weights.safetensors"]
