"""What belongs to the machine can be given anew when a run goes on, or is extended, elsewhere."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.outcomes import Warned, WholeRuns, outcome, stopped
from support.trainings import settings

from clrobot.errors import UserError
from clrobot.experiment.config import make_config
from clrobot.experiment.machine import Machine
from clrobot.runs.folder import RunFolder
from clrobot.training.extend import extend
from clrobot.training.resuming import open_training, resume

pytestmark = pytest.mark.usefixtures("quick_training")


def test_nothing_given_changes_nothing_but_the_tracker() -> None:
    config = make_config(**settings("ewc") | {"tracker": "wandb"})
    here = config.on(Machine())
    assert here.model_dump() == config.model_dump() | {"tracker": "none"}


def test_what_is_given_changes_that_alone() -> None:
    settings_ = settings("ewc") | {"video": {"episodes": 3}, "checkpoint": {"steps": 64}}
    config = make_config(**settings_)
    here = config.on(Machine(films=False, snapshot_seconds=7, threads=2))
    changed = config.model_dump() | {
        "threads": 2,
        "video": {"enabled": False, "episodes": 3},
        "checkpoint": {"seconds": 7.0, "steps": None, "enabled": True},
    }
    assert here.model_dump() == changed


@pytest.mark.parametrize(
    ("name", "beyond", "of_run"),
    [
        ("memory_limit_mb", 2**24 + 1, "memory_limit_mb"),
        ("snapshot_seconds", 1.1e9, "checkpoint.seconds"),
        ("threads", 1_025, "threads"),
        ("device", "x" * 101, "device"),
        ("tracker", "paper", "tracker"),
    ],
)
def test_a_machine_s_settings_have_the_bounds_of_a_run_s(name: str, beyond: Any, of_run: str) -> None:
    with pytest.raises(UserError, match=name):
        Machine(**{name: beyond})
    group, _, inner = of_run.partition(".")
    with pytest.raises(UserError, match=of_run):
        make_config(**{group: {inner: beyond} if inner else beyond})


def test_films_memory_and_snapshots_are_as_given_and_the_bits_are_the_run_s(
    whole_runs: WholeRuns, tmp_path: Path
) -> None:
    run = stopped(tmp_path / "run", "ewc", boundary=9)
    before = (run / "config.yaml").read_bytes()
    training = open_training(run, Warned(), Machine(films=True, memory_limit_mb=1, snapshot_seconds=3600))
    assert (training.config.video.enabled, training.config.memory_limit_mb) == (True, 1)
    assert training.config.checkpoint.seconds == 3600
    training.run()
    assert (run / "config.yaml").read_bytes() == before
    assert len(list((run / "videos").rglob("*.mp4"))) == 5  # of the second stage's skills and the third's
    ended = outcome(run)
    assert ended == whole_runs["ewc"].outcome


def test_a_device_that_is_not_there_is_one_sentence_and_the_run_can_go_on_elsewhere(
    whole_runs: WholeRuns, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    run = stopped(tmp_path / "run", "ewc", boundary=9)
    refused = cli("resume", run, "--device", "nowhere")
    assert refused.code == 2
    assert "device 'nowhere' cannot be used" in refused.err
    resume(run, Warned())
    assert outcome(run) == whole_runs["ewc"].outcome


def test_a_memory_that_is_too_small_here_is_one_sentence_and_the_run_can_go_on_elsewhere(
    whole_runs: WholeRuns, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    run = stopped(tmp_path / "run", "ewc", boundary=9)
    refused = cli("resume", run, "--memory-limit-mb", "0")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "--memory-limit-mb is 0" in refused.err
    resume(run, Warned())
    assert outcome(run) == whole_runs["ewc"].outcome


@pytest.mark.parametrize(
    ("machine", "words"),
    [
        (Machine(device="nowhere"), "device 'nowhere' cannot be used"),
        (Machine(tracker="wandb"), "wandb"),
        (Machine(memory_limit_mb=0), "memory-limit-mb is 0"),
    ],
    ids=["device", "tracker", "memory"],
)
def test_an_extension_is_refused_before_anything_is_copied(
    machine: Machine, words: str, whole_runs: WholeRuns, tmp_path: Path
) -> None:
    run = RunFolder.open(Path(shutil.copytree(whole_runs["ewc"].run.path, tmp_path / "run")))
    with pytest.raises(UserError, match=words):
        extend(run, "push", 64, tmp_path / "more", machine=machine)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_bad_values_are_one_sentence(cli: Callable[..., Any], tmp_path: Path) -> None:
    outcome = cli("resume", tmp_path, "--memory-limit-mb", "-1")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "memory_limit_mb" in outcome.err
