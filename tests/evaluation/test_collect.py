"""What a method is given of a task that is over: the algorithm's last rollout, and the rest collected anew."""

from __future__ import annotations

from typing import Any

import pytest
import torch as th
from numpy.typing import NDArray
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn
from support.models import TINY_PPO, next_slot, tiny_env, tiny_learner

from clrobot.agents.algorithms.learner import Learner, Rollout
from clrobot.agents.algorithms.sac import SACAlgorithm, SACSettings
from clrobot.agents.vec_env import JointVecEnv, SlotVecEnv
from clrobot.envs.worlds.make import make_vector_env
from clrobot.evaluation import collect as collecting
from clrobot.evaluation.collect import Collector, collect, control_steps
from clrobot.experiment.curriculum import Stage

STAGE = Stage(task="reach", steps=100)


def collector(learner: Learner, slot: int = 0, seed: int = 3) -> Collector:
    return Collector(learner.policy, STAGE, slot, seed, rollout=learner.last_rollout, threads=1)


def rows(t: th.Tensor) -> set[bytes]:
    return {row.numpy().tobytes() for row in t}


def trained() -> Learner:
    learner = tiny_learner()
    learner.model.learn(2 * TINY_PPO.iteration)
    return learner


def test_what_fits_into_the_last_rollout_takes_no_step() -> None:
    learner = trained()
    rollout = learner.last_rollout
    assert rollout is not None
    assert rollout.observations.shape == (64, 24)
    collect = collector(learner)
    found = collect(50)
    assert collect.steps == 0
    assert len(rows(found.observations)) == 50  # without replacement
    assert rows(found.observations) <= rows(rollout.observations)
    pairs = rows(th.cat([rollout.observations, rollout.actions], 1))
    assert rows(th.cat([found.observations, found.actions], 1)) <= pairs  # each with its own action
    again = collector(learner)(50)
    assert all(th.equal(a, b) for a, b in zip(found, again, strict=True))
    assert not th.equal(collector(learner, seed=4)(50).observations, found.observations)


def test_the_rest_is_collected_anew_and_counted() -> None:
    learner = trained()
    gather = collector(learner)
    found = gather(300)
    assert found.observations.shape == (300, 24)
    assert found.actions.shape == (300, 4)
    assert gather.steps == control_steps(STAGE, 236) == 300
    new = collect(learner.policy, STAGE, 0, 236, 3, threads=1)
    assert th.equal(found.observations[64:], new.observations)
    assert rows(found.observations[:64]) == rows(learner.last_rollout.observations)


def test_an_update_later_the_policy_is_close_to_the_one_that_acted() -> None:
    """What the rollout was taken with differs from what it is now by one update: a small divergence."""
    from clrobot.agents.methods.shared.distillation_loss import behaviour, distillation_loss

    learner = tiny_learner()
    learner.model.learn(TINY_PPO.iteration)
    obs = None
    before = None

    class Snapshot(type(learner.model)):
        def train(self) -> None:
            nonlocal obs, before
            obs = th.as_tensor(self.rollout_buffer.observations).flatten(0, 1).clone()
            before = behaviour(self.policy, obs)
            super().train()

    learner.model.__class__ = Snapshot
    learner.model.learn(TINY_PPO.iteration, reset_num_timesteps=False)
    assert rows(obs) == rows(learner.last_rollout.observations)
    assert 0 < distillation_loss(learner.policy, before).item() < 0.05


def test_nothing_is_had_for_nothing_before_learning_or_with_sac() -> None:
    assert tiny_learner().last_rollout is None
    algorithm = SACAlgorithm(
        SACSettings(num_envs=4, train_freq=8, gradient_steps=2, batch_size=16, learning_starts=32)
    )
    model = algorithm.make(tiny_env(), {"widths": (8, 8)}, seed=0, device="cpu")
    model.set_logger(Logger(None, []))
    model.learn(64)
    learner = Learner(algorithm, model)
    assert learner.last_rollout is None
    gather = collector(learner)
    found, new = gather(150), collect(learner.policy, STAGE, 0, 150, 3, threads=1)
    assert gather.steps == 200
    assert all(th.equal(a, b) for a, b in zip(found, new, strict=True))


def test_of_several_tasks_at_once_only_the_slots_own_steps_are_given() -> None:
    learner = tiny_learner()
    parts = [SlotVecEnv(make_vector_env(task, 2, threads=1), k) for k, task in enumerate(("reach", "button-press"))]
    env = JointVecEnv(parts)
    env.seed(0)
    learner.begin_slot((0, 1), env, TINY_PPO.iteration)
    learner.model.learn(TINY_PPO.iteration, reset_num_timesteps=False)
    for slot in (0, 1):
        gather = collector(learner, slot)
        assert (gather(32).observations[:, -1] == slot).all()
        assert gather.steps == 0
        assert len(gather(33).observations) == 33
        assert gather.steps == 100


def test_a_rollout_of_another_slot_gives_nothing() -> None:
    learner = trained()
    next_slot(learner, 1)
    rollout = learner.last_rollout
    assert isinstance(rollout, Rollout | None)
    gather = Collector(learner.policy, STAGE, 1, 3, rollout=rollout, threads=1)
    assert (gather(20).observations[:, -1] == 1).all()
    assert gather.steps == 100


@pytest.mark.parametrize(("n", "steps"), [(1, 100), (100, 100), (101, 200), (2000, 2000)])
def test_whole_episodes_are_taken(n: int, steps: int) -> None:
    assert control_steps(STAGE, n) == steps


def test_others_simulations_run_in_whole_batches_and_all_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    stepped = []

    class Counting(SlotVecEnv):
        def step(self, actions: NDArray[Any]) -> VecEnvStepReturn:
            stepped.append(self.num_envs)
            return super().step(actions)

    learner = trained()
    monkeypatch.setattr(Stage, "native", False)
    monkeypatch.setattr(collecting, "_AT_ONCE", 2)
    monkeypatch.setattr(collecting, "SlotVecEnv", Counting)
    gather = collector(learner)
    assert len(gather(64 + 250).observations) == 64 + 250  # three episodes, in two batches of two
    assert gather.steps == sum(stepped) == 400


def test_later_batches_of_others_simulations_draw_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A seed may mean that simulations are made anew, and that takes as long as hundreds of steps."""
    seeds = []

    class Seeded(SlotVecEnv):
        def reset(self) -> NDArray[Any]:
            seeds.append(self._seed)
            return super().reset()

    policy = trained().policy
    monkeypatch.setattr(Stage, "native", False)
    monkeypatch.setattr(collecting, "_AT_ONCE", 2)
    monkeypatch.setattr(collecting, "SlotVecEnv", Seeded)
    first, again = (collect(policy, STAGE, 0, 6, 3, 1, threads=1) for _ in range(2))
    assert seeds == [3, None, None] * 2
    assert len(rows(first.observations)) == 6
    assert rows(first.observations) == rows(again.observations)
