"""A run's folder: what is in it, how it is written, found and refused."""

from __future__ import annotations

import errno
import fcntl
import json
import math
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors import safe_open
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import clrobot
import clrobot.runs.folder
from clrobot.errors import UserError
from clrobot.experiment.config import RunConfig, make_config
from clrobot.experiment.config_file import dump_config
from clrobot.experiment.curricula import CURRICULA
from clrobot.files import atomic
from clrobot.runs.folder import RunFolder, stage_name
from clrobot.runs.free import check_free, next_free


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# Writing ---------------------------------------------------------------------------------------------------


def write_half(path: Path) -> None:
    """Write a file, and fail before it is whole."""
    with atomic(path) as unfinished:
        unfinished.write_text("half")
        raise RuntimeError("killed")


def test_atomic_replaces_a_file_in_one_step(tmp_path: Path):
    file = tmp_path / "a.json"
    file.write_text("old")
    with atomic(file) as unfinished:
        assert unfinished.parent.parent == tmp_path, "a rename is one step within one file system only"
        unfinished.write_text("new")
        assert file.read_text() == "old"
    assert file.read_text() == "new"
    assert names(tmp_path) == ["a.json"]


def test_atomic_makes_a_folder_in_one_step(tmp_path: Path):
    folder = tmp_path / "stage_01"
    with atomic(folder) as unfinished:
        (unfinished / "deep").mkdir(parents=True)
        (unfinished / "deep" / "file").write_text("x")
        assert not folder.exists()
    assert (folder / "deep" / "file").read_text() == "x"
    assert names(tmp_path) == ["stage_01"]


def test_atomic_leaves_the_old_file_when_the_block_raises(tmp_path: Path):
    file = tmp_path / "a.json"
    file.write_text("old")
    with pytest.raises(RuntimeError, match="killed"):
        write_half(file)
    assert file.read_text() == "old"


def test_atomic_leaves_nothing_behind_when_the_block_raises(tmp_path: Path):
    with pytest.raises(RuntimeError, match="killed"):
        write_half(tmp_path / "a.json")
    assert names(tmp_path) == []


def test_atomic_replaces_a_folder(tmp_path: Path):
    folder = tmp_path / "stage_01"
    folder.mkdir()
    (folder / "old").touch()
    with atomic(folder) as unfinished:
        unfinished.mkdir()
        (unfinished / "new").touch()
    assert names(folder) == ["new"]


def test_atomic_may_leave_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def put(name: str, *, folder: bool) -> None:
        with atomic(tmp_path / name, replace=False) as new:
            if folder:
                new.mkdir()
                (new / "mine").write_text("new")
            else:
                new.write_text("new")

    (tmp_path / "file").write_text("old")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "theirs").write_text("old")
    (tmp_path / "empty").mkdir()
    for name, folder in (("file", False), ("file", True), ("full", True), ("full", False)):
        with pytest.raises(FileExistsError):
            put(name, folder=folder)
    put("empty", folder=True)
    put("new", folder=False)
    assert (tmp_path / "file").read_text() == (tmp_path / "full" / "theirs").read_text() == "old"
    assert (tmp_path / "empty" / "mine").read_text() == (tmp_path / "new").read_text() == "new"

    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", no_links)
    put("another", folder=False)
    with pytest.raises(FileExistsError):
        put("another", folder=False)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["another", "empty", "file", "full", "new"]


def test_write_json_refuses_what_is_no_json_and_keeps_the_old(tmp_path: Path):
    run = RunFolder(tmp_path)
    run.write_json("a.json", {"x": 1})
    with pytest.raises(ValueError, match="JSON compliant"):
        run.write_json("a.json", {"x": math.nan})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": 1}


# Finding a place -------------------------------------------------------------------------------------------


def test_next_free_counts_from_one_and_fills_the_first_gap(tmp_path: Path):
    assert next_free(tmp_path / "none", "demo") == tmp_path / "none" / "demo-1"
    for taken in ("demo-1", "demo-3"):
        (tmp_path / taken).mkdir()
    assert next_free(tmp_path, "demo") == tmp_path / "demo-2"
    (tmp_path / "demo-2").write_text("a file takes a name too")
    assert next_free(tmp_path, "demo") == tmp_path / "demo-4"
    assert next_free(tmp_path, "dem") == tmp_path / "dem-1"
    assert names(tmp_path) == ["demo-1", "demo-2", "demo-3"], "nothing is made"


def test_check_free_admits_nothing_and_an_empty_folder(tmp_path: Path):
    check_free(tmp_path)
    check_free(tmp_path / "deep" / "none")
    assert names(tmp_path) == []


def test_check_free_refuses_what_is_there(tmp_path: Path):
    file = tmp_path / "x"
    file.touch()
    with pytest.raises(UserError, match="x is a file"):
        check_free(file)
    with pytest.raises(UserError, match="already holds files"):
        check_free(tmp_path)
    (tmp_path / "config.yaml").touch()
    with pytest.raises(UserError, match="already holds a run"):
        check_free(tmp_path)


def test_create_makes_the_folder_and_writes_the_settings(tmp_path: Path):
    config = make_config(steps=64, seed=3)
    run = RunFolder.create(tmp_path / "deep" / "run", config)
    assert names(run.path) == ["config.yaml", "environment.json"]
    assert RunFolder.open(run.path).config == config
    with pytest.raises(UserError, match="already holds a run"):
        RunFolder.create(run.path, config)


def test_create_refuses_a_place_that_cannot_be_one(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="below: Not a directory; give a folder that can be written"):
        RunFolder.create(tmp_path / "file" / "below", make_config())


# Stages ----------------------------------------------------------------------------------------------------


def test_of_two_that_make_a_run_at_once_the_second_is_refused_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Both found the folder free; what computes here takes a moment to be told."""
    told = clrobot.runs.folder.environment_here

    def slow(config: RunConfig) -> dict[str, Any]:
        monkeypatch.setattr(clrobot.runs.folder, "environment_here", told)
        RunFolder.create(tmp_path / "run", make_config(seed=1))
        return told(config)

    monkeypatch.setattr(clrobot.runs.folder, "environment_here", slow)
    with pytest.raises(UserError, match="run already holds a run; give another --out"):
        RunFolder.create(tmp_path / "run", make_config(seed=2))
    assert RunFolder.open(tmp_path / "run").config.seed == 1


def test_stages_are_the_folders_with_a_stage_s_name_in_order(tmp_path: Path):
    for name in (
        "stage_10",
        "stage_02",
        "stage_00",
        "stage_100",
        ".stage_03.tmp",
        "stage_3",
        "stage_xx",
        "stage_04b",
    ):
        (tmp_path / name).mkdir()
    (tmp_path / "stage_05").write_text("a file")
    (tmp_path / "config.yaml").write_text(dump_config(make_config(curriculum=33 * CURRICULA["quick"])))
    run = RunFolder(tmp_path)
    assert run.stages() == [0, 2, 10]  # the curriculum has 99 stages
    assert [stage_name(stage) for stage in run.stages()] == ["stage_00", "stage_02", "stage_10"]
    assert run.find_stage(None) == 10
    assert run.find_stage(2) == 2
    for stage in (1, -1, 99, 100):
        with pytest.raises(UserError, match=rf"stage {stage} has no checkpoint in .*\[0, 2, 10\]"):
            run.find_stage(stage)


def test_a_run_without_a_checkpoint_says_so(tmp_path: Path):
    for stage in (None, 0):
        with pytest.raises(UserError, match="no checkpoint yet"):
            RunFolder(tmp_path).find_stage(stage)


def test_open_refuses_what_is_no_run(tmp_path: Path):
    with pytest.raises(UserError, match=r"no run folder at .*none"):
        RunFolder.open(tmp_path / "none")
    with pytest.raises(UserError, match=r"holds no run \(config\.yaml is missing\)"):
        RunFolder.open(tmp_path)


@pytest.mark.parametrize("text", [None, "", "[]", '{"stages": 3', "\x00"])
def test_metrics_that_cannot_be_read_are_refused_by_name(text: str | None, tmp_path: Path):
    if text is not None:
        (tmp_path / "metrics.json").write_text(text)
    with pytest.raises(UserError, match=r"metrics\.json is (missing|damaged)"):
        RunFolder(tmp_path).read_metrics()


# What a training leaves ------------------------------------------------------------------------------------

SLOTS = ("reach", "button-press", "drawer-open")


def test_a_run_holds_what_the_design_names_and_nothing_else(tiny_run: Path):
    assert names(tiny_run) == [
        "config.yaml",
        "environment.json",
        "manifest.json",
        "metrics.json",
        "report.html",
        "scores.jsonl",
        "stage_00",
        "stage_01",
        "stage_02",
        "stage_03",
        "tensorboard",
    ], "the films are off, so there is no videos/"
    for stage in range(4):
        assert names(tiny_run / stage_name(stage)) == [
            "checkpoint.json",
            "manifest.json",
            "method.safetensors",
            "weights.safetensors",
        ]


def test_the_config_holds_every_setting(tiny_run: Path):
    config = RunFolder.open(tiny_run).config
    assert (tiny_run / "config.yaml").read_text() == dump_config(config)
    assert {stage.steps for stage in config.curriculum.stages} == {128}
    assert config.curriculum == clrobot.CURRICULA["quick"].with_steps(128)
    assert yaml.safe_load((tiny_run / "config.yaml").read_text())["network"] == {"widths": [8], "layer_norm": False}


def test_the_environment_names_versions_and_hardware(tiny_run: Path):
    environment = json.loads((tiny_run / "environment.json").read_text())
    for package in ("mujoco", "gymnasium", "stable-baselines3", "torch", "numpy", "clrobot"):
        assert environment["versions"][package] == version(package)
    assert environment["versions"]["clrobot"] == clrobot.__version__
    assert {"platform", "machine", "cpu_count", "torch_threads", "device"} <= set(environment)


def test_scores_are_one_line_for_each_evaluation(tiny_run: Path):
    lines = [json.loads(line) for line in (tiny_run / "scores.jsonl").read_text().splitlines()]
    fields = ["stage", "step", "slot", "episodes", "success_any", "success_final", "return_mean", "length_mean"]
    sampled = [f"stochastic_{name}" for name in fields[4:]]
    for line in lines:
        # After each stage the slots so far are measured with sampled actions too.
        both = line["step"] == 128 * line["stage"] and line["slot"] <= line["stage"]
        # The slot that comes next is also measured through every head so far.
        tried = line["step"] == 128 * line["stage"] > 0 and line["slot"] == line["stage"] + 1
        others = ["success_by_head"] if tried else sampled if both else []
        assert list(line) == fields + others
    # Every slot after every stage, the untrained agent's included; the stage's own before it learns, and once between
    # (curve_points).
    expected = [(0, 0, 1), (0, 0, 2), (0, 0, 3)]
    for stage in (1, 2, 3):
        start = 128 * (stage - 1)
        expected += [(stage, start, stage), (stage, start + 64, stage)]
        expected += [(stage, 128 * stage, slot) for slot in (1, 2, 3)]
    assert [(line["stage"], line["step"], line["slot"]) for line in lines] == expected
    assert all(line["episodes"] == 2 for line in lines)
    assert all(line[rate] in (0.0, 0.5, 1.0) for line in lines for rate in ("success_any", "success_final"))
    assert all(math.isfinite(line["return_mean"]) for line in lines)


def test_metrics_are_of_every_slot_and_stage(tiny_run: Path):
    metrics = RunFolder(tiny_run).read_metrics()
    assert metrics.slot_names == list(SLOTS)
    assert metrics.stages == metrics.stages_done == len(metrics.per_stage) == 3
    assert metrics.stage_ends == (128, 256, 384)
    assert metrics.seconds.total > metrics.seconds.train > 0


def test_the_matrix_is_the_scores(tiny_run: Path):
    metrics = RunFolder(tiny_run).read_metrics()
    for line in map(json.loads, (tiny_run / "scores.jsonl").read_text().splitlines()):
        if line["step"] == 128 * line["stage"]:
            row, column = line["stage"], line["slot"] - 1
            assert metrics.success_matrix[row][column] == line["success_any"]
            assert metrics.success_matrix_final[row][column] == line["success_final"]
    assert metrics.average_success == pytest.approx(np.mean(metrics.success_matrix[3]))


def test_the_parameters_are_those_of_the_newest_weights(tiny_run: Path):
    metrics = RunFolder(tiny_run).read_metrics()
    agent = clrobot.load(tiny_run)
    assert metrics.parameters.total == sum(p.numel() for p in agent.policy.parameters())
    assert metrics.parameters.trainable < metrics.parameters.total, "finished heads are frozen"
    size = 0
    with safe_open(tiny_run / "stage_03" / "method.safetensors", "np") as file:
        size = sum(file.get_tensor(name).nbytes for name in file.keys())  # noqa: SIM118 -- it is no mapping
    assert size > 0
    # The network is one of a single layer; task inference keeps d + d² numbers of each of three slots.
    assert metrics.memory_bytes == size + 3 * 4 * (23 + 23 * 23)


@pytest.mark.parametrize("stage", range(4))
def test_a_checkpoint_says_what_it_holds(stage: int, tiny_run: Path):
    info = json.loads((tiny_run / stage_name(stage) / "checkpoint.json").read_text())
    assert (info["stage"], info["step"], info["slots"]) == (stage, 128 * stage, max(1, stage))
    agent = clrobot.load(tiny_run, stage)
    assert (agent.stage, agent.slots) == (stage, SLOTS)
    obs = np.zeros((5, info["observation_size"] - 1), np.float32)
    assert agent.predict(obs, "drawer-open").shape == (5, info["action_size"])


def test_the_newest_checkpoint_is_the_last_stage_s(tiny_run: Path):
    assert clrobot.load(tiny_run).stage == 3


def test_tensorboard_counts_steps_over_the_whole_run(tiny_run: Path):
    events = sorted((tiny_run / "tensorboard").glob("events.out.tfevents.*"))
    assert len(events) == 1
    accumulator = EventAccumulator(str(events[0]))
    accumulator.Reload()
    tags = accumulator.Tags()["scalars"]
    assert "train/loss" in tags
    steps = [event.step for event in accumulator.Scalars("train/learning_rate")]
    assert steps == sorted(steps), "global steps, that never start over"
    assert 0 < steps[-1] <= 384


def test_the_report_is_a_page_about_this_run(tiny_run: Path):
    page = (tiny_run / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>") or page.startswith("<!DOCTYPE html>")
    assert all(slot in page for slot in SLOTS)


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_a_disk_without_locks_is_a_warning_and_not_another_process(
    number: int, tiny_copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lustre, NFS and FUSE, as they may be mounted."""

    def flock(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    run = RunFolder.open(tiny_copy)
    run.lock()
    run.unlock()
    assert "cannot be locked here" in capsys.readouterr().err
