"""A training killed at any moment and resumed ends with the same bits as one never killed."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from support.outcomes import Warned, WholeRuns, outcome, stopped
from support.trainings import PRELOADED, resume_tiny, settings, train_tiny

from clrobot.errors import UserError
from clrobot.experiment.config import make_config
from clrobot.runs.folder import RunFolder
from clrobot.runs.snapshot import Snapshot, snapshots
from clrobot.training.observer import Silent
from clrobot.training.resuming import resume
from clrobot.training.training import Training, train

pytestmark = pytest.mark.usefixtures("quick_training")
KILLS = int(os.environ.get("CLROBOT_KILLS", "20"))  # hundreds, when somebody has the time


# Every method is stopped in the middle of its second stage in test_methods.py; here one of each kind, elsewhere.
@pytest.mark.parametrize("boundary", [1, 14], ids=["at the start", "in the third stage"])
@pytest.mark.parametrize("method", ["ewc", "packnet", "replay"])
def test_a_stopped_training_goes_on_with_the_same_bits(
    method: str, boundary: int, whole_runs: WholeRuns, tmp_path: Path
) -> None:
    run = stopped(tmp_path / "run", method, boundary)
    resume(run)
    assert outcome(run) == whole_runs[method].outcome
    assert not (run / "resume").exists()


@pytest.mark.parametrize(("method", "boundary"), [("ewc", 5), ("multitask", 2)])
def test_a_training_through_other_worlds_goes_on_with_the_same_bits(
    method: str, boundary: int, tmp_path: Path
) -> None:
    other_world = {"object.friction": 0.3, "sensor.noise": 0.1, "action.delay": 2}
    stages = [{"task": "push", "steps": 128}, {"task": "push", "steps": 128, "overrides": other_world}]
    worlds: dict[str, Any] = {"curriculum": {"name": "worlds", "stages": stages}, "steps": 128}
    train(make_config(**settings(method) | worlds), tmp_path / "whole")
    run = stopped(tmp_path / "run", method, boundary, **worlds)
    kept = Snapshot(snapshots(run / "resume")[0], RunFolder.open(run).config).simulation().arrays
    assert any(name.endswith("pending") for name in kept)  # it was stopped in the other world
    resume(run)
    assert outcome(run) == outcome(tmp_path / "whole")


def test_a_training_killed_before_it_wrote_its_environment_goes_on(tmp_path: Path, whole_runs: WholeRuns) -> None:
    run = RunFolder.create(tmp_path / "run", make_config(**settings("ewc"))).path
    (run / "environment.json").unlink()
    resume(run)
    assert outcome(run) == whole_runs["ewc"].outcome
    assert (run / "environment.json").exists()


@pytest.mark.slow
def test_a_training_killed_at_random_moments_ends_with_the_same_bits(tmp_path: Path, whole_runs: WholeRuns) -> None:
    """SIGKILL to a real process at KILLS random moments, spread over the methods; resumed until it is done."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    methods = ("finetune", "ewc", "progressive", "packnet", "replay")
    seconds = min(whole_runs[method].seconds for method in methods)
    rng = random.Random(0)
    kills, hit, n = 0, 0, 0
    while kills < KILLS:
        assert n < 20 * KILLS
        method, folder = methods[n % len(methods)], tmp_path / f"run-{n}"
        n += 1
        target: Any = train_tiny
        for _ in range(4):  # at most four kills of one run
            process = context.Process(target=target, args=(folder, method))
            process.start()
            if target is train_tiny and rng.random() < 0.9:  # otherwise perhaps before there is a run
                _wait_for(folder / "config.yaml", process)
            process.join(rng.uniform(0.0, 1.2 * seconds))
            if process.exitcode is not None:
                assert process.exitcode == 0
                break
            process.kill()
            process.join()
            if process.exitcode == 0:  # it ended just before
                break
            assert process.exitcode == -signal.SIGKILL
            kills += 1
            if not (folder / "config.yaml").exists():
                break  # killed before there was a run: nothing to resume
            hit += 1
            if RunFolder.open(folder).finished:  # killed after its last stage was measured
                break
            target = resume_tiny
        if (folder / "config.yaml").exists():
            if not RunFolder.open(folder).finished:
                process = context.Process(target=resume_tiny, args=(folder, method))
                process.start()
                process.join(120)
                assert process.exitcode == 0
            assert outcome(folder) == whole_runs[method].outcome, f"run {n} of {method}"
        shutil.rmtree(folder, ignore_errors=True)
    assert hit >= KILLS // 2  # most kills fell into a training, not before it


def _wait_for(file: Path, process: Any) -> None:
    deadline = time.monotonic() + 60
    while not file.exists() and process.is_alive() and time.monotonic() < deadline:
        time.sleep(0.01)


@pytest.fixture(scope="module")
def stopped_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of ewc stopped in its second stage. Only to be read."""
    return stopped(tmp_path_factory.mktemp("stopped") / "run", "ewc", boundary=9)


@pytest.fixture
def copy(stopped_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stopped_run, tmp_path / "run"))


@pytest.mark.parametrize("stage", [1, 2])
def test_one_killed_between_a_checkpoint_and_its_metrics_goes_on_without_snapshots(
    stage: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As while it films: the stage's checkpoint is there, and metrics.json is not, or tells of the one before."""
    config = make_config(**settings("ewc") | {"checkpoint": {"enabled": False}})
    whole = train(config, tmp_path / "whole")
    write = Training._write_metrics

    def killed(self: Training) -> None:
        if self.next_stage > stage:
            raise KeyboardInterrupt
        write(self)

    monkeypatch.setattr(Training, "_write_metrics", killed)
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(config, run)
    assert RunFolder.open(run).stages()[-1] == stage
    monkeypatch.setattr(Training, "_write_metrics", write)
    resume(run)
    assert outcome(run) == outcome(whole.path)


def test_the_newest_snapshot_is_damaged(copy: Path, whole_runs: WholeRuns) -> None:
    newest, _ = snapshots(copy / "resume")
    weights = bytearray((newest / "weights.safetensors").read_bytes())
    weights[-1] ^= 1
    (newest / "weights.safetensors").write_bytes(weights)
    observer = Warned()
    resume(copy, observer)
    assert len(observer.warnings) == 1
    assert "weights.safetensors is damaged" in observer.warnings[0]
    assert outcome(copy) == whole_runs["ewc"].outcome


def test_no_snapshot_is_whole(copy: Path, whole_runs: WholeRuns) -> None:
    for folder in snapshots(copy / "resume"):
        (folder / "progress.json").unlink()
    observer = Warned()
    resume(copy, observer)
    assert "goes on from the end of stage 1" in observer.warnings[-1]
    assert outcome(copy) == whole_runs["ewc"].outcome


def test_only_the_newest_two_snapshots_are_kept(stopped_run: Path) -> None:
    assert len(snapshots(stopped_run / "resume")) == 2
    assert not list((stopped_run / "resume").glob(".*"))


def test_a_finished_run_is_not_resumed(whole_runs: WholeRuns) -> None:
    whole = whole_runs["finetune"]
    with pytest.raises(UserError, match="is finished"):
        resume(whole.run.path)
    assert outcome(whole.run.path) == whole.outcome


def test_a_run_that_was_killed_before_its_page_lacks_nothing_else(whole_runs: WholeRuns) -> None:
    run = whole_runs["finetune"].run.path
    assert not (run / "report.html").exists()
    with pytest.raises(UserError, match=rf"nothing to resume but its page: clrobot report {run}$"):
        resume(run)


def test_two_trainings_cannot_share_a_folder(tmp_path: Path) -> None:
    training = Training.begin(make_config(**settings("finetune")), tmp_path / "run", Silent())
    with pytest.raises(UserError, match="another process is training"):
        resume(tmp_path / "run")
    training.folder.unlock()
    resume(tmp_path / "run")


def test_the_clock_may_go_backwards(whole_runs: WholeRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals are measured by the monotonic clock: a wall clock that jumps back changes nothing."""
    wall, rng = time.time, random.Random(0)
    monkeypatch.setattr(time, "time", lambda: wall() - 1e6 * rng.random())
    run = train(make_config(**settings("finetune")), tmp_path / "run")
    assert outcome(run.path) == whole_runs["finetune"].outcome
    assert all(seconds >= 0 for seconds in run.read_metrics().seconds.by_kind.values())
