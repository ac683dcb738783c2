"""One test over every method: what is added to METHODS is tested for free."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch as th
from helpers import few
from safetensors.torch import load_file

import clrobot
from clrobot.agents.method import Method
from clrobot.agents.methods import METHODS
from clrobot.agents.shaping import optimizers
from clrobot.config import make_config, make_method
from clrobot.run_folder import RunFolder
from clrobot.train import Silent, Training

EVERY = pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
TINY = {
    "curriculum": "quick",
    "steps": 128,
    "network": {"widths": (8, 8)},
    "ppo": {"num_envs": 4, "n_steps": 16, "batch_size": 32, "n_epochs": 2},
    "evaluation": {"episodes": 3, "curve_points": 1, "curve_episodes": 2},
    "video": {"enabled": False},
}


@EVERY
def test_a_method_trains_saves_loads_and_leaves_no_hook(method: type[Method], tmp_path) -> None:
    config = make_config(method=method.name, **few(method), **TINY)
    training = Training.begin(config, tmp_path / "run", Silent())
    run = training.run_all()

    for optimizer in optimizers(training.model).values():
        assert not optimizer._optimizer_step_pre_hooks
        assert not optimizer._optimizer_step_post_hooks
    assert training.model.max_grad_norm == 0.5

    agent = clrobot.load(run.path)
    obs = np.random.default_rng(0).normal(size=(6, 23)).astype(np.float32)
    for slot, task in enumerate(agent.slots):
        with_slot = np.column_stack([obs, np.full(6, slot)]).astype(np.float32)
        expected, _ = training.policy.predict(with_slot, deterministic=True)
        np.testing.assert_array_equal(agent.predict(obs, task), expected)

    again = make_method(config)
    saved = load_file(run.checkpoint(3) / "method.safetensors")
    again.load_state_dict(saved)
    state = again.state_dict()
    assert state.keys() == training.method.state_dict().keys()
    assert all(th.equal(state[name], tensor) for name, tensor in training.method.state_dict().items())

    metrics = json.loads((run.path / "metrics.json").read_text())
    assert metrics["parameters"]["total"] >= metrics["parameters"]["trainable"] > 0
    assert metrics["memory_bytes"] == sum(t.numel() * t.element_size() for t in saved.values())
    assert set(metrics["seconds"]) >= {"train", "evaluate", "method"}
    assert metrics["seconds"]["train"] > 0


@EVERY
def test_the_same_seed_gives_the_same_run_bit_for_bit(method: type[Method], tmp_path) -> None:
    other = 1 if method.name == "finetune" else 0  # that another seed gives another run is not the method's doing
    runs = []
    for name, seed in (("a", 0), ("b", 0), ("c", other)):
        if name != "c" or seed:
            config = make_config(method=method.name, seed=seed, **few(method), **TINY)
            runs.append(Training.begin(config, tmp_path / name, Silent()).run_all())
    a, b, *c = [load_file(run.checkpoint(3) / "weights.safetensors") for run in runs]
    assert all(th.equal(a[name], b[name]) for name in a)
    assert not any(all(th.equal(a[name], different[name]) for name in a) for different in c)
    scores = [run.scores_file.read_bytes() for run in runs]
    assert scores[0] == scores[1]
    assert scores[0] not in scores[2:]


@EVERY
def test_every_method_says_what_it_is(method: type[Method]) -> None:
    assert method.summary
    assert len(method.summary) < 100
    for field in method.Settings.model_fields.values():
        assert field.description, "a setting without help text"


HARMLESS = [method for method in METHODS if method.composes and "strength" in method.Settings.model_fields]


@pytest.fixture(scope="module")
def finetuned(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    config = make_config(method="finetune", **TINY)
    return Training.begin(config, tmp_path_factory.mktemp("runs") / "finetune", Silent()).run_all()


@pytest.mark.parametrize("method", HARMLESS, ids=lambda m: m.name)
def test_strength_zero_is_finetune_through_the_whole_loop(
    method: type[Method], finetuned: RunFolder, tmp_path
) -> None:
    """What it remembers, its environment and its generators leave no trace: the runs' weights agree to the bit."""
    settings = {method.name: few(method).get(method.name, {}) | {"strength": 0.0}}
    config = make_config(method=method.name, **settings, **TINY)
    run = Training.begin(config, tmp_path / "run", Silent()).run_all()
    a, b = [load_file(run.checkpoint(3) / "weights.safetensors") for run in (finetuned, run)]
    assert all(th.equal(a[name], b[name]) for name in a)
    assert finetuned.scores_file.read_bytes() == run.scores_file.read_bytes()


def test_measuring_more_changes_nothing_in_what_is_learned(tmp_path) -> None:
    more = TINY | {"evaluation": {"episodes": 7, "curve_points": 2, "curve_episodes": 5}}
    runs = [
        Training.begin(make_config(method="finetune", **settings), tmp_path / name, Silent()).run_all()
        for name, settings in (("less", TINY), ("more", more))
    ]
    a, b = [load_file(run.checkpoint(3) / "weights.safetensors") for run in runs]
    assert all(th.equal(a[name], b[name]) for name in a)
