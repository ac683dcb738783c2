"""`--threads`: how many cores the physics takes, which changes no bit of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mujoco.batch
import pytest
from support.outcomes import WholeRuns, outcome, stopped
from support.trainings import settings

from clrobot.envs.simulation import state
from clrobot.experiment.config import make_config
from clrobot.experiment.machine import Machine
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
    assert set(threads) <= {3}
    assert extended.config.threads == whole.run.config.threads == 1


def test_evaluate_takes_threads(tiny_run: Path, threads: list[int], cli: Callable[..., Any]) -> None:
    assert cli("evaluate", tiny_run, "--episodes", "8", "--threads", "2").code == 0
    assert threads == [2, 2, 2]
    refused = cli("evaluate", tiny_run, "--threads", "-1")
    assert (refused.code, refused.err) == (2, "clrobot: --threads -1; expected 0 or more\n")


@pytest.mark.parametrize("asked", ["-1", "1000000"])
def test_nonsense_is_one_sentence(asked: str, cli: Callable[..., Any], tmp_path: Path) -> None:
    for words in (["train", "--out", tmp_path / "new"], ["resume", tmp_path]):
        refused = cli(*words, "--threads", asked)
        assert refused.code == 2
        assert "threads" in refused.err
        assert "Traceback" not in refused.err
