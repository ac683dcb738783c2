"""Whether this machine computes what a run's did: fingerprints, and a stage trained again."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch as th

from clrobot.errors import UserError
from clrobot.experiment.config_file import dump_config
from clrobot.experiment.machine import Machine
from clrobot.manifests import MANIFEST
from clrobot.runs import fingerprint as module
from clrobot.runs.checkpoint import rebind_checkpoints
from clrobot.runs.fingerprint import Probe, fingerprint, is_close
from clrobot.runs.folder import RunFolder
from clrobot.runs.verify import verify
from clrobot.training import again
from clrobot.training.again import train_again
from clrobot.training.observer import Silent
from clrobot.training.training import train

Cli = Callable[..., Any]


def change(run: Path, *where: str | int, to: Any) -> None:
    """Set a field of `environment.json`; `to` may be a function of what was there."""
    content = json.loads((run / "environment.json").read_text())
    inner = content
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = (
        to(inner.get(where[-1]) if isinstance(inner, dict) else inner[where[-1]]) if callable(to) else to
    )
    (run / "environment.json").write_text(json.dumps(content))


# The fingerprint -------------------------------------------------------------------------------------------


def test_it_is_the_same_each_time_and_moves_no_generator() -> None:
    first = fingerprint(1)
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    th.manual_seed(1)
    threads = th.get_num_threads()
    before = random.getstate(), np.random.get_state()[1].tolist(), th.get_rng_state().tolist()  # noqa: NPY002
    module._fingerprint.cache_clear()
    assert fingerprint(1) == first
    assert before == (random.getstate(), np.random.get_state()[1].tolist(), th.get_rng_state().tolist())  # noqa: NPY002
    assert th.get_num_threads() == threads


def test_the_update_learns_and_the_tasks_move() -> None:
    """A probe that did nothing would agree everywhere."""
    found = fingerprint(1)
    begin = module._pattern((4,), 0) / 8  # of the first weights, log_std
    assert np.abs(np.array(found.learning.numbers[:4]) - begin).min() > 1e-5
    per_task = np.array(found.physics.numbers).reshape(len(module._TASKS), -1)
    assert len({tuple(row) for row in per_task.tolist()}) == len(module._TASKS)


def test_close_is_what_rounding_makes_and_no_more() -> None:
    then = Probe(sha256="0" * 64, numbers=(0.0, 0.5, -1.0))
    for change, close in ((1e-7, True), (1e-3, False)):
        now = Probe(sha256="1" * 64, numbers=tuple(number + change for number in then.numbers))
        assert is_close("physics", then, now) == is_close("learning", then, now) == close
    assert not is_close("physics", then, Probe(sha256="1" * 64, numbers=(0.0, 0.5)))


def test_other_mathematics_is_another_world(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gravity or an optimizer that differs by a thousandth is no rounding."""
    first = fingerprint(1)
    pattern = module._pattern
    monkeypatch.setattr(module, "_pattern", lambda shape, n: pattern(shape, n) * np.float32(1.001))
    module._fingerprint.cache_clear()
    try:
        other = fingerprint(1)
    finally:
        module._fingerprint.cache_clear()
    assert not is_close("physics", first.physics, other.physics)
    assert not is_close("learning", first.learning, other.learning)


# A run's ---------------------------------------------------------------------------------------------------


def test_a_run_of_this_machine_has_the_same_bits(tiny_run: Path, cli: Cli) -> None:
    done = cli("verify", tiny_run)
    assert (done.code, done.err) == (0, "")
    assert "the same bits" in done.out
    found = json.loads(cli("verify", tiny_run, "--format", "json").out)
    assert (found["verdict"], found["moved"], found["again"]) == ("the same bits", {}, None)


@pytest.mark.parametrize("kind", ["physics", "learning"])
def test_other_rounding_is_3_and_another_world_4(kind: str, tiny_copy: Path, cli: Cli) -> None:
    change(tiny_copy, "fingerprint", kind, "sha256", to="0" * 64)
    change(tiny_copy, "fingerprint", "features", to=["AVX9000", "torch AVX9000"])
    done = cli("verify", tiny_copy)
    assert (done.code, "other rounding" in done.out, "AVX9000" in done.out) == (3, True, True)
    change(tiny_copy, "fingerprint", kind, "numbers", 0, to=lambda number: number + 0.001)
    done = cli("verify", tiny_copy)
    assert done.code == 4
    assert "No version moved: clrobot's own code did" in done.out
    change(tiny_copy, "versions", "mujoco", to="3.0.0")
    done = cli("verify", tiny_copy, "--format", "json")
    found = json.loads(done.out)
    assert (done.code, found["verdict"], found[kind]) == (4, "another world", "another world")
    assert list(found["moved"]) == ["mujoco"]
    assert found["moved"]["mujoco"]["then"] == "3.0.0"


def test_a_version_that_moved_and_changed_no_bit_is_said(tiny_copy: Path, cli: Cli) -> None:
    change(tiny_copy, "versions", "gymnasium", to="0.1")
    done = cli("verify", tiny_copy)
    assert done.code == 0
    assert "gymnasium" in done.out
    assert "0.1 →" in done.out


def test_a_processor_that_rounds_otherwise_is_found(tiny_run: Path) -> None:
    """Torch without its vector instructions is what an older processor would be."""
    command = [sys.executable, "-P", "-m", "clrobot", "verify", str(tiny_run), "--format", "json"]
    environment = os.environ | {"ATEN_CPU_CAPABILITY": "default"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    found = json.loads(done.stdout)
    assert found["physics"] == "the same bits"
    if th.backends.cpu.get_cpu_capability() == "DEFAULT":
        assert (done.returncode, found["verdict"]) == (0, "the same bits")
    else:
        assert (done.returncode, found["verdict"]) == (3, "other rounding")
        assert found["processor"]["now_alone"] == ["torch DEFAULT"]


def test_an_older_run_has_none_which_is_one_sentence(tiny_copy: Path, cli: Cli) -> None:
    content = json.loads((tiny_copy / "environment.json").read_text())
    del content["fingerprint"]
    (tiny_copy / "environment.json").write_text(json.dumps(content))
    done = cli("verify", tiny_copy)
    assert (done.code, done.out) == (2, "")
    assert "has no fingerprint: an older clrobot made this run" in done.err


@pytest.mark.parametrize(
    ("where", "to"),
    [
        (("fingerprint",), []),
        (("fingerprint",), "x" * 100_000),
        (("fingerprint", "physics", "sha256"), "x"),
        (("fingerprint", "physics", "numbers"), [0.0] * 100_000),
        (("fingerprint", "physics", "numbers"), []),
        (("fingerprint", "learning", "numbers", 0), "one"),
        (("fingerprint", "learning", "numbers", 0), 10**400),
        (("fingerprint", "features"), ["x" * 100_000]),
        (("fingerprint", "features"), ["x"] * 10_000),
        (("fingerprint", "threads"), 10**9),
        (("fingerprint", "threads"), 7),  # none but the run's own are ever set
        (("fingerprint", "format"), 2),
        (("fingerprint", "more"), 1),
    ],
)
def test_what_is_forged_is_one_sentence(where: tuple[str | int, ...], to: Any, tiny_copy: Path, cli: Cli) -> None:
    change(tiny_copy, *where, to=to)
    done = cli("verify", tiny_copy)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("clrobot: ")
    assert done.err.count("\n") == 1
    assert len(done.err) < 500


@pytest.mark.parametrize("forged", [None, [], {"mujoco": {"a": [1]}, "x" * 10_000: "\x1b[2J" * 9_999}, {"a": 1} | {}])
def test_forged_versions_command_nothing_and_are_bounded(forged: Any, tiny_copy: Path, cli: Cli) -> None:
    if isinstance(forged, dict):
        forged |= {f"package-{i}": "1" for i in range(10_000)}
    change(tiny_copy, "versions", to=forged)
    done = cli("verify", tiny_copy)
    assert done.code == 0, "the bits are the same, whatever it says of versions"
    assert "\x1b[2J" not in done.out
    assert len(done.out) < 20_000


# A stage again ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", [1, 3])
def test_a_stage_that_is_trained_again_has_the_same_bits(stage: int, tiny_run: Path, cli: Cli) -> None:
    before = {path: path.read_bytes() for path in tiny_run.rglob("*") if path.is_file()}
    done = cli("verify", tiny_run, "--again", "--stage", str(stage), "--format", "json")
    found = json.loads(done.out)
    assert (done.code, found["verdict"]) == (0, "the same bits")
    assert (found["again"]["stage"], found["again"]["files"], found["again"]["scores"]) == (stage, [], 0)
    assert found["again"]["of"] > 3
    assert {path: path.read_bytes() for path in tiny_run.rglob("*") if path.is_file()} == before


def test_a_table_that_was_never_computed_is_found_out(tiny_copy: Path, cli: Cli) -> None:
    lines = [json.loads(line) for line in (tiny_copy / "scores.jsonl").read_text().splitlines()]
    line = next(line for line in lines if line["stage"] == 1)
    line["return_mean"] += 1
    (tiny_copy / "scores.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tiny_copy / MANIFEST).unlink()
    done = cli("verify", tiny_copy, "--again")
    assert done.code == 4
    assert "0 files and 1 of" in done.out


@pytest.mark.usefixtures("quick_training")
def test_a_stranger_s_tracker_is_not_opened(
    tiny_copy: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened: list[str] = []
    stand_in = ModuleType("trackio")
    vars(stand_in).update(init=lambda **_: opened.append("trackio"))
    monkeypatch.setitem(sys.modules, "trackio", stand_in)
    config = RunFolder.open(tiny_copy).config.model_copy(update={"tracker": "trackio"})
    train(config.on(Machine(tracker="none")), tmp_path / "own")  # as its owner would have it, but for the tracker
    run = RunFolder.open(tmp_path / "own")
    # An older clrobot wrote other settings down: the checkpoints name the checksum of that text.
    run.config_file.write_text(dump_config(config) + "# as it was then\n", encoding="utf-8")
    rebind_checkpoints(run)
    run.record()
    for stage in (1, 3):
        found = train_again(RunFolder.open(run.path), stage, Silent())
        assert (found.same, found.of > 3) == (True, True), found
    assert opened == []


def test_what_a_checkpoint_does_not_list_is_neither_copied_nor_read(
    tiny_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sparse file of 20 GB takes no place on a stranger's disk, and all of it here; a pipe ends never."""
    run = RunFolder.open(tiny_copy)
    for stage in (1, 2, 3):
        with (run.checkpoint(stage) / "more").open("wb") as file:
            file.truncate(20 * 2**30)
        os.mkfifo(run.checkpoint(stage) / "pipe")
        (run.checkpoint(stage) / "link").symlink_to("/dev/zero")
    monkeypatch.setattr(again, "checksum", lambda path: path.stat().st_size < 2**24 or pytest.fail(f"read {path}"))
    monkeypatch.setattr(again, "open_training", _not_trained)
    with pytest.raises(UserError, match="not trained") as error:
        again.train_again(run, 3, Silent())
    assert error.value.args[0] == (
        "not trained: ['config.yaml', 'environment.json', 'manifest.json', 'metrics.json', 'scores.jsonl', "
        "'stage_02/checkpoint.json', 'stage_02/manifest.json', 'stage_02/method.safetensors', "
        "'stage_02/weights.safetensors']"
    )
    for name in ("more", "pipe", "link"):
        assert again._differ(run.checkpoint(3) / name, run.checkpoint(3) / "weights.safetensors")


def _not_trained(folder: Path, _: Any) -> None:
    found = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())
    raise UserError(f"not trained: {found}")


def test_a_damaged_checkpoint_is_refused_before_anything_is_copied(tiny_copy: Path, cli: Cli) -> None:
    weights = tiny_copy / "stage_02" / "weights.safetensors"
    with weights.open("r+b") as file:
        file.truncate(20 * 2**30)
    done = cli("verify", tiny_copy, "--again", "--stage", "3")
    assert (done.code, done.out) == (2, "")
    assert "it has 21,474,836,480 bytes" in done.err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--again", "--stage", "9"), "--stage 9: .* has no such stage finished; expected one of"),
        (("--again", "--stage", "0"), "--stage 0: "),
        (("--stage", "1"), "--stage 1 says which stage --again trains; give both"),
    ],
)
def test_a_stage_that_cannot_be_is_one_sentence(
    words: tuple[str, ...], sentence: str, tiny_run: Path, cli: Cli
) -> None:
    done = cli("verify", tiny_run, *words)
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert re.search(sentence, done.err)


def test_a_verdict_is_the_lesser_of_both(tiny_copy: Path) -> None:
    change(tiny_copy, "fingerprint", "learning", "sha256", to="0" * 64)
    found = verify(RunFolder.open(tiny_copy))
    assert (found.physics, found.learning, found.agreement) == ("the same bits", "other rounding", "other rounding")
