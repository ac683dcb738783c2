"""The seam: gradients shaped from outside equal a rewritten `train()`, and no hook stays behind."""

from __future__ import annotations

import pytest
import torch as th
from stable_baselines3 import PPO
from support.models import collector, next_slot, same_bits, snapshot, tiny_learner

from clrobot.agents.algorithms.learner import Learner
from clrobot.agents.methods.ewc import EWC
from clrobot.agents.methods.finetune import Finetune
from clrobot.agents.methods.shared.gradient_hooks import gradient_hooks
from clrobot.agents.methods.shared.method import Method


def ewc_after_one_task(learner: Learner, strength: float) -> EWC:
    method = EWC(EWC.Settings(strength=strength, states=50))
    method.after_task(learner, 0, collector(learner, 0))
    next_slot(learner, 1)
    method.before_task(learner, 1)
    return method


class PenaltyInLossPPO(PPO):
    """Stable-Baselines3's update with EWC's penalty written into the loss: the reference for the hook."""

    penalty: tuple[list, float]

    def train(self) -> None:
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        clip_range = self.clip_range(self._current_progress_remaining)
        terms = self.penalty
        for _ in range(self.n_epochs):
            for data in self.rollout_buffer.get(self.batch_size):
                values, log_prob, entropy = self.policy.evaluate_actions(data.observations, data.actions)
                values = values.flatten()
                advantages = data.advantages
                advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
                ratio = th.exp(log_prob - data.old_log_prob)
                loss_1 = advantages * ratio
                loss_2 = advantages * th.clamp(ratio, 1 - clip_range, 1 + clip_range)
                policy_loss = -th.min(loss_1, loss_2).mean()
                value_loss = th.nn.functional.mse_loss(data.returns, values)
                entropy_loss = -th.mean(entropy)
                loss = policy_loss + self.ent_coef * entropy_loss + self.vf_coef * value_loss
                # ½ λ Σ F (θ - θ*)²
                loss = loss + sum((0.5 * weight * (p - anchor) ** 2).sum() for p, weight, anchor in terms)
                self.policy.optimizer.zero_grad()
                loss.backward()
                th.nn.utils.clip_grad_norm_(self.policy.optimizer.param_groups[0]["params"], self.max_grad_norm)
                self.policy.optimizer.step()
            self._n_updates += 1


def test_the_hook_equals_the_penalty_in_the_loss_bit_for_bit() -> None:
    hooked = tiny_learner()
    method = ewc_after_one_task(hooked, strength=100.0)
    with gradient_hooks(hooked, method):
        hooked.model.learn(256, reset_num_timesteps=False)

    reference = tiny_learner()
    twin = ewc_after_one_task(reference, strength=100.0)
    reference.model.__class__ = PenaltyInLossPPO
    reference.model.penalty = twin._terms
    reference.model.learn(256, reset_num_timesteps=False)

    free = tiny_learner()
    ewc_after_one_task(free, strength=100.0)
    with gradient_hooks(free, Finetune(Finetune.Settings())):
        free.model.learn(256, reset_num_timesteps=False)

    assert same_bits(snapshot(hooked.policy), snapshot(reference.policy))
    assert not same_bits(snapshot(hooked.policy), snapshot(free.policy))  # and the penalty did something


def test_strength_zero_equals_finetune_bit_for_bit() -> None:
    weights = []
    for method_of in (lambda m: ewc_after_one_task(m, 0.0), finetune_after_one_task):
        learner = tiny_learner()
        method = method_of(learner)
        with gradient_hooks(learner, method):
            learner.model.learn(256, reset_num_timesteps=False)
        weights.append(snapshot(learner.policy))
    assert same_bits(*weights)


def finetune_after_one_task(learner: Learner) -> Finetune:
    next_slot(learner, 1)
    return Finetune(Finetune.Settings())


def test_an_idle_method_leaves_ppo_as_it_is_bit_for_bit() -> None:
    plain = tiny_learner()
    plain.model.learn(256)
    shaped = tiny_learner()
    with gradient_hooks(shaped, Finetune(Finetune.Settings())):
        shaped.model.learn(256)
    assert same_bits(snapshot(plain.policy), snapshot(shaped.policy))


class LargeGradient(Method):
    """Adds a large gradient, as loss and by adjusting, and remembers what the optimizer then used."""

    name = "large"
    summary = "for the test"

    def __init__(self) -> None:
        super().__init__(Method.Settings())
        self.norms: list[float] = []

    def auxiliary_loss(self, learner, role):
        return 1000.0 * learner.policy.action_net.heads[0].weight.sum()

    def adjust_gradients(self, learner, role):
        learner.policy.value_net.heads[0].bias.grad.add_(500.0)

    def after_update(self, learner, role):
        grads = [p.grad for p in learner.policy.parameters() if p.grad is not None]
        self.norms.append(float(th.nn.utils.get_total_norm(grads)))


def test_the_sum_is_clipped_once() -> None:
    learner = tiny_learner()
    method = LargeGradient()
    with gradient_hooks(learner, method) as cost:
        assert learner.model.max_grad_norm == float("inf")
        learner.model.learn(64)
    assert cost.updates == len(method.norms) == 4
    assert method.norms == pytest.approx([0.5] * 4, rel=1e-4)
    assert cost.seconds > 0


def test_nothing_stays_behind_even_after_an_error() -> None:
    learner = tiny_learner()
    with pytest.raises(RuntimeError, match="on purpose"), gradient_hooks(learner, LargeGradient()):
        raise RuntimeError("on purpose")
    assert learner.model.max_grad_norm == 0.5
    for optimizer in learner.optimizers.values():
        assert not optimizer._optimizer_step_pre_hooks
        assert not optimizer._optimizer_step_post_hooks


# Clipped apart ---------------------------------------------------------------------------------------------


class Pull(Method):
    """Adds a gradient of a given norm, and remembers what the optimizer then used, and what was there before."""

    name = "pull"
    summary = "for the test"

    def __init__(self, norm: float) -> None:
        super().__init__(Method.Settings())
        self.norm = norm
        self.own: list[th.Tensor] = []
        self.used: list[th.Tensor] = []

    def only_adds(self) -> bool:
        return True

    def adjust_gradients(self, learner, role):
        self.own.append(learner.optimizer(role).gradient.clone())
        learner.policy.value_net.heads[0].bias.grad.add_(self.norm)

    def after_update(self, learner, role):
        self.used.append(learner.optimizer(role).gradient.clone())


@pytest.mark.parametrize(("norm", "expected"), [(1000.0, 0.25), (0.125, 0.125)])
def test_apart_each_gradient_is_clipped_by_itself(norm: float, expected: float) -> None:
    learner, method = tiny_learner(), Pull(norm)
    with gradient_hooks(learner, method, apart=0.5):
        learner.model.learn(64)
    assert len(method.used) == 4
    for own, used in zip(method.own, method.used, strict=True):
        assert float(own.norm()) <= 0.5 * (1 + 1e-5)  # the algorithm's, clipped before anything is added
        assert float((used - own).norm()) == pytest.approx(expected, rel=1e-3)


def test_apart_a_loss_is_asked_for_before_anything_is_clipped() -> None:
    """SI integrates the algorithm's gradient as it is."""
    norms: list[float] = []

    class Looks(Pull):
        def auxiliary_loss(self, learner, role):
            norms.append(float(learner.optimizer(role).gradient.norm()))

    learner = tiny_learner()
    learner.model.max_grad_norm = 1e-3
    with gradient_hooks(learner, Looks(0.0), apart=1.0):
        learner.model.learn(64)
    assert len(norms) == 4
    assert min(norms) > 0.01


def test_apart_a_method_that_adds_nothing_leaves_ppo_as_it_is_bit_for_bit() -> None:
    plain = tiny_learner()
    plain.model.learn(256)
    shaped = tiny_learner()
    with gradient_hooks(shaped, Pull(0.0), apart=1.0):
        shaped.model.learn(256)
    assert same_bits(snapshot(plain.policy), snapshot(shaped.policy))
