"""The bytes kept beside one actor and critic, worked out by hand from the networks' sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch as th
from safetensors.torch import load_file
from stable_baselines3.common.logger import Logger
from support.models import box_policy, next_slot, state_std_policy, tiny_env, tiny_learner
from support.outcomes import outcome, stopped
from support.trainings import settings

import clrobot
from clrobot.agents.algorithms.learner import Learner
from clrobot.agents.algorithms.sac import SACAlgorithm, SACSettings
from clrobot.agents.methods.finetune import Finetune
from clrobot.agents.methods.packnet import PackNet
from clrobot.agents.methods.progressive import Progressive
from clrobot.agents.methods.scratch import Scratch
from clrobot.agents.methods.shared.kept import bytes_beside
from clrobot.agents.methods.shared.method import Method
from clrobot.agents.policies.policy import SlotPolicy
from clrobot.experiment.build import leave_out_task_inference
from clrobot.experiment.config import make_config
from clrobot.training.resuming import resume
from clrobot.training.training import train

NOTHING = Finetune(Finetune.Settings())
INPUTS, ACTIONS, W1, W2 = 5, 2, 8, 6


def with_slots(policy: SlotPolicy, slots: int) -> SlotPolicy:
    leave_out_task_inference(policy)
    while policy.slots < slots:
        policy.add_slot()
    return policy


@pytest.mark.parametrize("make", [box_policy, state_std_policy])
@pytest.mark.parametrize("layer_norm", [False, True])
def test_heads_and_targets_are_part_of_one_actor_and_critic(make: Any, layer_norm: bool) -> None:
    policy = with_slots(make(INPUTS, ACTIONS, widths=(W1, W2), layer_norm=layer_norm), 3)
    assert bytes_beside(policy, NOTHING) == 0


def test_task_inference_keeps_a_mean_and_a_whitening_of_each_slot() -> None:
    learner = tiny_learner()
    next_slot(learner, 1)
    assert bytes_beside(learner.policy, NOTHING) == 2 * 4 * (23 + 23 * 23)  # 2.2 kB a slot


def test_further_columns_are_kept_beside() -> None:
    """Of three independent columns two are beside, but for their heads, which fine-tuning has too."""
    policy = with_slots(box_policy(INPUTS, ACTIONS, widths=(W1, W2), **Scratch(Scratch.Settings()).networks()), 3)
    trunk = (INPUTS + 1) * W1 + (W1 + 1) * W2
    assert bytes_beside(policy, NOTHING) == 2 * 2 * 4 * trunk  # of actor and critic


def test_laterals_are_kept_beside() -> None:
    networks = Progressive(Progressive.Settings()).networks()
    policy = with_slots(box_policy(INPUTS, ACTIONS, widths=(W1, W2), **networks), 2)
    trunk = (INPUTS + 1) * W1 + (W1 + 1) * W2
    # Into the second hidden layer and into the head: a scale, V with its bias, and U with its own.
    into_second = 1 + (W1 + 1) * W1 + (W1 + 1) * W2
    into_heads = [1 + (W2 + 1) * W2 + (W2 + 1) * outputs for outputs in (ACTIONS, 1)]
    assert bytes_beside(policy, NOTHING) == 4 * (2 * (trunk + into_second) + sum(into_heads))


def test_masks_are_kept_beside() -> None:
    policy = with_slots(box_policy(INPUTS, ACTIONS, widths=(W1, W2), **PackNet(PackNet.Settings()).networks()), 2)
    # Two bytes for each weight's owner, and how many slots are packed.
    assert bytes_beside(policy, NOTHING) == 2 * (INPUTS * W1 + W1 * W2) + 8


def test_what_a_method_remembers_is_kept_beside() -> None:
    class Remembers(Method):
        def state_dict(self) -> dict[str, th.Tensor]:
            return {"numbers": th.zeros(7), "draws": th.zeros(3, dtype=th.float64)}

    policy = with_slots(box_policy(INPUTS, ACTIONS), 1)
    assert bytes_beside(policy, Remembers(Method.Settings())) == 7 * 4 + 3 * 8


def test_sacs_two_critics_and_their_targets_are_one_critic() -> None:
    algorithm = SACAlgorithm(SACSettings(num_envs=4))
    network = {"widths": (8, 8), **Scratch(Scratch.Settings()).networks()}
    model = algorithm.make(tiny_env(), network, seed=0, device="cpu")
    model.set_logger(Logger(None, []))
    policy = with_slots(Learner(algorithm, model).policy, 2)
    actor, critic = (23 + 1) * 8 + 9 * 8, (23 + 4 + 1) * 8 + 9 * 8
    assert bytes_beside(policy, NOTHING) == 4 * (actor + 2 * 2 * critic)


@pytest.mark.usefixtures("quick_training")
@pytest.mark.parametrize("was_stopped", [False, True])
def test_without_task_inference_a_run_keeps_and_takes_nothing_for_it(was_stopped: bool, tmp_path: Path) -> None:
    off = {"task_inference": {"enabled": False}}
    path = tmp_path / "run"
    if was_stopped:
        run = resume(stopped(path, "finetune", boundary=6, **off))
    else:
        run = train(make_config(**settings("finetune") | off), path)
    metrics = run.read_metrics()
    assert (metrics.memory_bytes, metrics.task_inference_steps) == (0, 0)
    assert metrics.environment_steps.method == 0
    weights = load_file(run.checkpoint(3) / "weights.safetensors")
    assert sum(t.numel() for name, t in weights.items() if "task_inference" in name) == 0
    assert clrobot.load(path).evaluate("reach", 2).success_any.shape == (2,)
    on = train(make_config(**settings("finetune")), tmp_path / "on")
    assert outcome(path)["scores.jsonl"] == outcome(on.path)["scores.jsonl"]  # nothing else depends on it
    assert on.read_metrics().memory_bytes == 3 * 4 * (23 + 23 * 23)


@pytest.mark.usefixtures("quick_training")
def test_without_task_inference_acting_without_a_label_is_refused(cli: Any, tmp_path: Path) -> None:
    off = {"task_inference": {"enabled": False}}
    train(make_config(**settings("finetune") | off), tmp_path / "run")
    told = cli("evaluate", tmp_path / "run", "--task-id", "none", "--episodes", "2")
    assert told.code == 2
    assert "was trained with --task-inference.no-enabled and cannot tell its tasks apart" in told.err
    assert told.err.count("\n") == 1
