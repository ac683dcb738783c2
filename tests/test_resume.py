"""A training killed at any moment and resumed ends with the same bits as one never killed."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_training import resume_tiny, settings, train_tiny

from clrobot.agents.methods import METHODS
from clrobot.config import make_config
from clrobot.errors import UserError
from clrobot.run_folder import RunFolder
from clrobot.snapshot import Snapshot, snapshots
from clrobot.train import Silent, Stopped, Training, resume, train

KILLS = int(os.environ.get("CLROBOT_KILLS", "20"))  # hundreds, when somebody has the time


def outcome(run: Path) -> dict[str, Any]:
    """Return everything of a finished run that must not depend on how often it was killed."""
    files = ["config.yaml", "environment.json", "scores.jsonl"]
    files += [str(path.relative_to(run)) for path in sorted(run.glob("stage_*/*"))]
    content: dict[str, Any] = {name: (run / name).read_bytes() for name in files}
    metrics = json.loads((run / "metrics.json").read_text())
    del metrics["seconds"]  # wall-clock
    for stage in metrics["per_stage"]:
        del stage["seconds"]
    return content | {"metrics": metrics, "curves": tensorboard(run)}


def tensorboard(run: Path) -> dict[str, list[tuple[int, float]]]:
    """Return the logged values as TensorBoard shows them, without those that measure time."""
    events = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
        if tag != "time/fps"
    }


class Whole:
    """The outcome of a run of each method that was never stopped, made when it is first asked for."""

    def __init__(self, parent: Path) -> None:
        self.parent = parent
        self.seconds = 0.0  # that the latest run took
        self._outcomes: dict[str, dict[str, Any]] = {}

    def __getitem__(self, method: str) -> dict[str, Any]:
        if method not in self._outcomes:
            began = time.monotonic()
            train(make_config(**settings(method)), self.parent / method)
            self.seconds = time.monotonic() - began
            self._outcomes[method] = outcome(self.parent / method)
        return self._outcomes[method]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return Whole(tmp_path_factory.mktemp("whole"))


class StopAt(Silent):
    """Asks for a stop at the n-th boundary that it is told of."""

    def __init__(self, n: int) -> None:
        self.left = n
        self.training: Training | None = None

    def advanced(self, steps: int, success: float | None) -> None:
        self._count()

    def working(self, what: str) -> None:
        self._count()

    def _count(self) -> None:
        if self.training is None:  # not begun yet
            return
        self.left -= 1
        if self.left == 0:
            self.training.stop = True


# Every method in the middle of its second stage; one of each kind also at the start and in the third.
STOPS = [(m.name, 6) for m in METHODS] + [(name, n) for name in ("ewc", "packnet", "replay") for n in (1, 14)]


@pytest.mark.parametrize(("method", "boundary"), STOPS)
def test_a_stopped_training_goes_on_with_the_same_bits(
    method: str, boundary: int, tmp_path: Path, whole: Whole
) -> None:
    observer = StopAt(boundary)
    observer.training = Training.begin(make_config(**settings(method)), tmp_path / "run", observer)
    with pytest.raises(Stopped, match="clrobot resume"):
        observer.training.run_all()
    observer.training.run.unlock()
    resume(tmp_path / "run")
    assert outcome(tmp_path / "run") == whole[method]
    assert not (tmp_path / "run" / "resume").exists()


@pytest.mark.parametrize(("method", "boundary"), [("ewc", 5), ("multitask", 2)])
def test_a_training_through_other_worlds_goes_on_with_the_same_bits(
    method: str, boundary: int, tmp_path: Path
) -> None:
    blurred_and_late = {"object.friction": 0.3, "sensor.noise": 0.1, "action.delay": 2}
    stages = [{"task": "push", "steps": 128}, {"task": "push", "steps": 128, "overrides": blurred_and_late}]
    worlds = {"curriculum": {"name": "worlds", "stages": stages}, "steps": 128}
    config = make_config(**settings(method) | worlds)
    train(config, tmp_path / "whole")
    observer = StopAt(boundary)
    observer.training = Training.begin(config, tmp_path / "run", observer)
    with pytest.raises(Stopped):
        observer.training.run_all()
    observer.training.run.unlock()
    kept = Snapshot(snapshots(tmp_path / "run" / "resume")[0]).simulation().arrays
    assert any(name.endswith("pending") for name in kept)  # it was stopped in the other world
    resume(tmp_path / "run")
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")


@pytest.mark.slow
def test_a_training_killed_at_random_moments_ends_with_the_same_bits(tmp_path: Path, whole: Whole) -> None:
    """SIGKILL to a real process at KILLS random moments, spread over the methods; resumed until it is done."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["clrobot.train"])
    methods = ("finetune", "ewc", "progressive", "packnet", "replay")
    _ = whole[methods[0]]
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
            process.join(rng.uniform(0.0, 1.2 * whole.seconds))
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
            target = resume_tiny
        if (folder / "config.yaml").exists():
            if (folder / "resume").exists() or not (folder / "report.html").exists():
                process = context.Process(target=resume_tiny, args=(folder, method))
                process.start()
                process.join(120)
                assert process.exitcode == 0
            assert outcome(folder) == whole[method], f"run {n} of {method}"
        shutil.rmtree(folder, ignore_errors=True)
    assert hit >= KILLS // 2  # most kills fell into a training, not before it


def _wait_for(file: Path, process: Any) -> None:
    deadline = time.monotonic() + 60
    while not file.exists() and process.is_alive() and time.monotonic() < deadline:
        time.sleep(0.01)


def test_the_newest_snapshot_is_damaged(tmp_path: Path, whole: Whole) -> None:
    run = _stopped(tmp_path, boundary=9)
    newest, older = snapshots(run / "resume")
    weights = bytearray((newest / "weights.safetensors").read_bytes())
    weights[-1] ^= 1
    (newest / "weights.safetensors").write_bytes(weights)
    observer = Warned()
    resume(run, observer)
    assert len(observer.warnings) == 1
    assert "weights.safetensors is damaged" in observer.warnings[0]
    assert outcome(run) == whole["ewc"]
    assert older != newest


def test_no_snapshot_is_whole(tmp_path: Path, whole: Whole) -> None:
    run = _stopped(tmp_path, boundary=6)
    for folder in snapshots(run / "resume"):
        (folder / "progress.json").unlink()
    observer = Warned()
    resume(run, observer)
    assert "starts anew" in observer.warnings[-1] or "goes on from the end of stage" in observer.warnings[-1]
    assert outcome(run) == whole["ewc"]


def test_a_finished_run_is_not_resumed(tmp_path: Path) -> None:
    train(make_config(**settings("finetune")), tmp_path / "run")
    with pytest.raises(UserError, match="is finished"):
        resume(tmp_path / "run")


def test_two_trainings_cannot_share_a_folder(tmp_path: Path) -> None:
    training = Training.begin(make_config(**settings("finetune")), tmp_path / "run", Silent())
    with pytest.raises(UserError, match="another process is training"):
        resume(tmp_path / "run")
    training.run.unlock()
    resume(tmp_path / "run")


def test_only_the_newest_two_snapshots_are_kept(tmp_path: Path) -> None:
    run = _stopped(tmp_path, boundary=9)
    assert len(snapshots(run / "resume")) == 2
    assert not list((run / "resume").glob(".*"))


class Warned(Silent):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, message: str) -> None:
        self.warnings.append(message)


def _stopped(tmp_path: Path, boundary: int) -> Path:
    observer = StopAt(boundary)
    observer.training = Training.begin(make_config(**settings("ewc")), tmp_path / "run", observer)
    with pytest.raises(Stopped):
        observer.training.run_all()
    observer.training.run.unlock()
    return RunFolder.open(tmp_path / "run").path


def test_the_clock_may_go_backwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals are measured by the monotonic clock: a wall clock that jumps back changes nothing."""
    wall = time.time
    monkeypatch.setattr(time, "time", lambda: wall() - 1e6 * random.random())
    run = train(make_config(**settings("finetune")), tmp_path / "run")
    assert all(seconds >= 0 for seconds in run.read_metrics()["seconds"].values())
