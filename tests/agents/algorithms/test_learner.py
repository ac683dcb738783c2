"""What methods see of an agent in training, with PPO and with SAC."""

from __future__ import annotations

import pytest
import torch as th
from stable_baselines3.common.logger import Logger
from support.models import TINY_PPO, tiny_env, tiny_learner

from clrobot.agents.algorithms import ALGORITHMS
from clrobot.agents.algorithms.learner import Learner
from clrobot.agents.algorithms.role import Role
from clrobot.agents.algorithms.sac import SACAlgorithm, SACSettings
from clrobot.agents.networks.multi_head import MultiHeadNetwork

TINY_SAC = SACAlgorithm(SACSettings(num_envs=4, train_freq=8, gradient_steps=2, batch_size=16, learning_starts=32))


def sac_learner() -> Learner:
    model = TINY_SAC.make(tiny_env(), {"network_class": MultiHeadNetwork, "widths": (8, 8)}, seed=3, device="cpu")
    model.set_logger(Logger(None, []))
    return Learner(TINY_SAC, model)


EVERY = pytest.mark.parametrize("make", [tiny_learner, sac_learner], ids=["ppo", "sac"])


@EVERY
def test_its_sizes_are_those_of_the_spaces(make) -> None:
    learner = make()
    assert (learner.observation_size, learner.action_size) == (24, 4)
    obs = th.zeros(2, learner.observation_size)
    assert learner.policy.gaussian(obs)[0].shape == (2, learner.action_size)
    assert learner.device == th.device("cpu")


def test_the_seed_is_the_models_own() -> None:
    assert (tiny_learner().seed, sac_learner().seed) == (0, 3)


def test_an_off_policy_algorithm_alone_has_a_replay_buffer() -> None:
    assert tiny_learner().replay_buffer is None
    learner = sac_learner()
    assert learner.replay_buffer is learner.model.replay_buffer


@EVERY
def test_every_optimizer_has_a_role_and_each_network_is_stepped_by_its_own(make) -> None:
    learner = make()
    assert learner.optimizers.keys() == learner.algorithm.roles.keys()
    actor = learner.policy.actor_net.trunk[0].weight
    critic = learner.policy.critic_nets[0].trunk[0].weight
    for role, weight in ((Role.ACTOR, actor), (Role.CRITIC, critic)):
        stepped = [p for group in learner.optimizer(role).param_groups for p in group["params"]]
        assert any(p is weight for p in stepped)


def test_ppo_has_one_optimizer_for_actor_and_critic() -> None:
    learner = tiny_learner()
    assert learner.roles == {Role.ACTOR | Role.CRITIC: learner.policy.optimizer}
    for role in (Role.ACTOR, Role.CRITIC, Role.ACTOR | Role.CRITIC):
        assert learner.optimizer(role) is learner.policy.optimizer
    with pytest.raises(KeyError):
        learner.optimizer(Role.TEMPERATURE)


def test_sac_has_an_optimizer_for_each_role() -> None:
    learner = sac_learner()
    model = learner.model
    assert learner.roles == {
        Role.ACTOR: model.actor.optimizer,
        Role.CRITIC: model.critic.optimizer,
        Role.TEMPERATURE: model.ent_coef_optimizer,
    }
    with pytest.raises(KeyError):
        learner.optimizer(Role.ACTOR | Role.CRITIC)


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda a: a.name)
def test_one_optimizer_of_every_algorithm_steps_the_actor_and_one_the_critic(algorithm) -> None:
    for role in (Role.ACTOR, Role.CRITIC):
        assert sum(role in own for own in algorithm.roles.values()) == 1


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_found(bad: float) -> None:
    learner = tiny_learner()
    assert learner.is_finite()
    with th.no_grad():
        learner.policy.critic_nets[0].trunk[1].bias[3] = bad
    assert not learner.is_finite()


def test_a_stage_of_several_slots_trains_every_head_and_one_of_a_single_slot_its_own() -> None:
    learner = tiny_learner()
    learner.begin_slot((2,), tiny_env(slot=2), TINY_PPO.iteration)
    heads = learner.policy.actor_net.heads
    assert [head.weight.requires_grad for head in heads] == [False, False, True]
    learner.begin_slot(range(3), tiny_env(slot=2), TINY_PPO.iteration)
    assert len(heads) == 3
    assert all(p.requires_grad for p in learner.policy.parameters())
