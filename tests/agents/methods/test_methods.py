"""One test over every method: what is added to METHODS is tested for free."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch as th
from support.outcomes import WholeRuns, outcome, stopped
from support.trainings import settings

import clrobot
from clrobot.agents.algorithms.learner import optimizers
from clrobot.agents.methods import METHODS
from clrobot.agents.methods.multitask import Multitask
from clrobot.agents.methods.shared.composite import Composite, why_not_together
from clrobot.agents.methods.shared.kept import bytes_beside
from clrobot.agents.methods.shared.method import Method
from clrobot.experiment.config import make_config
from clrobot.experiment.method import make_method
from clrobot.runs.method_files import load_state
from clrobot.training.resuming import resume
from clrobot.training.training import train

pytestmark = pytest.mark.usefixtures("quick_training")
EVERY = pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)


@EVERY
def test_a_method_trains_saves_loads_and_leaves_no_hook(method: type[Method], whole_runs: WholeRuns) -> None:
    run, model, trained, *_ = whole_runs[method.name]

    for optimizer in optimizers(model).values():
        assert not optimizer._optimizer_step_pre_hooks
        assert not optimizer._optimizer_step_post_hooks
    assert model.max_grad_norm == 0.5

    agent = clrobot.load(run.path)
    obs = np.random.default_rng(0).normal(size=(6, 23)).astype(np.float32)
    for slot, task in enumerate(agent.slots):
        with_slot = np.column_stack([obs, np.full(6, slot)]).astype(np.float32)
        expected, _ = model.policy.predict(with_slot, deterministic=True)
        np.testing.assert_array_equal(agent.predict(obs, task), expected)

    again = make_method(run.config)
    saved = load_state(run.checkpoint(3))
    again.load_state_dict(saved)
    state = again.state_dict()
    assert state.keys() == trained.state_dict().keys()
    assert all(th.equal(state[name], tensor) for name, tensor in trained.state_dict().items())

    metrics = json.loads((run.path / "metrics.json").read_text())
    assert metrics["parameters"]["total"] >= metrics["parameters"]["trainable"] > 0
    assert metrics["memory_bytes"] == bytes_beside(model.policy, trained)
    assert metrics["memory_bytes"] >= sum(t.numel() * t.element_size() for t in saved.values())
    assert set(metrics["seconds"]) >= {"train", "evaluate", "method"}
    assert metrics["seconds"]["train"] > 0


@EVERY
def test_the_same_seed_gives_the_same_run_bit_for_bit_though_it_was_stopped(
    method: type[Method], whole_runs: WholeRuns, tmp_path: Path
) -> None:
    """Two trainings, of which one was stopped in the middle of its second stage and resumed."""
    run = stopped(tmp_path / "run", method.name, boundary=6)
    resume(run)
    assert outcome(run) == whole_runs[method.name].outcome
    assert not (run / "resume").exists()


def test_another_seed_gives_another_run(whole_runs: WholeRuns, tmp_path: Path) -> None:
    other = outcome(train(make_config(**settings("finetune") | {"seed": 1}), tmp_path / "run").path)
    for name in ("scores.jsonl", "stage_00/weights.safetensors", "stage_03/weights.safetensors"):
        assert other[name] != whole_runs["finetune"].outcome[name], name


@EVERY
def test_every_method_says_what_it_is(method: type[Method]) -> None:
    assert method.summary
    assert len(method.summary) < 100
    for field in method.Settings.model_fields.values():
        assert field.description, "a setting without help text"


@EVERY
def test_the_last_stage_leaves_a_head_for_every_slot_and_each_stage_trains_its_own(method: type[Method]) -> None:
    made = make_method(make_config(method=method.name))
    assert all(k in made.trained_slots(k, 5) for k in range(5))
    heads = [made.heads(k, 5) for k in range(5)]
    assert heads == sorted(heads)
    assert heads[-1] == 5
    assert heads == ([5] * 5 if method is Multitask else [1, 2, 3, 4, 5])


def test_a_composed_method_trains_the_slots_that_its_own_part_does() -> None:
    made = make_method(make_config(method="multitask", plasticity={"l2_init": 0.1}))
    assert isinstance(made, Composite)
    assert (made.trained_slots(0, 3), made.heads(0, 3)) == (range(3), 3)


# What can be a part of a composed method adds to gradients alone, by its strength.
HARMLESS = [m for m in METHODS if any(why_not_together(m, other) is None for other in METHODS)]


def same_learning(one: dict[str, object], other: dict[str, object]) -> bool:
    """Whether two outcomes agree in what the agent became after each stage, to the bit."""
    names = [f"stage_{stage:02d}/weights.safetensors" for stage in range(4)]
    return all(one[name] == other[name] for name in names)


@pytest.mark.parametrize("method", HARMLESS, ids=lambda m: m.name)
def test_strength_zero_is_finetune_through_the_whole_loop(
    method: type[Method], whole_runs: WholeRuns, tmp_path: Path
) -> None:
    """What it remembers, its environment and its generators leave no trace: the runs' weights agree to the bit."""
    chosen = settings(method.name)
    chosen[method.name] = chosen.get(method.name, {}) | {"strength": 0.0}
    run = outcome(train(make_config(**chosen), tmp_path / "run").path)
    finetuned = whole_runs["finetune"].outcome
    assert same_learning(run, finetuned)
    assert run["scores.jsonl"] == finetuned["scores.jsonl"]


def test_measuring_more_changes_nothing_in_what_is_learned(whole_runs: WholeRuns, tmp_path: Path) -> None:
    more = settings("finetune") | {"evaluation": {"episodes": 7, "curve_points": 3, "curve_episodes": 5}}
    run = outcome(train(make_config(**more), tmp_path / "run").path)
    assert same_learning(run, whole_runs["finetune"].outcome)
    assert run["scores.jsonl"] != whole_runs["finetune"].outcome["scores.jsonl"]
