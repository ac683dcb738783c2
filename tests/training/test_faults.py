"""What goes wrong while training has a defined outcome, and what was saved before is not lost."""

from __future__ import annotations

import errno
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import gymnasium as gym
import numpy as np
import pytest
import torch as th
from safetensors import SafetensorError
from safetensors.torch import load_file
from stable_baselines3 import PPO
from support.outcomes import Warned, outcome
from support.trainings import quickly

import clrobot.cli.train
import clrobot.report.page
import clrobot.runs.snapshot
from clrobot.agents.algorithms.learner import Learner
from clrobot.agents.algorithms.role import Role
from clrobot.agents.methods.finetune import Finetune
from clrobot.cli.train import with_page
from clrobot.envs.simulation.simulation import Simulation
from clrobot.envs.worlds.make import make_vector_env
from clrobot.envs.worlds.vector_env import TaskVectorEnv
from clrobot.errors import RenderError, UserError
from clrobot.experiment.config import RunConfig, make_config
from clrobot.experiment.config_file import dump_config
from clrobot.runs.folder import RunFolder
from clrobot.runs.snapshot import snapshots
from clrobot.training import interrupt
from clrobot.training.measuring import Measuring
from clrobot.training.resuming import resume
from clrobot.training.training import Training, train

Cli = Callable[..., Any]
pytestmark = pytest.mark.usefixtures("quick_training")
STEPS = 128  # in a stage: two iterations


def config(steps: int = STEPS, **more: Any) -> RunConfig:
    stages = [{"task": "reach", "steps": steps}, {"task": "button-press", "steps": steps}]
    tiny: dict[str, Any] = {
        "curriculum": {"name": "two", "stages": stages},
        "method": "finetune",
        "network": {"widths": (8,)},
        "ppo": {"num_envs": 4, "n_steps": 16, "batch_size": 32, "n_epochs": 1},
        "evaluation": {"episodes": 3, "curve_points": 1, "curve_episodes": 2},
        "video": {"enabled": False},
        "checkpoint": {"seconds": 0.0},
    }
    return make_config(**tiny | more)


FILMED = {"video": {"enabled": True}}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The outcome of the same training without a fault."""
    with quickly():
        return outcome(train(config(), tmp_path_factory.mktemp("whole") / "run").path)


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """The words for the command that train the same into `run`."""
    (tmp_path / "config.yaml").write_text(dump_config(config()))
    return ["train", "--config", "config.yaml", "--out", "run"]


def sentence(outcome: Any) -> str:
    """Return the one sentence with which the command failed."""
    assert outcome.code == 2, outcome
    assert outcome.err.startswith("clrobot: ")
    assert outcome.err.count("\n") == 1
    assert "Traceback" not in outcome.out + outcome.err
    return str(outcome.err)


# A full disk -----------------------------------------------------------------------------------------------


def no_space() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class FullDisk:
    """Lets what lies in `place` fail to be flushed, from the n-th time on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, place: str, first: int = 1) -> None:
        self.failed = self._seen = 0
        fsync = os.fsync

        def full(descriptor: int) -> None:
            if place in os.readlink(f"/proc/self/fd/{descriptor}"):
                self._seen += 1
                if self._seen >= first:
                    self.failed += 1
                    raise no_space()
            fsync(descriptor)

        monkeypatch.setattr(os, "fsync", full)


def test_a_full_disk_while_flushing_a_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: dict[str, Any]
) -> None:
    disk, observer = FullDisk(monkeypatch, "/resume/"), Warned()
    run = train(config(), tmp_path / "run", observer).path
    assert disk.failed == len(observer.warnings) == 4
    assert observer.warnings[1] == "no snapshot was written at step 64 (No space left on device)"
    assert outcome(run) == whole
    assert not list(run.rglob(".*"))


@pytest.mark.parametrize("writer", ["save_file", "write_manifest"])
def test_a_full_disk_while_writing_a_snapshot(
    writer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: dict[str, Any]
) -> None:
    """Safetensors says it with an exception of its own."""

    def full(*_: Any) -> None:
        raise no_space() if writer == "write_manifest" else SafetensorError("I/O error: No space left (os error 28)")

    monkeypatch.setattr(clrobot.runs.snapshot, writer, full)
    observer = Warned()
    run = train(config(), tmp_path / "run", observer).path
    assert len(observer.warnings) == 4
    assert all("No space left" in warning for warning in observer.warnings)
    assert outcome(run) == whole


@pytest.mark.parametrize(
    ("place", "first"),
    [("stage_00", 1), ("stage_02", 1), ("scores.jsonl", 3), ("metrics.json", 2)],
)
def test_a_full_disk_elsewhere_stops_with_a_sentence_and_is_resumed(
    place: str, first: int, cli: Cli, words: list[str], tmp_path: Path, whole: dict[str, Any]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        disk = FullDisk(patch, place, first)
        said = sentence(cli(*words))
        assert disk.failed == 1
    assert said.startswith("clrobot: run cannot be written (No space left on device)")
    assert said.endswith("clrobot resume run\n")
    assert not list((tmp_path / "run").glob(".*"))
    assert cli("resume", "run").code == 0
    assert outcome(tmp_path / "run") == whole


@pytest.mark.parametrize(
    ("writer", "error"),
    [
        ("clrobot.runs.checkpoint.save_file", SafetensorError("I/O error: No space left on device (os error 28)")),
        ("tensorboard.summary.writer.record_writer.RecordWriter.write", no_space()),
        ("tensorboard.summary.writer.record_writer.RecordWriter.flush", no_space()),
    ],
)
def test_a_full_disk_where_others_write(
    writer: str, error: Exception, cli: Cli, words: list[str], tmp_path: Path, whole: dict[str, Any]
) -> None:
    """Safetensors has an exception of its own, and TensorBoard writes in a thread."""

    def full(*_: Any) -> None:
        raise error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, full)
        assert "No space left on device" in sentence(cli(*words))
    assert cli("resume", "run").code == 0
    assert outcome(tmp_path / "run") == whole


# Folders that cannot be written ----------------------------------------------------------------------------


@pytest.mark.parametrize("out", ["/proc/none", "config.yaml/run"])
def test_a_folder_that_cannot_be_made(out: str, cli: Cli, words: list[str], tmp_path: Path) -> None:
    assert "give a folder that can be written" in sentence(cli(*words[:-1], out))
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


class Blocks(Warned):
    """Puts a file where a folder belongs, when the first stage begins."""

    def __init__(self, place: Path) -> None:
        super().__init__()
        self._place = place

    def stage_started(self, stage: int, task: str, steps: int, done: int = 0) -> None:
        if stage == 1:
            self._place.write_text("in the way")


def event_writers() -> int:
    """Threads of TensorBoard's that wait for rows to write."""
    return sum(type(thread).__name__ == "_AsyncWriterThread" for thread in threading.enumerate())


def test_no_snapshot_can_be_written(tmp_path: Path, whole: dict[str, Any]) -> None:
    observer = Blocks(tmp_path / "run" / "resume")
    assert outcome(train(config(), tmp_path / "run", observer).path) == whole
    assert len(observer.warnings) == 4


def test_no_checkpoint_can_be_written(tmp_path: Path, whole: dict[str, Any]) -> None:
    place, writers = tmp_path / "run" / "stage_02", event_writers()
    with pytest.raises(UserError, match=r"cannot be written .* clrobot resume") as error:
        train(config(), tmp_path / "run", Blocks(place))
    assert event_writers() == writers, f"TensorBoard's thread goes on writing, with {error}"
    place.unlink()
    assert outcome(resume(tmp_path / "run", Warned()).path) == whole


# Films and the report --------------------------------------------------------------------------------------


def no_encoder(*_: Any) -> None:
    raise av.codec.codec.UnknownCodecError("h264")


def no_renderer(*_: Any) -> None:
    raise RenderError("there is nothing to draw with")


@pytest.mark.parametrize(
    ("place", "failing", "reason"),
    [
        ("av.codec.Codec", no_encoder, "built without the encoder"),
        ("clrobot.envs.rendering.open_renderer", no_renderer, "there is nothing to draw with"),
    ],
)
def test_films_that_fail_are_counted_and_told(
    place: str, failing: Any, reason: str, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.yaml").write_text(dump_config(config(**FILMED)))
    monkeypatch.setattr(place, failing)
    done = cli("train", "--config", "config.yaml", "--out", "run")
    assert done.code == 0
    assert done.err == ""
    flat = " ".join(done.out.split())
    assert "warning: reach.mp4 of stage 1 was not recorded" in flat
    assert reason in flat
    assert "failed recordings: 3; film again with: clrobot record run" in flat
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["failed_recordings"] == 3
    assert (tmp_path / "run" / "report.html").exists()
    assert not list((tmp_path / "run").rglob("*.mp4"))


def test_a_report_that_fails(
    tmp_path: Path, cli: Cli, words: list[str], monkeypatch: pytest.MonkeyPatch, whole: dict[str, Any]
) -> None:
    def fail(_: Path) -> None:
        raise RuntimeError("no ink")

    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(clrobot.cli.train, "with_page", with_page)  # as it is outside these tests
        patch.setattr(clrobot.report.page, "write_report", fail)
        done = cli(*words)
    assert (done.code, "report.html" in done.out) == (0, False)
    assert "no report was written (no ink); `clrobot report run` tries again" in " ".join(done.out.split())
    before = outcome(run)
    assert before == whole
    assert "is finished" in sentence(cli("resume", run))  # and not started anew
    assert outcome(run) == before
    assert cli("report", run).code == 0
    assert (run / "report.html").exists()


# Numbers that are none -------------------------------------------------------------------------------------


def test_a_simulation_that_diverges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # MuJoCo writes its log here
    step, vector_step, learn = Simulation.step, TaskVectorEnv.step, PPO.train
    calls: list[Any] = []

    def push(sim: Simulation, actions: Any) -> Any:
        if sim.n == 4:  # the training's
            calls.append(None)
            if len(calls) in (7, 9):
                sim.batch.bind("qvel")[1] = 1e30
        return step(sim, actions)

    ended = []

    def watch(env: TaskVectorEnv, actions: Any) -> Any:
        obs, rewards, terminated, truncated, infos = vector_step(env, actions)
        assert np.isfinite(obs).all()
        assert np.isfinite(rewards).all()
        assert all(np.isfinite(infos[key]).all() for key in infos if key == "final_obs")
        for i in np.flatnonzero(terminated):
            ended.append((len(calls), int(i), float(rewards[i]), bool(truncated[i]), int(env.sim.elapsed[i])))
        return obs, rewards, terminated, truncated, infos

    def finite(model: PPO) -> None:
        buffer = model.rollout_buffer
        for name in ("observations", "actions", "rewards", "values", "log_probs", "advantages", "returns"):
            assert np.isfinite(getattr(buffer, name)).all(), name
        learn(model)

    monkeypatch.setattr(Simulation, "step", push)
    monkeypatch.setattr(TaskVectorEnv, "step", watch)
    monkeypatch.setattr(PPO, "train", finite)
    run = train(config(), tmp_path / "run", Warned())
    assert ended == [(7, 1, 0.0, False, 0), (9, 1, 0.0, False, 0)]
    assert run.read_metrics().diverged_simulations == 2


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_a_loss_that_is_not_a_number(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(learner: Learner) -> bool:
        return learner.step > STEPS + 64

    def loss(_: Any, learner: Learner, role: Role) -> Any:
        return sum(p.sum() for p in learner.policy.parameters()) * math.nan if late(learner) else None

    def gradient(_: Any, learner: Learner, role: Role) -> None:
        if late(learner):
            next(p.grad for p in learner.policy.parameters() if p.grad is not None).view(-1)[0] = math.nan

    verb = {"loss": ("auxiliary_loss", loss), "gradient": ("adjust_gradients", gradient)}[what]
    monkeypatch.setattr(Finetune, *verb, raising=False)
    with pytest.raises(UserError, match=r"not a number in stage 2 at step 256; the last good state is .*step_0*192;"):
        train(config(), tmp_path / "run", Warned())
    kept = snapshots(tmp_path / "run" / "resume")
    assert [path.name[-3:] for path in kept] == ["192", "128"]
    for folder in [*kept, *(tmp_path / "run").glob("stage_*")]:
        tensors = [t for file in folder.glob("*.safetensors") for t in load_file(file).values()]
        assert tensors
        assert all(bool(t.isfinite().all()) for t in tensors if t.dtype is th.float32)
    lines = (tmp_path / "run" / "scores.jsonl").read_text().splitlines()
    assert [json.loads(line)["stage"] for line in lines] == [0, 0, 1, 1, 1, 1, 2, 2]
    assert not (tmp_path / "run" / "stage_02").exists()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_actions_that_are_not_numbers(bad: float) -> None:
    action = np.array([0.0, bad, 0.0, 0.0], np.float32)
    single = gym.make("clrobot/Reach-v0", disable_env_checker=True)
    single.reset(seed=0)
    with pytest.raises(ValueError, match=r"of simulation 0 is not finite; expected 4 numbers in \[-1, 1\]"):
        single.step(action)
    single.close()
    many = make_vector_env("reach", 3)
    many.reset(seed=0)
    before = many.sim.batch.state.copy()
    with pytest.raises(ValueError, match=r"of simulation 2 is not finite; expected 4 numbers in \[-1, 1\]"):
        many.step(np.stack([0 * np.nan_to_num(action, posinf=0, neginf=0)] * 2 + [action]))
    assert np.array_equal(many.sim.batch.state, before)


# Clocks and signals ----------------------------------------------------------------------------------------


def test_the_wall_clock_goes_backwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: dict[str, Any]
) -> None:
    start, calls = time.time(), iter(range(10**9))
    monkeypatch.setattr(time, "time", lambda: start - 60.0 * next(calls))
    run = train(config(), tmp_path / "run", Warned())
    assert outcome(run.path) == whole
    assert all(seconds >= 0 for seconds in run.read_metrics().seconds.by_kind.values())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_saves_and_stops(number: signal.Signals, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(dump_config(config(steps=640, checkpoint={"seconds": 0.5})))
    run = tmp_path / "run"
    command = [sys.executable, "-m", "clrobot", "train", "--config", "config.yaml", "--out", "run"]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=tmp_path, **pipes) as process:
        deadline = time.monotonic() + 60
        while not snapshots(run / "resume") and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(number)
        process.send_signal(number)  # at once: `timeout` and schedulers tell a process and its group
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert err.startswith("clrobot: stopped in stage ")
    assert err.endswith("go on with: clrobot resume run\n")
    assert err.count("\n") == 1
    assert cli("resume", "run").code == 0
    assert RunFolder.open(run).read_metrics().stages_done == 2


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """What Python makes of SIGINT where it is not ignored, as it is in a shell's background jobs."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize(("number", "moment"), [(signal.SIGINT, "training"), (signal.SIGTERM, "evaluating")])
def test_a_second_signal_leaves_at_once(
    number: signal.Signals,
    moment: str,
    cli: Cli,
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    whole: dict[str, Any],
) -> None:
    """As does the first one before there is anything to save."""
    after: list[str] = []

    def interrupted(training: Training, *_: Any, **__: Any) -> None:
        signal.raise_signal(number)
        if moment == "training":
            assert training.stop.asked
            signal.raise_signal(number)
        after.append("still here")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(interrupt, "SAME_REQUEST", 0.0)
        place = (Measuring, "all_slots") if moment == "evaluating" else (Training, "_stage")
        patch.setattr(*place, interrupted)
        done = cli(*words)
    assert (done.code, done.err) == (130, "clrobot: stopped; go on with: clrobot resume run\n")
    assert after == []
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert cli("resume", "run").code == 0
    assert outcome(tmp_path / "run") == whole


def test_a_method_that_could_outgrow_the_bound_is_refused_before_anything_is_made(
    cli: Callable[..., Any], tmp_path: Path
) -> None:
    outcome = cli("train", "--method", "ewc", "--memory-limit-mb", "0", "--out", "run")
    assert outcome.code == 2
    assert "--memory-limit-mb is 0" in outcome.err
    assert not (tmp_path / "run").exists()


def test_the_bound_is_what_the_method_then_keeps(tmp_path: Path) -> None:
    from clrobot.training.observer import Silent
    from clrobot.training.training import Training

    training = Training.begin(config(method="ewc"), tmp_path / "run", Silent())
    bound = training.method.memory_bound(training.learner, 3)
    training.run()
    assert training.method.memory_bytes() == bound
