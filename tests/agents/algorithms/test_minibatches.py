"""Minibatches that do not divide an update: said once, in our words, and as Stable-Baselines3 makes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clrobot.agents.algorithms import ALGORITHMS
from clrobot.agents.algorithms.ppo import PPOAlgorithm, PPOSettings
from clrobot.experiment.config import make_config
from clrobot.training.untrained import untrained

FEWER = "an update has --ppo.num-envs 8 × --ppo.n-steps 16 = 128 samples: each pass is one minibatch of all of them"
LAST = "= 64 samples: the last minibatch has 16, and moves the weights as much as one of --ppo.batch-size 48"


def remarks(num_envs: int, n_steps: int, batch_size: int) -> str:
    settings = PPOSettings(num_envs=num_envs, n_steps=n_steps, batch_size=batch_size)
    return " ".join(PPOAlgorithm(settings).remarks)


def test_the_defaults_go_well_together() -> None:
    assert [algorithm(algorithm.Settings()).remarks for algorithm in ALGORITHMS] == [()] * len(ALGORITHMS)


@pytest.mark.parametrize("batch_size", range(2, 70))
def test_a_remark_tells_the_minibatches_that_are_made(batch_size: int) -> None:
    rest = 64 % batch_size
    said = remarks(4, 16, batch_size)
    assert bool(said) == bool(rest)
    if rest:
        assert (f"last minibatch has {rest}," in said) != ("one minibatch of all" in said)


def test_the_number_of_a_remark_is_that_of_the_last_minibatch() -> None:
    """And Stable-Baselines3's own warning, an error in a test, is not given."""
    sizes = {"num_envs": 4, "n_steps": 16, "batch_size": 48}
    config = make_config(curriculum="quick", method="finetune", threads=1, ppo=sizes)
    model: Any = untrained(config)[0].model
    model.rollout_buffer.full = True
    assert [len(batch.actions) for batch in model.rollout_buffer.get(model.batch_size)] == [48, 16]
    assert LAST in remarks(**sizes)


def test_a_rollout_below_a_minibatch_is_one_minibatch() -> None:
    assert remarks(8, 16, 512) == f"{FEWER}, not of --ppo.batch-size 512"


@pytest.mark.usefixtures("quick_training")
def test_a_training_says_it_once(cli: Callable[..., Any], tiny_flags: tuple[str, ...], tmp_path: Path) -> None:
    done = cli("train", *tiny_flags, "--method", "finetune", "--ppo.batch-size", "48", "--out", tmp_path / "run")
    assert (done.code, done.err) == (0, "")
    told = " ".join(done.out.split())
    assert told.count(LAST) == 1
    assert told.count("warning") == 1
    assert "site-packages" not in told
