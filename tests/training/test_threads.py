"""`--threads`: how many cores the physics takes, which changes no bit of a run."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mujoco.batch
import pytest
from support.outcomes import WholeRuns, outcome, stopped
from support.trainings import TINY, settings

import clrobot.studies.driver
from clrobot.benchmarks import bench
from clrobot.benchmarks.learning import learn
from clrobot.benchmarks.overhead import measure_overhead
from clrobot.envs.simulation import state
from clrobot.envs.tasks.reach import Reach
from clrobot.experiment.config import RunConfig, make_config
from clrobot.experiment.config_file import dump_config
from clrobot.experiment.machine import Machine
from clrobot.studies.driver import Outcome
from clrobot.studies.plan import Plan
from clrobot.terminal import LiteralConsole
from clrobot.training.extend import extend
from clrobot.training.resuming import resume
from clrobot.training.training import train

pytestmark = pytest.mark.usefixtures("quick_training")


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The threads of each batch of more than three simulations that is made; here the process may use seven cores."""
    found: list[int] = []
    batch = mujoco.batch.Batch

    def counted(model: Any, n: int, threads: int, **kwargs: Any) -> Any:
        if n > 3:
            found.append(threads)
        return batch(model, n, threads, **kwargs)

    monkeypatch.setattr(mujoco.batch, "Batch", counted)
    monkeypatch.setattr(state, "usable_cores", lambda: 7)
    return found


def _same(run: Path, whole: dict[str, Any]) -> bool:
    """Return whether all but the settings, and what is sealed with them, is as in `whole`."""
    found = outcome(run)
    kept = [name for name in whole if not name.endswith((".yaml", ".json"))]
    assert {"scores.jsonl", "metrics", "curves"} < set(kept)
    return all(found[name] == whole[name] for name in kept)


def test_a_training_keeps_to_its_threads_and_ends_with_the_same_bits(
    whole_runs: WholeRuns, tmp_path: Path, threads: list[int]
) -> None:
    whole = whole_runs["ewc"].outcome
    threads.clear()
    run = train(make_config(**settings("ewc") | {"threads": 2}), tmp_path / "run")
    assert set(threads) == {2}
    assert run.config.threads == 2
    assert _same(run.path, whole)


def test_by_default_it_takes_what_the_process_may_use(tmp_path: Path, threads: list[int]) -> None:
    train(make_config(**settings("finetune") | {"steps": 64, "curriculum": "quick", "threads": 0}), tmp_path / "run")
    assert set(threads) <= {4, 5, 6, 7}  # never more than simulations
    assert 7 in threads


def test_they_are_given_anew_to_resume_and_extend(whole_runs: WholeRuns, tmp_path: Path, threads: list[int]) -> None:
    whole = whole_runs["ewc"]
    run = stopped(tmp_path / "run", "ewc", boundary=9)
    threads.clear()
    resume(run, machine=Machine(threads=2))
    assert set(threads) == {2}
    assert outcome(run) == whole.outcome
    threads.clear()
    extended = extend(whole.run, "push", 64, tmp_path / "more", machine=Machine(threads=3))
    assert set(threads) == {3}
    assert extended.config.threads == whole.run.config.threads == 1


def test_evaluate_takes_threads(tiny_run: Path, threads: list[int], cli: Callable[..., Any]) -> None:
    assert cli("evaluate", tiny_run, "--episodes", "8", "--threads", "2").code == 0
    assert threads == [2, 2, 2]
    refused = cli("evaluate", tiny_run, "--threads", "-1")
    assert (refused.code, refused.err) == (2, "clrobot: --threads -1; expected 0 or more\n")


def test_films_take_threads(
    tiny_run: Path, threads: list[int], cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLROBOT_RENDER", "raycast")
    words = ["record", tiny_run, "--task", "reach", "--stage", "1", "--threads", "2"]
    assert cli(*words, "--episodes", "4", "--out", "film.mp4").code == 0
    assert threads == [2]  # of the film: two evaluation episodes are no batch that counts here
    threads.clear()
    assert cli(*words, "--episodes", "4", "--grid", "--out", "grid.gif").code == 0
    assert threads == [2]


def test_benchmarks_take_threads(threads: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bench, "TASKS_BY_ID", {"reach": Reach})
    monkeypatch.setattr(bench, "_ROUNDS", 1)
    found = bench.run_bench(4, 0.01, "reach", None, None, LiteralConsole(io.StringIO()), 2)
    assert found["threads"] == 2
    assert set(threads) == {2}
    threads.clear()
    measure_overhead(["l2"], 1, 3)
    assert set(threads) == {3}
    threads.clear()
    learn(make_config(**TINY | {"evaluation": {"episodes": 5}, "threads": 2}), "reach", 0, steps=64, every=64)
    assert set(threads) == {2}


def test_learning_takes_the_threads_of_its_flag_before_those_of_its_settings(
    threads: list[int], cli: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "config.yaml").write_text(dump_config(make_config(**TINY | {"threads": 2})))
    words = ["learning", "--task", "reach", "--seed", "0", "--steps", "64", "--config", "config.yaml"]
    assert cli(*words).code == 0
    assert set(threads) == {2}
    threads.clear()
    assert cli(*words, "--threads", "3").code == 0
    assert set(threads) == {3}


def test_references_and_a_sweep_take_threads(
    threads: list[int], cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = {"curriculum": {"name": "one", "stages": [{"task": "reach", "steps": 64}]}, "steps": None}
    run = train(make_config(**TINY | one | {"method": "finetune", "threads": 2}), tmp_path / "runs" / "run")
    threads.clear()
    assert cli("references", run.path, "--threads", "3").code == 0
    assert set(threads) == {3}
    assert cli("references", run.path).code == 0  # and it is the same reference, whatever its threads

    asked: list[RunConfig] = []

    def note(plans: list[Plan], *_: Any) -> Outcome:
        asked.extend(planned.config for planned in plans)
        return Outcome([run], [])

    monkeypatch.setattr(clrobot.studies.driver, "run_all", note)
    (tmp_path / "config.yaml").write_text(dump_config(make_config(**TINY | one | {"threads": 2})))
    words = ["sweep", "--config", "config.yaml", "--method", "finetune", "--seed", "0"]
    assert cli(*words, "--threads", "1").code == 0
    assert cli(*words).code == 0
    assert [config.threads for config in asked] == [1, 2]


@pytest.mark.parametrize("asked", ["-1", "1000000"])
def test_nonsense_is_one_sentence(asked: str, cli: Callable[..., Any], tmp_path: Path) -> None:
    for words in (["train", "--out", tmp_path / "new"], ["resume", tmp_path]):
        refused = cli(*words, "--threads", asked)
        assert refused.code == 2
        assert "threads" in refused.err
        assert "Traceback" not in refused.err
