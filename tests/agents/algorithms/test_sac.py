"""SAC: stock Stable-Baselines3 with slots, through the same seam."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from stable_baselines3 import SAC
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.utils import set_random_seed
from support import point
from support.models import collector, same_bits, snapshot, tiny_env
from support.outcomes import WholeRuns, outcome, stopped
from support.trainings import settings

import clrobot
from clrobot.agents.algorithms.learner import Learner, optimizers
from clrobot.agents.algorithms.mixed_replay_buffer import MixedReplayBuffer
from clrobot.agents.algorithms.role import Role
from clrobot.agents.algorithms.sac import SACAlgorithm, SACSettings
from clrobot.agents.methods import METHODS
from clrobot.agents.methods.ewc import EWC
from clrobot.agents.methods.replay import Replay
from clrobot.agents.methods.shared.gradient_hooks import gradient_hooks
from clrobot.agents.methods.shared.method import Method
from clrobot.agents.methods.shared.plasticity import Plasticity, PlasticitySettings
from clrobot.agents.networks.multi_head import MultiHeadNetwork
from clrobot.agents.networks.progressive import ProgressiveNetwork
from clrobot.agents.vec_env import JointVecEnv, SlotVecEnv
from clrobot.envs.worlds.make import make_vector_env
from clrobot.envs.worlds.reward_scale import RunningRewards
from clrobot.errors import UserError
from clrobot.evaluation.evaluator import Evaluator
from clrobot.experiment.config import make_config
from clrobot.experiment.prepare import prepare
from clrobot.runs.checkpoint import load_agent
from clrobot.runs.folder import RunFolder
from clrobot.runs.score_book import read_scores
from clrobot.runs.snapshot import Snapshot, snapshots
from clrobot.training.observer import Silent
from clrobot.training.resuming import resume
from clrobot.training.stopping import Stopped
from clrobot.training.training import Training, train
from clrobot.training.training_env import training_env

pytestmark = pytest.mark.usefixtures("quick_training")
SETTINGS = {"num_envs": 4, "train_freq": 8, "gradient_steps": 2, "batch_size": 16, "learning_starts": 32}
TINY_SAC = SACAlgorithm(SACSettings(**SETTINGS))
WORKING = [m.name for m in METHODS if "sac" not in m.refuses]
EVERY = pytest.mark.parametrize("network_class", [MultiHeadNetwork, ProgressiveNetwork])


def tiny_sac(network_class=MultiHeadNetwork):
    network = {"network_class": network_class, "widths": (8, 8)}
    model = TINY_SAC.make(tiny_env(), network, seed=0, device="cpu")
    model.set_logger(Logger(None, []))
    return model


def second_slot(model) -> None:
    TINY_SAC.begin_slot(model, (1,), tiny_env("button-press", 1, seed=1), 128)


def sac(method: str) -> dict[str, Any]:
    return settings(method) | {"algo": "sac", "sac": SETTINGS, "steps": 128}


@pytest.fixture(scope="module")
def sac_runs(tmp_path_factory: pytest.TempPathFactory) -> WholeRuns:
    return WholeRuns(tmp_path_factory.mktemp("sac"), sac)


@EVERY
def test_old_slots_are_frozen_and_targets_follow(network_class) -> None:
    model = tiny_sac(network_class)
    model.learn(96)
    second_slot(model)
    policy = model.policy
    assert same_bits(policy.critic.state_dict(), policy.critic_target.state_dict())
    frozen = {n: t for n, t in snapshot(policy).items() if (".heads.0" in n or ".columns.0" in n) and "actor" in n}
    assert frozen
    model.learn(128, reset_num_timesteps=False)
    after = snapshot(policy)
    assert same_bits(frozen, {name: after[name] for name in frozen})
    assert not same_bits(policy.critic.state_dict(), policy.critic_target.state_dict())
    assert not any(p.requires_grad for p in policy.critic_target.parameters())


def test_a_stage_starts_with_fresh_temperature_and_an_empty_buffer() -> None:
    model = tiny_sac()
    model.learn(128)
    assert model.log_temperatures.item() != pytest.approx(np.log(0.1), abs=1e-6)
    second_slot(model)
    assert model.log_temperatures.item() == pytest.approx(np.log(0.1))
    assert model.replay_buffer.pos == 0
    assert model.learning_starts == model.num_timesteps + 32


def spied(model) -> list[tuple[th.Tensor, th.Tensor]]:
    """Note of each gradient step its batch's slots, and what stood for the log temperature."""
    seen, kind = [], type(model)

    class Spy(kind):
        @property
        def log_ent_coef(self):
            found = super().log_ent_coef
            seen.append((self.replay_buffer.slots, found.detach().as_subclass(th.Tensor).clone()))
            return found

        @log_ent_coef.setter
        def log_ent_coef(self, value) -> None:
            self.log_temperatures = value

    model.__class__ = Spy
    return seen


def test_each_slot_of_a_stage_that_trains_later_ones_has_its_own_temperature() -> None:
    model = tiny_sac()
    model.replay_buffer.slots = th.tensor([1, 2, 2, 1])
    model.log_temperatures, model.first_trained = th.tensor([-1.0, -2.0]), 1
    assert model.log_ent_coef.flatten().tolist() == [-1.0, -2.0, -2.0, -1.0]


@pytest.mark.usefixtures("quick_training")
def test_a_loaded_agent_samples_as_the_one_that_was_trained(tmp_path: Path) -> None:
    """What a head gives as log standard deviations is added to a setting, which no weight holds."""
    small = {"num_envs": 4, "train_freq": 8, "gradient_steps": 2, "batch_size": 16, "learning_starts": 32}
    run = train(make_config(**settings("finetune") | {"algo": "sac", "sac": small}), tmp_path / "run")
    last = read_scores(run.scores_file)[-1]
    assert last.stochastic_return_mean is not None
    config = run.config
    evaluator = Evaluator(config.curriculum, config.evaluation.seed, 1)
    again = evaluator.score(
        load_agent(run).policy, last.slot, config.evaluation.episodes,
        stage=last.stage, step=last.step, stochastic=True,
    )  # fmt: skip
    assert again.stochastic_return_mean == last.stochastic_return_mean


def test_transitions_of_an_earlier_task_are_learned_at_its_own_temperature() -> None:
    """The constant at which its stage ended, whatever the new task's own does."""
    method = Replay(Replay.Settings(memory=40, share=0.25))
    learner = Learner(TINY_SAC, tiny_sac())
    method.before_task(learner, 0)
    learner.model.learn(128)
    ended = learner.log_temperatures.item()
    assert ended != pytest.approx(np.log(0.1), abs=1e-6)
    method.after_task(learner, 0, collector(learner, 0))
    second_slot(learner.model)
    assert learner.log_temperatures.item() == pytest.approx(np.log(0.1))
    method.before_task(learner, 1)
    seen = spied(learner.model)
    learner.model.learn(128, reset_num_timesteps=False)
    assert seen
    own = set()
    for slots, logs in seen:
        assert logs.shape == (16, 1)
        assert th.bincount(slots).tolist() == [4, 12]
        assert (logs[slots == 0] == ended).all()
        assert len(set(logs[slots == 1].flatten().tolist())) == 1
        own |= set(logs[slots == 1].flatten().tolist())
    assert len(own) > 1  # which is learned
    state = method.state_dict()
    assert state["log_temperatures"].tolist() == [ended]
    again = Replay(Replay.Settings(memory=40, share=0.25))
    again.load_state_dict(state)
    assert same_bits(again.state_dict(), state)


@pytest.mark.parametrize("wrong", [th.zeros(0), th.zeros(2), th.zeros(1, 1), th.zeros(1).long(), th.tensor([np.nan])])
def test_loaded_temperatures_of_other_tasks_are_refused(wrong: th.Tensor) -> None:
    method = Replay(Replay.Settings(memory=40, share=0.25))
    learner = Learner(TINY_SAC, tiny_sac())
    method.before_task(learner, 0)
    learner.model.learn(64)
    method.after_task(learner, 0, collector(learner, 0))
    tensors = learner.algorithm.tensors(learner.model)
    learner.algorithm.load_tensors(learner.model, tensors)
    with pytest.raises(ValueError, match="log_temperatures"):
        learner.algorithm.load_tensors(learner.model, tensors | {"log_temperatures": wrong})
    second_slot(learner.model)
    other = Replay(method.settings)
    other.load_state_dict(method.state_dict() | {"log_temperatures": wrong})
    with pytest.raises(ValueError, match="log_temperatures"):
        other.before_task(learner, 1)


def test_the_temperature_that_trains_learns_from_its_own_rows_alone() -> None:
    """∂/∂log α of -mean(log α_i (log π_i + H)): the sum over the own rows, by the batch's size."""
    model = tiny_sac()
    model.learn(64)
    second_slot(model)
    model.learn(64, reset_num_timesteps=False)
    buffer = model.replay_buffer
    buffer.mix_in(lambda n: None, 0.5, th.tensor([np.log(0.3)], dtype=th.float32))
    buffer.slots = th.tensor([0, 1, 1, 0])
    log_prob = th.tensor([[1.0], [2.0], [3.0], [4.0]])
    model.log_temperatures.grad = None
    loss = -(model.log_ent_coef * (log_prob - 4.0).detach()).mean()
    loss.backward()
    assert model.log_temperatures.grad.item() == pytest.approx(-((2 - 4) + (3 - 4)) / 4)
    rows = th.exp(model.log_ent_coef.detach())
    assert (rows * log_prob)[0].item() == pytest.approx(0.3)
    assert isinstance(rows.item(), float)


def test_a_batch_of_one_slot_is_stable_baselines3s_sac_to_the_bit() -> None:
    ours = tiny_sac()
    ours.learn(128)
    theirs = tiny_sac()
    theirs.__class__ = SAC
    theirs.__dict__["log_ent_coef"] = theirs.__dict__.pop("log_temperatures")
    theirs.learn(128)
    assert same_bits(snapshot(ours.policy), snapshot(theirs.policy))
    assert ours.log_temperatures.item() == theirs.log_ent_coef.item() != pytest.approx(np.log(0.1), abs=1e-6)


def test_several_tasks_at_once_have_a_temperature_each() -> None:
    model = tiny_sac()
    parts = [SlotVecEnv(make_vector_env(task, 2, threads=1), k) for k, task in enumerate(("reach", "button-press"))]
    env = JointVecEnv(parts)
    env.seed(0)
    TINY_SAC.begin_slot(model, (0, 1), env, 256)
    model.learn(256, reset_num_timesteps=False)
    first, second = model.log_temperatures.tolist()
    assert first != second
    other = tiny_sac()
    TINY_SAC.begin_slot(other, (0, 1), env, 256)
    TINY_SAC.load_tensors(other, TINY_SAC.tensors(model))
    assert th.equal(other.log_temperatures, model.log_temperatures)


def test_a_restored_model_logs_after_the_same_episodes() -> None:
    """Stable-Baselines3 writes a row after every fourth episode of the stage."""
    model, other = tiny_sac(), tiny_sac()
    model._episode_num = 3
    other.learn(8)
    TINY_SAC.load_tensors(other, TINY_SAC.tensors(model))
    assert other._episode_num == 3


def test_actions_are_the_squashed_mean_and_values_take_them_squashed() -> None:
    model = tiny_sac()
    second_slot(model)
    obs = th.cat([th.randn(6, 23), th.tensor([[0.0], [1.0]] * 3)], dim=1)
    with th.no_grad():
        mean, log_std = model.policy.gaussian(obs)
        values = model.policy.values(obs, mean)
        expected = th.cat(model.critic(obs, th.tanh(mean)), dim=1)
    actions, _ = model.predict(obs.numpy(), deterministic=True)
    np.testing.assert_allclose(actions, th.tanh(mean).numpy(), atol=1e-6)
    assert th.equal(values, expected)
    assert values.shape == (6, 2)
    assert log_std.shape == (6, 4)


class HalfDecay(Method):
    """Adds w·|θ|²/2 of the actor's first layer, in the hook."""

    def auxiliary_loss(self, learner, role):
        if Role.ACTOR not in role:
            return None
        return 0.05 * learner.policy.actor_net.trunk[0].weight.square().sum()


def test_the_hook_equals_the_loss_bit_for_bit() -> None:
    """Training with the penalty in the hook is training with the penalty in SAC's own actor loss."""
    hooked = tiny_sac()
    with gradient_hooks(Learner(TINY_SAC, hooked), HalfDecay(Method.Settings())):
        hooked.learn(128)
    plain = tiny_sac()
    step = plain.actor.optimizer.step

    def penalised(*args, **kwargs):
        (0.05 * plain.policy.actor_net.trunk[0].weight.square().sum()).backward()
        return step(*args, **kwargs)

    plain.actor.optimizer.step = penalised
    plain.learn(128)
    assert same_bits(snapshot(hooked.policy), snapshot(plain.policy))
    bare = tiny_sac()
    bare.learn(128)
    assert not same_bits(snapshot(hooked.policy), snapshot(bare.policy))


@pytest.mark.parametrize("method", WORKING)
def test_methods_work_with_sac_through_the_whole_loop(method: str, sac_runs: WholeRuns) -> None:
    run, model, *_ = sac_runs[method]
    for optimizer in optimizers(model).values():
        assert not optimizer._optimizer_step_pre_hooks
        assert not optimizer._optimizer_step_post_hooks
    agent = clrobot.load(run.path)
    obs = np.random.default_rng(0).normal(size=(6, 23)).astype(np.float32)
    for slot, task in enumerate(agent.slots):
        with_slot = np.column_stack([obs, np.full(6, slot)]).astype(np.float32)
        expected, _ = model.policy.predict(with_slot, deterministic=True)
        np.testing.assert_array_equal(agent.predict(obs, task), expected)
    assert run.read_metrics().stages_done == 3


def filled(method: Method) -> Learner:
    """Return a learner at the start of its second task, after a first of 128 steps that `method` saw."""
    learner = Learner(TINY_SAC, tiny_sac())
    method.before_task(learner, 0)
    learner.model.learn(128)
    method.after_task(learner, 0, collector(learner, 0))
    second_slot(learner.model)
    method.before_task(learner, 1)
    return learner


def test_replay_gives_a_set_share_of_each_batch_to_earlier_tasks() -> None:
    method = Replay(Replay.Settings(memory=40, share=0.25))
    learner = filled(method)
    own = method.transitions.rows
    assert method.memory_bytes() == method.memory_bound(learner, 1)
    learner.model.learn(64, reset_num_timesteps=False)
    batch = learner.replay_buffer.sample(16)
    assert th.bincount(batch.observations[:, -1].long()).tolist() == [4, 12]
    for row in range(4):  # whole transitions, and each is one that was kept
        same = (own.observations == batch.observations[row]).all(1) & (own.rewards == batch.rewards[row]).all(1)
        same &= (own.actions == batch.actions[row]).all(1)
        same &= (own.next_observations == batch.next_observations[row]).all(1)
        assert same.any()
    method.after_task(learner, 1, collector(learner, 1))
    assert th.bincount(learner.replay_buffer.sample(16).observations[:, -1].long()).tolist() == [0, 16]


def test_kept_transitions_are_drawn_without_repeating_any() -> None:
    method = Replay(Replay.Settings(memory=40))
    filled(method)
    kept = method.transitions.rows
    assert len(th.unique(th.cat([kept.observations, kept.actions], 1), dim=0)) == 40
    many = Replay(Replay.Settings(memory=300))  # of 128: each twice at least, and none more than three times
    filled(many)
    kept = many.transitions.rows
    counts = th.unique(th.cat([kept.observations, kept.actions], 1), dim=0, return_counts=True)[1]
    assert sorted(set(counts.tolist())) == [2, 3]
    assert len(counts) == 128


def test_replay_clones_the_actor_and_leaves_the_critics_to_their_own_loss() -> None:
    method = Replay(Replay.Settings(memory=40))
    learner = filled(method)
    assert method.auxiliary_loss(learner, Role.ACTOR) is not None
    assert method.auxiliary_loss(learner, Role.CRITIC) is None


@pytest.mark.parametrize(("share", "size", "old"), [(0.9, 4, 3), (0.01, 4, 1), (0.5, 1, 0)])
def test_a_batch_has_some_of_both(share: float, size: int, old: int) -> None:
    method = Replay(Replay.Settings(memory=40, share=share))
    learner = filled(method)
    learner.model.learn(64, reset_num_timesteps=False)
    slots = learner.replay_buffer.sample(size).observations[:, -1]
    assert slots.tolist() == [0.0] * old + [1.0] * (size - old)
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    assert (learner.replay_buffer.evenly(size).observations[:, -1] == 1).all()
    assert np.random.get_state()[1].tolist() == before, "whoever looks moves no minibatch"  # noqa: NPY002


@pytest.mark.parametrize("off", [{"share": 0.0}, {"strength": 0.0}])
def test_without_a_share_no_transition_is_kept(off: dict[str, float]) -> None:
    method = Replay(Replay.Settings(memory=40, **off))
    learner = filled(method)
    assert len(method.transitions) == 0
    assert method.memory_bytes() == method.memory_bound(learner, 1)


def test_an_episode_that_was_cut_is_not_over_for_those_who_learn_from_it() -> None:
    """As in Stable-Baselines3's own batches; and until something is mixed in, both buffers give the same bits."""
    space, action = spaces.Box(-1, 1, (2,)), spaces.Box(-1, 1, (1,))
    ours, theirs = (kind(8, space, action, n_envs=2) for kind in (MixedReplayBuffer, ReplayBuffer))
    rng = np.random.default_rng(0)
    for t in range(4):
        step = (*(rng.normal(size=(2, n)) for n in (2, 2, 1)), rng.normal(size=2), np.array([t == 1, t == 2]))
        for buffer in (ours, theirs):
            buffer.add(*step, [{"TimeLimit.truncated": t == 1}, {}])
    found = ours.transitions(np.array([1, 2, 3]), np.array([0, 1, 0]))
    assert found.dones.flatten().tolist() == [0.0, 1.0, 0.0]
    batches = []
    for buffer in (ours, theirs):
        set_random_seed(3)  # both draw from numpy's global generator
        batches.append(buffer.sample(20))
    for a, b in zip(*batches, strict=True):
        assert (a is None and b is None) or th.equal(a, b)


def test_a_method_that_does_not_work_with_sac_says_why_in_one_sentence(monkeypatch) -> None:
    monkeypatch.setattr(EWC, "refuses", {"sac": "it has no penalty for two critics"})
    with pytest.raises(UserError, match="ewc does not work with sac: it has no penalty") as error:
        make_config(method="ewc", algo="sac")
    assert "\n" not in str(error.value)


def test_a_strength_of_zero_is_finetune_to_the_bit(sac_runs: WholeRuns, tmp_path: Path) -> None:
    config = make_config(**sac("ewc") | {"ewc": {"strength": 0.0, "states": 100}})
    none, plain = outcome(train(config, tmp_path / "ewc").path), sac_runs["finetune"].outcome
    for name in ("scores.jsonl", "stage_03/weights.safetensors"):
        assert none[name] == plain[name], name


class StopSoon(Silent):
    training: Training

    def advanced(self, steps: int, success: float | None) -> None:
        self.training.stop.asked = self.training.stop.asked or steps >= 64


def test_rows_of_tensorboard_lie_at_the_same_steps_however_often_it_was_stopped(tmp_path: Path) -> None:
    """Stable-Baselines3 writes one after every fourth episode of a stage: three simulations end out of step."""
    changes = {
        "algo": "sac",
        "sac": {**SETTINGS, "num_envs": 3, "train_freq": 4},
        "curriculum": {"name": "one", "stages": [{"task": "reach", "steps": 1_500}]},
        "steps": None,
    }
    whole = train(make_config(**settings("finetune") | changes), tmp_path / "whole")
    run = stopped(tmp_path / "run", "finetune", 15, **changes)
    newest = Snapshot(snapshots(run / "resume")[0], RunFolder.open(run).config)
    assert int(newest._algorithm["episodes"]) % 4 != 0
    resume(run)
    found, expected = outcome(run), outcome(whole.path)
    assert len(expected["curves"]["train/ent_coef"]) > 2
    assert found == expected


@pytest.mark.parametrize("method", ["ewc", "progressive"])
def test_a_stopped_training_goes_on_with_the_same_bits(method: str, sac_runs: WholeRuns, tmp_path: Path) -> None:
    observer = StopSoon()
    observer.training = Training.begin(make_config(**sac(method)), tmp_path / "run", observer)
    with pytest.raises(Stopped):
        observer.training.run()
    observer.training.folder.unlock()
    assert outcome(resume(tmp_path / "run").path) == sac_runs[method].outcome


@pytest.mark.parametrize("joint", [False, True])
def test_rewards_lie_in_the_buffer_as_they_were_paid_and_are_learned_on_the_scale_of_now(joint: bool) -> None:
    """Divided when they were paid, the first would be many times as large as what the same is paid later."""
    worlds = [RunningRewards(make_vector_env("reach", 4, threads=1), as_paid=True) for _ in range(2)]
    parts = [SlotVecEnv(world, slot) for slot, world in enumerate(worlds)]
    env = JointVecEnv(parts) if joint else parts[0]
    env.seed(0)
    model = TINY_SAC.make(env, {"network_class": MultiHeadNetwork, "widths": (8, 8)}, seed=0, device="cpu")
    model.set_logger(Logger(None, []))
    TINY_SAC.begin_slot(model, (0, 1) if joint else (0,), env, 128)
    model.learn(256)
    buffer: Any = model.replay_buffer
    rows = np.arange(buffer.pos)
    envs = np.full(len(rows), env.num_envs - 1)
    paid = buffer.rewards[rows, envs]
    world = worlds[1 if joint else 0]
    count, _, squares = world._moments
    expected = np.clip(paid / np.sqrt(squares / count + 1e-8), -10, 10)
    np.testing.assert_allclose(buffer.transitions(rows, envs).rewards[:, 0], expected, rtol=1e-5)
    # Each transition of a batch is one of the buffer's, on its own slot's scale.
    batch = buffer.sample(200)
    for slot, world in enumerate(worlds[: 1 + joint]):
        own = buffer.rewards[rows][:, 4 * slot : 4 * slot + 4].ravel()
        there = np.clip(own / np.sqrt(world._moments[2] / world._moments[0] + 1e-8), -10, 10)
        drawn = batch.rewards[batch.observations[:, -1] == slot].numpy()
        assert len(drawn) > 20
        assert np.abs(drawn - there[None]).min(axis=1).max() < 1e-5


def test_a_training_in_others_worlds_asks_for_them_so(own_registries: None, tmp_path: Path) -> None:
    point.register()
    curriculum = {"name": "one", "stages": [{"task": "gymnasium:Point-v0", "steps": 128}]}
    for algo, as_paid in (("sac", True), ("ppo", False)):
        config = prepare(make_config(curriculum=curriculum, algo=algo))
        env = training_env(config, 2, (0,), 1)
        assert (env.rescale is not None) == as_paid
        env.close()


def test_targets_are_shrunk_with_what_they_follow() -> None:
    """Else the last task's values would live on in them."""
    learner = Learner(TINY_SAC, tiny_sac())
    learner.model.learn(64)
    second_slot(learner.model)
    before = snapshot(learner.policy)
    Plasticity(PlasticitySettings(shrink=0.5)).before_start(learner, 1)
    assert not same_bits(before, snapshot(learner.policy))
    assert same_bits(learner.model.critic.state_dict(), learner.model.critic_target.state_dict())


def test_the_average_of_the_targets_leaves_what_is_frozen() -> None:
    """x (1 - τ) + x τ is not x: a column's copy would be of other weights than a resumed run's."""
    model = tiny_sac(ProgressiveNetwork)
    model.learn(64)
    second_slot(model)
    model.learn(128, reset_num_timesteps=False)
    both = [dict(critic.named_parameters()) for critic in (model.critic, model.critic_target)]
    equal = {name: th.equal(p, both[1][name]) for name, p in both[0].items()}
    frozen = {name for name, p in both[0].items() if not p.requires_grad}
    assert 0 < len(frozen) < len(equal)
    assert {name for name, same in equal.items() if same} == frozen
