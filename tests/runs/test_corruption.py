"""Damaged and malicious run folders: one sentence or the right result, and nothing outside the run is touched."""

from __future__ import annotations

import json
import pickle
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from safetensors.torch import load_file
from support.models import forge_manifest, same_bits
from support.outcomes import Warned, outcome, stopped
from support.trainings import quickly

import clrobot.report.run_section
from clrobot.errors import UserError
from clrobot.report.page import write_report
from clrobot.runs.checkpoint import load_agent
from clrobot.runs.folder import RunFolder
from clrobot.runs.snapshot import snapshots
from clrobot.training.resuming import open_training
from clrobot.training.training import Training

Files = dict[str, bytes]


def files_of(run: Path) -> list[str]:
    return sorted(str(path.relative_to(run)) for path in run.rglob("*") if path.is_file())


def content(folder: Path) -> Files:
    return {name: (folder / name).read_bytes() for name in files_of(folder)}


# Undamaged runs --------------------------------------------------------------------------------------------


class Whole:
    """An undamaged run, with all that a damaged copy may say."""

    def __init__(self, path: Path, finished: bool) -> None:
        self.path = path
        self.finished = finished
        self.files = [name for name in files_of(path) if not name.startswith("stage_02/")]  # as stage_01's
        run = RunFolder.open(path)
        self.newest = run.find_stage(None)
        self.weights = {stage: load_agent(run, stage).policy.state_dict() for stage in run.stages()}
        self.slots = run.config.curriculum.slots
        self.page = write_report(path).read_bytes()
        self.snapshots = {folder.name: content(folder) | {"manifest.json": b""} for folder in snapshots(run.resume)}

    def copy(self, folder: Path) -> Path:
        return Path(shutil.copytree(self.path, folder / "run"))  # of one name, which the report shows


@pytest.fixture(scope="module", autouse=True)
def drawn_once() -> Any:
    """Draw the curves of the same scores once, in one width: hundreds of reports are made here."""
    drawn: dict[str, Any] = {}
    draw = clrobot.report.run_section.draw_curves

    def curves(*args: Any) -> Any:
        key = repr(args[:-1])
        if key not in drawn:
            drawn[key] = draw(*args)
        return drawn[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clrobot.report.run_section, "draw_curves", curves)
        yield


@pytest.fixture(scope="module")
def finished(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory, drawn_once: None) -> Whole:
    run = tmp_path_factory.mktemp("finished") / "run"
    return Whole(Path(shutil.copytree(tiny_run, run)), finished=True)


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory: pytest.TempPathFactory, drawn_once: None) -> Whole:
    """A run stopped in its second stage, with two snapshots."""
    return Whole(stopped(tmp_path_factory.mktemp("unfinished") / "run", "ewc", boundary=9), finished=False)


@pytest.fixture(scope="module")
def ending(unfinished: Whole, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The outcome of the unfinished run, resumed undamaged."""
    run = unfinished.copy(tmp_path_factory.mktemp("ending"))
    with quickly():
        open_training(run, Warned()).run()
    return outcome(run)


# What a run may answer -------------------------------------------------------------------------------------


def sentence_or(result: Callable[[], Any]) -> Any:
    """Return the result, or None for a UserError of one sentence; let any other exception fail the test."""
    try:
        return result()
    except UserError as error:
        text = str(error)
        assert text
        assert text.isprintable(), repr(text)
        assert "Traceback" not in text
        return None


def check_agent(run: Path, whole: Whole) -> None:
    """The newest stage's very bits; or an older one's, after saying so; or a sentence."""
    warnings: list[str] = []
    agent = sentence_or(lambda: load_agent(RunFolder.open(run), warn=warnings.append))
    if agent is not None:
        weights = agent.policy.state_dict()
        assert weights.keys() == whole.weights[agent.stage].keys()
        assert all(th.equal(weights[name], tensor) for name, tensor in whole.weights[agent.stage].items())
        assert agent.slots == whole.slots
        assert len(warnings) == whole.newest - agent.stage
        assert all(warning.isprintable() for warning in warnings)


def check_report(run: Path, whole: Whole, damaged: str) -> None:
    """The undamaged run's very page, or a sentence; what was scored since the last stage has no checksum yet.

    The files that a page holds for downloading are the run's own: a score that stands twice is there twice.
    """
    page = sentence_or(lambda: write_report(RunFolder.open(run).path).read_bytes())
    unsealed = damaged == "scores.jsonl" and not whole.finished
    assert page is None or _without_files(page) == _without_files(whole.page) or unsealed


def _without_files(page: bytes) -> bytes:
    return re.sub(rb'<a download="[^"]*" href="[^"]*">', b"", page)


def check_resume(run: Path, whole: Whole, *, to_its_end: bool = False) -> None:
    """A snapshot's very bits; or the start, after saying so; or a sentence."""
    observer = Warned()
    training: Training | None = sentence_or(lambda: open_training(run, observer))
    RunFolder(run).unlock()
    assert all(warning.isprintable() for warning in observer.warnings)
    if training is not None and training.within is not None:
        used = training.within.folder
        assert content(used) | {"manifest.json": b""} == whole.snapshots[used.name]
        assert len(observer.warnings) == sorted(whole.snapshots, reverse=True).index(used.name)
    elif training is not None and training.stage_ends:
        done = len(training.stage_ends)
        assert f"goes on from the end of stage {done}" in observer.warnings[-1]
        assert same_bits(
            training.learner.policy.state_dict(), load_file(run / f"stage_{done:02d}" / "weights.safetensors")
        )
    elif training is not None:
        assert "starts anew" in observer.warnings[-1]
    if to_its_end:
        assert training is not None
        with quickly():
            training.run()
    elif training is not None:
        training.learner.model.logger.close()  # its thread writes into a folder that is removed now


# Damages ---------------------------------------------------------------------------------------------------

Damage = Callable[[Path, random.Random, Path], None]
"""Damages a file; the last argument is another file of the run, of the same name where there is one."""


def flip(path: Path, rng: random.Random, other: Path) -> None:
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def cut(path: Path, rng: random.Random, other: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: rng.randrange(len(data))])


def zeros(path: Path, rng: random.Random, other: Path) -> None:
    data = path.read_bytes()
    start = rng.randrange(len(data))
    path.write_bytes(data[:start] + bytes(len(data) - start))


def repeat_line(path: Path, rng: random.Random, other: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    n = rng.randrange(len(lines))
    path.write_bytes(b"".join([*lines[: n + 1], *lines[n:]]))


def swap(path: Path, rng: random.Random, other: Path) -> None:
    mine = path.read_bytes()
    path.write_bytes(other.read_bytes())
    other.write_bytes(mine)


def folder_in_place(path: Path, rng: random.Random, other: Path) -> None:
    path.unlink()
    path.mkdir()


def link_in_place(path: Path, rng: random.Random, other: Path) -> None:
    run = next(parent for parent in path.parents if parent.name == "run")
    path.symlink_to(path.rename(run.parent / "outside"))


DAMAGES: dict[str, Damage] = {
    "bit flipped": flip,
    "cut": cut,
    "zero-filled": zeros,
    "missing": lambda path, rng, other: path.unlink(),
    "empty": lambda path, rng, other: path.write_bytes(b"") and None,
    "line repeated": repeat_line,
    "swapped": swap,
    "a folder in its place": folder_in_place,
    "a link in its place": link_in_place,
}


def partner(name: str, names: list[str]) -> str:
    """The next file of the same name in another folder, or just the next."""
    same = [n for n in names if Path(n).name == Path(name).name]
    ring = same if len(same) > 1 else names
    return ring[(ring.index(name) + 1) % len(ring)]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("state", ["finished", "unfinished"])
def test_a_damaged_run_gives_a_sentence_or_the_right_result(
    state: str, damage: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Every file of both runs, with every damage: over 400 folders."""
    whole: Whole = request.getfixturevalue(state)
    for name in whole.files:
        rng = random.Random(f"{damage} {name}")
        run = whole.copy(tmp_path)
        DAMAGES[damage](run / name, rng, run / partner(name, whole.files))
        if not name.startswith(("resume/", "tensorboard/")):  # what evaluating and reporting read
            check_agent(run, whole)
        if "/" not in name:
            check_report(run, whole, partner(name, whole.files) if damage == "swapped" else name)
        if not whole.finished:
            check_resume(run, whole)
        shutil.rmtree(tmp_path)
        tmp_path.mkdir()


def test_there_are_hundreds_of_damaged_runs(finished: Whole, unfinished: Whole) -> None:
    assert (len(finished.files) + len(unfinished.files)) * len(DAMAGES) > 400


def test_a_flipped_bit_in_weights_never_loads(finished: Whole, tmp_path: Path) -> None:
    run = finished.copy(tmp_path)
    weights = run / "stage_03" / "weights.safetensors"
    good = weights.read_bytes()
    rng = random.Random(0)
    for _ in range(50):
        flip(weights, rng, weights)
        with pytest.raises(UserError, match=r"weights\.safetensors is damaged"):
            load_agent(RunFolder.open(run), 3)
        weights.write_bytes(good)
    assert load_agent(RunFolder.open(run), 3).stage == 3


@pytest.mark.parametrize("damage", ["bit flipped", "missing", "swapped"])
def test_a_damaged_run_resumed_to_its_end_has_the_same_bits(
    damage: str, unfinished: Whole, ending: dict[str, Any], tmp_path: Path
) -> None:
    run = unfinished.copy(tmp_path)
    newest, older = snapshots(run / "resume")
    for name in ("weights.safetensors", "arrays.safetensors"):
        DAMAGES[damage](newest / name, random.Random(0), older / name)
    check_resume(run, unfinished, to_its_end=True)
    assert outcome(run) == ending


@pytest.mark.parametrize("name", ["config.yaml", "scores.jsonl"])
def test_a_training_goes_on_only_with_its_own_settings_and_scores(
    name: str, unfinished: Whole, tmp_path: Path
) -> None:
    run = unfinished.copy(tmp_path)
    text = (run / name).read_text()
    (run / name).write_text(re.sub(r"(seed: 0|\"episodes\": 3)", lambda match: match[0][:-1] + "4", text, count=1))
    assert (run / name).read_text() != text
    with pytest.raises(UserError, match=rf"{name} is not as the training wrote it"):
        open_training(run, Warned())
    RunFolder(run).unlock()


# The last whole checkpoint ---------------------------------------------------------------------------------


def test_a_damaged_newest_checkpoint_is_named_and_the_last_whole_one_used(
    finished: Whole, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = finished.copy(tmp_path)
    for stage in (3, 2):
        (run / f"stage_0{stage}" / "weights.safetensors").write_bytes(b"")
    capsys.readouterr()
    assert load_agent(RunFolder.open(run)).stage == 1
    newest, older = capsys.readouterr().err.splitlines()
    assert newest.startswith("clrobot: warning: ")
    assert "stage_03/weights.safetensors is damaged" in newest
    assert newest.endswith("stage 1 is used in its place")
    assert "stage_02/weights.safetensors is damaged" in older
    with pytest.raises(UserError, match="stage_03/weights"):
        load_agent(RunFolder.open(run), 3)


def test_with_every_checkpoint_damaged_the_newest_is_refused(
    finished: Whole, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = finished.copy(tmp_path)
    for manifest in run.glob("stage_*/manifest.json"):
        manifest.unlink()
    capsys.readouterr()
    with pytest.raises(UserError, match="stage_03/manifest"):
        load_agent(RunFolder.open(run))
    assert capsys.readouterr().err == ""


# Malicious content -----------------------------------------------------------------------------------------


class Malicious:
    """Makes the file `marker` when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return Path.touch, (self.marker,)


def plant(path: Path, marker: Path) -> None:
    """Write the pickle as whoever opens `path` by its name would read it."""
    thing = Malicious(marker)
    if path.suffix in (".pth", ".zip", ".pt"):
        th.save(thing, path)
    elif path.suffix == ".npy":
        np.save(path, np.array([thing], object), allow_pickle=True)
    else:
        path.write_bytes(pickle.dumps(thing))


EXTRA = ("policy.pth", "model.zip", "weights.pt", "arrays.npy", "method.pkl")


def test_the_planted_pickle_is_malicious(tmp_path: Path) -> None:
    plant(tmp_path / "x", tmp_path / "marker")
    pickle.loads((tmp_path / "x").read_bytes())
    assert (tmp_path / "marker").exists()


@pytest.mark.parametrize("state", ["finished", "unfinished"])
@pytest.mark.parametrize("forged", [False, True], ids=["", "with manifests to match"])
def test_no_pickle_is_ever_opened(state: str, forged: bool, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    whole: Whole = request.getfixturevalue(state)
    folders = sorted({str(Path(name).parent) for name in whole.files})
    marker = tmp_path / "marker"
    for name in [*whole.files, *(f"{folder}/*" for folder in folders)]:
        run = whole.copy(tmp_path)
        path = run / name
        for planted in [path] if path.name != "*" else [path.with_name(extra) for extra in EXTRA]:
            plant(planted, marker)
        if forged and path.name != "manifest.json":
            forge_manifest(path.parent)
        stage = int(path.parent.name[-2:]) if name.startswith("stage_") else None
        sentence_or(lambda: load_agent(RunFolder.open(run), stage))  # noqa: B023
        if path.parent == run:
            sentence_or(lambda: write_report(RunFolder.open(run).path))  # noqa: B023
        if not whole.finished:
            training: Training | None = sentence_or(lambda: open_training(run, Warned()))  # noqa: B023
            RunFolder(run).unlock()
            if training is not None:
                training.learner.model.logger.close()
        assert not marker.exists(), name
        shutil.rmtree(run)


# Leading out of the folder ---------------------------------------------------------------------------------

OUT = ("../outside", "../../outside", "/etc/passwd", "..", ".", "", "a/../../outside", "\0", "two\nlines")


@pytest.mark.parametrize(
    "name",
    ["config.yaml", "scores.jsonl", "resume", "tensorboard", "videos", "stage_01", "stage_01/manifest.json"],
)
def test_a_link_is_refused_and_what_it_leads_to_untouched(name: str, unfinished: Whole, tmp_path: Path) -> None:
    run = unfinished.copy(tmp_path)
    (run / "videos").mkdir()
    (run / name).rename(tmp_path / "outside")
    (run / name).symlink_to(tmp_path / "outside")
    before = content(tmp_path / "outside") if (tmp_path / "outside").is_dir() else (tmp_path / "outside").read_bytes()
    for use in (lambda: load_agent(RunFolder.open(run)), lambda: open_training(run, Warned())):
        with pytest.raises(UserError, match=f"{name} is a link"):
            use()
    after = content(tmp_path / "outside") if (tmp_path / "outside").is_dir() else (tmp_path / "outside").read_bytes()
    assert before == after


@pytest.mark.parametrize("name", OUT)
def test_names_in_a_manifest_stay_in_its_folder(name: str, unfinished: Whole, tmp_path: Path) -> None:
    run = unfinished.copy(tmp_path)
    (tmp_path / "outside").touch()
    for folder in (run / "stage_01", *snapshots(run / "resume")):
        manifest = folder / "manifest.json"
        manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {name: "0" * 64}))
    with pytest.raises(UserError, match=r"manifest\.json is (missing or )?damaged") as refused:
        load_agent(RunFolder.open(run), 1)
    assert str(refused.value).isprintable()
    check_agent(run, unfinished)
    check_resume(run, unfinished)


@pytest.mark.parametrize("name", OUT)
def test_names_in_the_settings_stay_in_the_folder(name: str, finished: Whole, tmp_path: Path) -> None:
    run = finished.copy(tmp_path)
    config = (run / "config.yaml").read_text()
    for old in ("name: quick", "task: reach", "method: ewc"):
        assert old in config
        if (old, name) == ("name: quick", "two\nlines"):
            continue  # a curious name for a curriculum, which leads nowhere
        (run / "config.yaml").write_text(config.replace(old, f"{old.split(':')[0]}: {json.dumps(name)}"))
        with pytest.raises(UserError) as refused:
            RunFolder.open(run)
        assert f"configuration {run / 'config.yaml'}: " in str(refused.value)
        assert str(refused.value).isprintable()


@pytest.mark.parametrize("name", OUT)
@pytest.mark.parametrize("key", ["stage", "weights"])
def test_names_in_a_checkpoint_lead_nowhere(name: str, key: str, finished: Whole, tmp_path: Path) -> None:
    run = finished.copy(tmp_path)
    info = run / "stage_03" / "checkpoint.json"
    info.write_text(json.dumps(json.loads(info.read_text()) | {key: name}))
    forge_manifest(info.parent)
    with pytest.raises(UserError, match=r"checkpoint\.json is missing or damaged"):
        load_agent(RunFolder.open(run), 3)
    check_agent(run, finished)


@pytest.mark.parametrize("name", OUT)
def test_a_task_s_name_in_the_metrics_leads_to_no_file_outside(name: str, finished: Whole, tmp_path: Path) -> None:
    run = finished.copy(tmp_path)
    (tmp_path / "outside.mp4").touch()
    metrics = json.loads((run / "metrics.json").read_text())
    for task in metrics["per_task"]:
        task["task"] = name
    (run / "metrics.json").write_text(json.dumps(metrics))
    forge_manifest(run)
    page = write_report(RunFolder.open(run).path).read_text(encoding="utf-8")
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert addresses
    for address in addresses:
        assert ".." not in address
        assert not address.startswith("/")
