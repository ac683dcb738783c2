"""The policies as Stable-Baselines3 sees them."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch as th
from stable_baselines3.common.policies import ActorCriticPolicy
from support.models import (
    ITERATION,
    TINY,
    TINY_PPO,
    box_policy,
    next_slot,
    same_bits,
    snapshot,
    state_std_policy,
    tiny_env,
    tiny_learner,
    tiny_ppo,
)

from clrobot.agents.algorithms.learner import Learner
from clrobot.agents.algorithms.ppo import PPOAlgorithm
from clrobot.agents.networks.knowledge_base import ProgressNetwork
from clrobot.agents.networks.multi_head import MultiHeadNetwork
from clrobot.agents.networks.progressive import IndependentNetwork, ProgressiveNetwork
from clrobot.agents.policies.listed import Listed
from clrobot.agents.policies.ppo import PPOSlotPolicy

EVERY = pytest.mark.parametrize("network_class", [MultiHeadNetwork, ProgressiveNetwork, IndependentNetwork])


def batch(model, *slots: int) -> np.ndarray:
    x = np.random.default_rng(0).normal(size=(len(slots), model.policy.action_net.inputs))
    return np.column_stack([x, slots]).astype(np.float32)


@EVERY
def test_predict_takes_mixed_batches(network_class) -> None:
    model = tiny_ppo(network_class)
    next_slot(Learner(TINY_PPO, model), 1)
    obs = batch(model, 0, 1, 0)
    actions, _ = model.predict(obs, deterministic=True)
    for i in range(3):
        alone, _ = model.predict(obs[i], deterministic=True)
        np.testing.assert_allclose(actions[i], alone, atol=1e-6)


@EVERY
def test_each_slot_has_its_own_standard_deviation(network_class) -> None:
    model = tiny_ppo(network_class)
    next_slot(Learner(TINY_PPO, model), 1)
    with th.no_grad():
        model.policy.log_stds[0].fill_(-1.0)
        model.policy.log_stds[1].fill_(0.5)
    distribution = model.policy.get_distribution(th.as_tensor(batch(model, 0, 1, 0)))
    stds = distribution.distribution.stddev[:, 0].detach()
    assert th.allclose(stds, th.exp(th.tensor([-1.0, 0.5, -1.0])))
    assert th.equal(model.policy.log_std, model.policy.log_stds[1])  # what Stable-Baselines3 logs


@EVERY
@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("slots", [(1, 1, 1, 1), (0, 1, 0, 1)], ids=["one slot", "mixed"])
def test_acting_gives_the_bits_of_stable_baselines3(network_class, deterministic, slots) -> None:
    model = tiny_ppo(network_class)
    next_slot(Learner(TINY_PPO, model), 1)
    obs = th.as_tensor(batch(model, *slots))
    th.manual_seed(3)
    own = model.policy(obs, deterministic)
    th.manual_seed(3)
    stock = ActorCriticPolicy.forward(model.policy, obs, deterministic)
    assert [part.shape for part in own] == [(4, 4), (4, 1), (4,)]
    assert all(th.equal(mine, theirs) for mine, theirs in zip(own, stock, strict=True))


@EVERY
def test_training_a_new_slot_leaves_old_heads_alone(network_class) -> None:
    model = tiny_ppo(network_class)
    next_slot(Learner(TINY_PPO, model), 1)
    frozen = {name: t for name, t in snapshot(model.policy).items() if ".heads.0" in name or ".columns.0" in name}
    frozen["log_stds.0"] = model.policy.log_stds[0].detach().clone()
    assert len(frozen) >= 5
    model.learn(128, reset_num_timesteps=False)
    after = snapshot(model.policy)
    assert same_bits(frozen, {name: after[name] for name in frozen})
    assert not th.equal(model.policy.log_stds[1], th.full((4,), -0.5))  # and the new one did train


@pytest.mark.parametrize(
    "network_class", [ProgressiveNetwork, partial(ProgressiveNetwork, later_width=0.5), IndependentNetwork]
)
def test_earlier_actions_are_bit_identical_after_a_stage_with_a_column_of_its_own(network_class) -> None:
    model = tiny_ppo(network_class)
    model.learn(128)
    obs = batch(model, 0, 0, 0, 0)
    before, _ = model.predict(obs, deterministic=True)
    next_slot(Learner(TINY_PPO, model), 1)
    model.learn(256, reset_num_timesteps=False)
    after, _ = model.predict(obs, deterministic=True)
    np.testing.assert_array_equal(before, after)


def test_earlier_actions_do_change_without_protection() -> None:
    model = tiny_ppo(MultiHeadNetwork)
    obs = batch(model, 0, 0, 0, 0)
    before, _ = model.predict(obs, deterministic=True)
    next_slot(Learner(TINY_PPO, model), 1)
    model.learn(256, reset_num_timesteps=False)
    after, _ = model.predict(obs, deterministic=True)
    assert np.abs(before - after).max() > 0


@EVERY
def test_weights_load_into_a_policy_built_with_as_many_slots(network_class) -> None:
    model = tiny_ppo(network_class)
    for k in (1, 2):
        next_slot(Learner(TINY_PPO, model), k)
    policy = model.policy
    again = PPOSlotPolicy(
        policy.observation_space,
        policy.action_space,
        lambda _: 0.0,
        network_class=network_class,
        widths=(8, 8),
        slots=3,
    )
    again.load_state_dict(policy.state_dict())
    obs = batch(model, 0, 1, 2)
    np.testing.assert_array_equal(
        policy.predict(obs, deterministic=True)[0], again.predict(obs, deterministic=True)[0]
    )
    # `requires_grad` is not in a state dict: building the slots freezes the earlier ones.
    trainable = [name for name, p in policy.named_parameters() if p.requires_grad]
    assert trainable == [name for name, p in again.named_parameters() if p.requires_grad]


@pytest.mark.parametrize("make", [box_policy, state_std_policy], ids=["ppo", "sac"])
def test_stable_baselines3_saves_a_policy_and_builds_the_same_again(make, tmp_path) -> None:
    policy = make(3, 2, widths=(6, 5), layer_norm=True, critic_class=ProgressiveNetwork, log_std_init=-1, slots=2)
    policy.save(tmp_path / "policy")
    again = type(policy).load(tmp_path / "policy")
    assert again.slots == 2
    assert same_bits(snapshot(policy), snapshot(again))
    obs = th.tensor([[0.1, 0.2, 0.3, 0.0], [0.1, 0.2, 0.3, 1.0]])
    for ours, theirs in zip(policy.gaussian(obs), again.gaussian(obs), strict=True):
        assert th.equal(ours, theirs)


@EVERY
def test_parameter_counts(network_class) -> None:
    model = tiny_ppo(network_class)
    inputs, (a, b) = 23, (8, 8)
    trunk = (inputs * a + a) + (a * b + b)
    actor, critic = b * 4 + 4, b + 1
    one = 2 * trunk + actor + critic + 4
    assert model.policy.parameter_counts() == {"trainable": one, "total": one}
    next_slot(Learner(TINY_PPO, model), 1)
    counts = model.policy.parameter_counts()
    if network_class is MultiHeadNetwork:
        assert counts == {"trainable": one, "total": one + actor + critic + 4}
    else:
        # A column with laterals into its second layer and its output: scale, V (8 x 8 + 8), U (8 x out + out).
        hears = network_class is ProgressiveNetwork
        lateral = [1 + 72 + 72, 1 + 72 + 36, 1 + 72 + 72, 1 + 72 + 9] if hears else []
        assert counts == {"trainable": one + sum(lateral), "total": 2 * one + sum(lateral)}


def test_narrower_later_columns_have_the_parameters_of_their_widths() -> None:
    model = tiny_ppo(partial(ProgressiveNetwork, later_width=0.5), widths=(8, 6))
    first = sum(p.numel() for p in model.policy.action_net.parameters())
    for k in (1, 2):
        next_slot(Learner(TINY_PPO, model), k)
    columns = model.policy.action_net.columns
    counts = [sum(p.numel() for p in column.parameters()) for column in columns]
    inputs, (a, b), outputs = 23, (4, 3), 4
    own = (inputs * a + a) + (a * b + b) + (b * outputs + outputs)
    # A lateral is a scale for each source, V from all sources' units to the own ones below, and U to the layer.
    second = own + (1 + 8 * a + a + a * b + b) + (1 + 6 * b + b + b * outputs + outputs)
    third = own + (2 + (8 + 4) * a + a + a * b + b) + (2 + (6 + 3) * b + b + b * outputs + outputs)
    assert counts == [first, second, third]


def test_a_critic_may_have_a_network_of_its_own() -> None:
    policy = tiny_ppo(ProgressiveNetwork, critic_class=MultiHeadNetwork).policy
    assert (type(policy.action_net), type(policy.value_net)) == (ProgressiveNetwork, MultiHeadNetwork)


def test_unfrozen_every_head_learns_from_a_mixed_batch() -> None:
    """As in multitask training."""
    model = tiny_ppo()
    for k in (1, 2):
        next_slot(Learner(TINY_PPO, model), k)
    policy = model.policy
    policy.unfreeze()
    policy.rebuild_optimizers(1e-3)
    assert policy.parameter_counts()["trainable"] == policy.parameter_counts()["total"]
    before = snapshot(policy)
    obs = th.as_tensor(batch(model, 0, 1, 2, 1))
    values, log_prob, _ = policy.evaluate_actions(obs, th.ones(4, 4))
    (values.sum() + log_prob.sum()).backward()
    policy.optimizer.step()
    after = snapshot(policy)
    assert not any(th.equal(before[name], after[name]) for name, _ in policy.named_parameters())


@EVERY
def test_what_is_frozen_keeps_no_gradient_of_its_last_stage(network_class) -> None:
    """Stable-Baselines3's clipping goes through every parameter that has one, at every step."""
    model = tiny_ppo(network_class)
    model.learn(64)
    assert all(p.grad is not None for p in model.policy.parameters() if p.requires_grad)
    next_slot(Learner(TINY_PPO, model), 1)
    model.learn(64, reset_num_timesteps=False)
    parameters = list(model.policy.parameters())
    assert {p.requires_grad for p in parameters} == {True, False}
    assert all((p.grad is not None) == p.requires_grad for p in parameters)


def test_the_optimizer_starts_fresh_or_keeps_its_moments() -> None:
    model = tiny_ppo()
    model.learn(64)
    weight = next(p for p in model.policy.parameters() if p.requires_grad)
    moments = model.policy.optimizer.state[weight]["exp_avg"].clone()
    assert moments.abs().max() > 0
    model.policy.rebuild_optimizers(1e-3, keep_moments=True)
    assert th.equal(model.policy.optimizer.state[weight]["exp_avg"], moments)
    model.policy.rebuild_optimizers(1e-3)
    fresh = model.policy.optimizer.state[weight]
    assert fresh["step"] == 0
    assert not fresh["exp_avg"].any()


def test_the_learning_rate_falls_within_each_stage() -> None:
    model = tiny_ppo()
    falling = TINY.model_copy(update={"learning_rate": 1e-3, "final_learning_rate": 1e-4})
    for k in (0, 1):
        start = model.num_timesteps
        PPOAlgorithm(falling).begin_slot(model, (k,), tiny_env("reach", k), ITERATION)
        end = start + 64
        for done, expected in ((0, 1e-3), (32, 5.5e-4), (64, 1e-4)):
            remaining = 1.0 - (start + done) / end
            assert model.lr_schedule(remaining) == pytest.approx(expected)
        model.learn(64, reset_num_timesteps=False)
        assert model.num_timesteps == end


@pytest.mark.parametrize("network_class", [ProgressiveNetwork, ProgressNetwork])
def test_an_update_that_computes_frozen_columns_once_learns_the_same(network_class) -> None:
    weights = []
    for once in (True, False):
        learner = tiny_learner(network_class, critic_class=MultiHeadNetwork)
        for k in (1, 2):
            next_slot(learner, k)
        buffer = learner.model.rollout_buffer
        widened = []
        if once:
            plain = buffer.widen
            buffer.widen = lambda obs, plain=plain, widened=widened: widened.append(plain(obs)) or widened[-1]
        else:
            buffer.widen = None
        learner.model.learn(2 * ITERATION, reset_num_timesteps=False)
        assert [part.shape[1] > learner.observation_size for part in widened] == [True, True] * once
        weights.append(snapshot(learner.policy))
    for name, tensor in weights[0].items():
        assert th.allclose(tensor.float(), weights[1][name].float(), atol=1e-5), name


def test_columns_that_trained_again_are_read_as_they_are() -> None:
    learner = tiny_learner(ProgressiveNetwork)
    next_slot(learner, 1)
    network = learner.policy.actor_net
    obs = th.as_tensor(batch(learner.model, 1, 1))
    network(obs)
    learner.policy.unfreeze()
    learner.policy.rebuild_optimizers(0.1)
    learner.policy.optimizer.zero_grad()
    network(obs).sum().backward()
    learner.policy.optimizer.step()
    next_slot(learner, 2)
    with th.no_grad():
        assert th.allclose(network(obs), network.forward_slot(obs[:, :-1], 1), atol=1e-6)


def test_observations_of_several_slots_are_not_widened() -> None:
    model = tiny_ppo(ProgressiveNetwork)
    next_slot(Learner(TINY_PPO, model), 1)
    obs = th.as_tensor(batch(model, 0, 1, 1))
    assert model.policy.with_precomputed(obs) is obs
    values, log_prob, _ = model.policy.evaluate_actions(obs, th.zeros(3, 4))
    assert values.shape == (3, 1)
    assert log_prob.shape == (3,)


@pytest.mark.parametrize("make", [box_policy, state_std_policy])
def test_parameters_are_listed_anew_with_a_new_slot(make) -> None:
    policy = make(3, 2)
    modules = [m for m in policy.modules() if isinstance(m, Listed)]
    assert len(modules) == (1 if make is box_policy else 3)  # SAC's critic and its target too
    for module in modules:
        assert list(map(id, module.parameters())) == [id(p) for _, p in module.named_parameters()]
    policy.add_slot()
    policy.rebuild_optimizers(1e-3)
    for module in modules:
        # Of SAC's critics what trains, and of their targets what follows it; of a whole policy everything.
        owner = module if module is policy else policy.critic
        trains = [p.requires_grad or module is policy for _, p in owner.named_parameters()]
        named = zip(module.named_parameters(), trains, strict=True)
        assert list(map(id, module.parameters())) == [id(p) for (_, p), listed in named if listed]
