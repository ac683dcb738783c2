"""Several trainings in one process: each leaves nothing of itself behind."""

from __future__ import annotations

import gc
import os
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch as th
from support.outcomes import StopAt
from support.trainings import TINY, settings

from clrobot.benchmarks.bench import ppo_speed
from clrobot.benchmarks.learning import learn
from clrobot.benchmarks.overhead import measure_overhead
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


def _threads() -> set[str]:
    return set(os.listdir("/proc/self/task"))


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
        assert not _threads() - before


def test_a_stopped_training_s_threads_end_too(tmp_path: Path) -> None:
    before = _threads()
    observer = StopAt(3)
    observer.training = Training.begin(make_config(**settings("finetune")), tmp_path / "run", observer)
    with pytest.raises(Stopped):
        observer.training.run()
    del observer
    gc.collect()  # the error holds its frames
    assert not _threads() - before


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Torch's own number, here and now."""
    before = th.get_num_threads()
    th.set_num_threads(2)
    yield
    th.set_num_threads(before)


BENCHMARKS: dict[str, Callable[[], object]] = {
    "learning": lambda: learn(make_config(**TINY), "reach", 0, steps=64, every=64),
    "bench": lambda: ppo_speed("reach", 0.01),
    "overhead": lambda: measure_overhead(["l2"], 1),
}


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_a_benchmark_puts_torch_s_threads_back(benchmark: str) -> None:
    BENCHMARKS[benchmark]()
    assert th.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_a_benchmark_that_cannot_be_puts_torch_s_threads_back_too() -> None:
    with pytest.raises(UserError, match="phases of its own"):
        measure_overhead(["packnet"], 1)
    assert th.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("verb", ["evaluate", "export", "train"])
def test_a_verb_puts_torch_s_threads_back(
    verb: str, cli: Callable[..., Any], tiny_run: Path, tiny_flags: tuple[str, ...]
) -> None:
    more = {"evaluate": ["--episodes", "2"], "export": ["--format", "onnx"], "train": [*tiny_flags, "--out", "new"]}
    assert cli(verb, *([] if verb == "train" else [tiny_run]), *more[verb]).code == 0
    assert th.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_torch_s_threads_are_put_back(tmp_path: Path) -> None:
    run = train(make_config(**settings("finetune") | {"steps": 64}), tmp_path / "run")
    assert th.get_num_threads() == 2
    extended = extend(run, "push", 64, tmp_path / "more")
    assert th.get_num_threads() == 2
    resume(extended.path)
    assert th.get_num_threads() == 2
    with pytest.raises(UserError):
        train(make_config(**settings("finetune"), memory_limit_mb=0, torch_threads=1), tmp_path / "run")
    assert th.get_num_threads() == 2
