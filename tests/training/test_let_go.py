"""Several trainings in one process: each leaves nothing of itself behind."""

from __future__ import annotations

import gc
import os
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch as th
from support.outcomes import StopAt
from support.trainings import settings

from clrobot.errors import UserError
from clrobot.experiment.config import make_config
from clrobot.training.extend import extend
from clrobot.training.observer import Silent
from clrobot.training.resuming import resume
from clrobot.training.stopping import Stopped
from clrobot.training.training import Training, train

pytestmark = pytest.mark.usefixtures("quick_training")
SAC = {"algo": "sac", "sac": {"num_envs": 4, "train_freq": 8, "batch_size": 16, "learning_starts": 32}}


@pytest.fixture(autouse=True)
def _without_collector() -> Iterator[None]:
    """What only the collector of cycles would end lives on in these tests."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def _threads() -> int:
    return len(os.listdir("/proc/self/task"))


def _parts(training: Training) -> dict[str, weakref.ref[Any]]:
    learner = training.learner
    parts = {"training": training, "model": learner.model, "policy": learner.policy, "method": training.method}
    parts |= {"evaluator": training._measuring._evaluator, "simulations": learner.model.env}
    return {name: weakref.ref(part) for name, part in parts.items()}


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted as Linux shows them")
@pytest.mark.parametrize("changes", [{}, SAC], ids=["ppo", "sac"])
@pytest.mark.parametrize("method", ["ewc", "replay", "progressive"])
def test_a_finished_training_ends_with_its_last_name(method: str, changes: dict[str, Any], tmp_path: Path) -> None:
    before = _threads()
    for n in range(3):
        config = make_config(**settings(method) | changes | {"steps": 64, "threads": 2})
        training = Training.begin(config, tmp_path / str(n), Silent())
        training.run()
        parts = _parts(training)
        del training
        assert [name for name, part in parts.items() if part() is not None] == []
        assert _threads() == before


def test_a_stopped_training_s_threads_end_too(tmp_path: Path) -> None:
    before = _threads()
    observer = StopAt(3)
    observer.training = Training.begin(make_config(**settings("finetune")), tmp_path / "run", observer)
    with pytest.raises(Stopped):
        observer.training.run()
    del observer
    gc.collect()  # the error holds its frames
    assert _threads() == before


def test_torch_s_threads_are_put_back(tmp_path: Path) -> None:
    before = th.get_num_threads()
    try:
        th.set_num_threads(2)
        run = train(make_config(**settings("finetune") | {"steps": 64}), tmp_path / "run")
        assert th.get_num_threads() == 2
        extended = extend(run, "push", 64, tmp_path / "more")
        assert th.get_num_threads() == 2
        resume(extended.path)
        assert th.get_num_threads() == 2
        with pytest.raises(UserError):
            train(make_config(**settings("finetune"), memory_limit_mb=0, torch_threads=1), tmp_path / "run")
        assert th.get_num_threads() == 2
    finally:
        th.set_num_threads(before)
