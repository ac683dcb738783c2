"""What a method remembers, as files: rows that an earlier checkpoint holds are on the disk once."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import stat
from pathlib import Path

import pytest
import torch as th
from safetensors.torch import load_file, save_file
from support.trainings import TINY

import clrobot.runs.checkpoint
from clrobot.errors import UserError
from clrobot.experiment.config import make_config
from clrobot.files import atomic
from clrobot.manifests import MANIFEST, write_manifest
from clrobot.runs import method_files
from clrobot.runs.checkpoint import load_agent, load_method_state
from clrobot.runs.method_files import STATE, State, load_state, row_files, save_state
from clrobot.runs.sizes import checkpoint_sizes
from clrobot.training.again import train_again
from clrobot.training.extend import extend
from clrobot.training.observer import Silent
from clrobot.training.resuming import resume
from clrobot.training.training import train

ROWS = 2_000


def memory(stages: int, seed: int = 0) -> State:
    """Return a memory of so many stages, to which each has added rows; the generator changes with each."""
    rng = th.Generator().manual_seed(seed)
    rows = [th.randn(ROWS, 24, generator=rng) for _ in range(stages)]
    return {
        "observations": th.cat(rows),
        "log_std": th.cat([part[:, :8].double() for part in rows]),
        "generator": th.full((8,), stages, dtype=th.uint8),
    }


def save(state: State, folder: Path, before: Path | None = None) -> Path:
    with atomic(folder) as written:
        written.mkdir()
        save_state(state, written, before)
        write_manifest(written)
    return folder


def chain(tmp_path: Path, stages: int) -> list[Path]:
    folders: list[Path] = []
    for stage in range(1, stages + 1):
        folders.append(save(memory(stage), tmp_path / f"stage_{stage:02d}", folders[-1] if folders else None))
    return folders


def assert_same(found: State, expected: State) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert found[name].shape == tensor.shape
        assert found[name].numpy().tobytes() == tensor.numpy().tobytes(), name


def test_rows_are_on_the_disk_once_and_each_folder_has_all_of_them(tmp_path: Path) -> None:
    folders = chain(tmp_path, 4)
    assert [len(row_files(folder)) for folder in folders] == [1, 2, 3, 4]
    for early, late in itertools.pairwise(folders):
        for a, b in zip(row_files(early), row_files(late), strict=False):
            assert os.path.samefile(a, b)
    files = {file.stat().st_ino: file.stat().st_size for folder in folders for file in folder.glob("*.safetensors")}
    assert sum(files.values()) < 1.05 * sum(t.nbytes for t in memory(4).values())
    alone = shutil.copytree(folders[-1], tmp_path / "elsewhere" / "stage_04")
    for folder in folders[:3]:
        shutil.rmtree(folder)
    assert_same(load_state(alone), memory(4))


def test_every_stage_is_read_as_it_was_written(tmp_path: Path) -> None:
    for stage, folder in enumerate(chain(tmp_path, 3), start=1):
        assert_same(load_state(folder), memory(stage))


def test_a_memory_whose_rows_have_changed_is_written_whole(tmp_path: Path) -> None:
    first = save(memory(1), tmp_path / "a")
    other = memory(2)
    other["observations"][3, 5] += 1.0
    second = save(other, tmp_path / "b", first)
    assert len(row_files(second)) == 1
    assert_same(load_state(second), other)


def test_from_the_first_file_that_differs_on_all_is_new(tmp_path: Path) -> None:
    *_, third = chain(tmp_path, 3)
    other = memory(4)
    other["observations"][ROWS + 1] = 0.0
    fourth = save(other, tmp_path / "other", third)
    assert len(row_files(fourth)) == 2
    assert os.path.samefile(row_files(fourth)[0], row_files(third)[0])
    assert_same(load_state(fourth), other)


@pytest.mark.parametrize(("was", "becomes", "files"), [(float("nan"), float("nan"), 2), (0.0, -0.0, 1)])
def test_bits_are_compared_and_not_numbers(tmp_path: Path, was: float, becomes: float, files: int) -> None:
    one, two = memory(1), memory(2)
    one["observations"][0, 0], two["observations"][0, 0] = was, becomes
    second = save(two, tmp_path / "b", save(one, tmp_path / "a"))
    assert len(row_files(second)) == files
    assert_same(load_state(second), two)


def test_where_the_disk_has_no_hard_links_rows_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    first, second = chain(tmp_path, 2)
    assert not os.path.samefile(row_files(first)[0], row_files(second)[0])
    assert_same(load_state(second), memory(2))


@pytest.mark.parametrize("damage", ["no folder", "no manifest", "no file", "a link", "nothing in it", "other rows"])
def test_an_earlier_checkpoint_that_is_damaged_is_not_shared(tmp_path: Path, damage: str) -> None:
    first = save(memory(1), tmp_path / "a")
    file = row_files(first)[0]
    if damage == "no folder":
        shutil.rmtree(first)
    elif damage == "no manifest":
        (first / MANIFEST).unlink()
    elif damage == "nothing in it":
        file.write_bytes(b"")
    elif damage == "other rows":
        save_file({"others": th.zeros(ROWS, 24)}, file)
    else:
        content = file.rename(tmp_path / "content")
        if damage == "a link":
            file.symlink_to(content)
    second = save(memory(2), tmp_path / "b", first)
    assert len(row_files(second)) == 1
    assert not row_files(second)[0].is_symlink()
    assert_same(load_state(second), memory(2))


def test_a_folder_never_has_more_files_than_a_manifest_may_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(method_files, "_MOST", 3)
    folders = chain(tmp_path, 6)
    assert [len(row_files(folder)) for folder in folders] == [1, 2, 3, 1, 2, 3]
    for stage, folder in enumerate(folders, start=1):
        assert_same(load_state(folder), memory(stage))


def test_what_is_small_stays_in_one_file(tmp_path: Path) -> None:
    state = {"fisher": th.ones(64, 24), "step": th.tensor(3.0)}
    folder = save(state, tmp_path / "b", save(state, tmp_path / "a"))
    assert row_files(folder) == []
    assert_same(load_state(folder), state)


def test_rows_that_the_manifest_does_not_list_are_not_read(tmp_path: Path) -> None:
    *_, second = chain(tmp_path, 2)
    save_file({"observations": th.zeros(5, 24)}, second / "method-rows-003.safetensors")
    assert_same(load_state(second), memory(2))


@pytest.mark.parametrize(
    "rows",
    [
        {"observations": th.zeros(5, 23)},
        {"observations": th.zeros(5, 24, dtype=th.float64)},
        {"observations": th.tensor(1.0)},
        {"generator": th.zeros(8, dtype=th.uint8)},
    ],
    ids=["other columns", "another kind", "one number", "there as a whole"],
)
def test_rows_that_do_not_belong_together_are_refused(tmp_path: Path, rows: State) -> None:
    folder = save(memory(1), tmp_path / "a")
    save_file(rows, folder / "method-rows-002.safetensors")
    write_manifest(folder)
    with pytest.raises(ValueError, match=r"observations|generator"):
        load_state(folder)


def test_a_file_that_is_shared_keeps_its_permissions(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        first = save(memory(1), tmp_path / "a")
        os.umask(0o077)
        second = save(memory(2), tmp_path / "b", first)
        third = save(memory(3), tmp_path / "c", second)
    finally:
        os.umask(before)
    assert [stat.S_IMODE(row_files(folder)[0].stat().st_mode) for folder in (first, second)] == [0o644, 0o600]
    assert all(map(os.path.samefile, row_files(second), row_files(third)))
    assert_same(load_state(third), memory(3))


def test_an_earlier_manifest_of_something_else_is_no_reason_to_fail(tmp_path: Path) -> None:
    first = save(memory(1), tmp_path / "a")
    for number, content in enumerate(("null", "3", "[1]", "{}")):
        (first / MANIFEST).write_text(content)
        assert_same(load_state(save(memory(2), tmp_path / f"b{number}", first)), memory(2))


def test_the_manifest_has_every_file(tmp_path: Path) -> None:
    *_, second = chain(tmp_path, 2)
    names = json.loads((second / MANIFEST).read_text())
    assert set(names) == {STATE, *(file.name for file in row_files(second))}
    assert load_file(second / STATE).keys() == {"generator"}


@pytest.mark.usefixtures("quick_training")
def test_a_trained_run_keeps_its_rows_once_and_is_extended_from_them(tmp_path: Path) -> None:
    kept = {"method": "distillation", "distillation": {"states": 1_000}}
    run = train(make_config(**TINY | kept), tmp_path / "run")
    files = [row_files(run.checkpoint(stage)) for stage in (1, 2, 3)]
    assert [len(found) for found in files] == [1, 2, 3]
    assert all(map(os.path.samefile, files[1], files[2]))
    for stage, found in enumerate(files, start=1):
        state, _ = load_method_state(run, stage)
        assert state["observations"].shape == (stage * 1_000, 24)
        assert load_file(found[-1])["observations"].shape == (1_000, 24)
    longer = resume(extend(run, "push", 64, tmp_path / "longer").path)
    assert len(row_files(longer.checkpoint(4))) == 4
    assert all(map(os.path.samefile, row_files(longer.checkpoint(1)), row_files(longer.checkpoint(4))))
    assert not os.path.samefile(row_files(run.checkpoint(1))[0], row_files(longer.checkpoint(1))[0])
    assert train_again(run, 3, Silent()).same


@pytest.mark.usefixtures("quick_training")
def test_rows_that_are_damaged_cost_no_agent(tmp_path: Path) -> None:
    """Three stages have that file, and the weights of all are whole."""
    run = train(make_config(**TINY | {"method": "distillation", "distillation": {"states": 1_000}}), tmp_path / "run")
    with row_files(run.checkpoint(3))[0].open("r+b") as file:
        file.seek(5_000)
        file.write(b"xyz")
    warnings: list[str] = []
    assert load_agent(run, warn=warnings.append).stage == 3
    assert warnings == []
    for stage in (1, 2, 3):
        with pytest.raises(UserError, match="its checksum differs"):
            load_method_state(run, stage)


@pytest.mark.usefixtures("quick_training")
def test_rows_together_have_no_more_bytes_than_the_state_may_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train(make_config(**TINY | {"method": "distillation", "distillation": {"states": 1_000}}), tmp_path / "run")
    sizes = checkpoint_sizes(run.config) | {"method.safetensors": 2 * row_files(run.checkpoint(3))[0].stat().st_size}
    monkeypatch.setattr(clrobot.runs.checkpoint, "checkpoint_sizes", lambda _: sizes)
    load_method_state(run, 1)
    with pytest.raises(UserError, match="its rows have"):
        load_method_state(run, 3)


@pytest.mark.usefixtures("quick_training")
def test_rows_made_by_hand_are_one_sentence(tmp_path: Path) -> None:
    run = train(make_config(**TINY | {"method": "distillation", "distillation": {"states": 1_000}}), tmp_path / "run")
    folder = run.checkpoint(3)
    save_file({"observations": th.zeros(7, 3)}, folder / "method-rows-009.safetensors")
    write_manifest(folder)
    with pytest.raises(
        UserError, match=r"method\.safetensors is missing or damaged \(rows of observations that differ"
    ):
        load_method_state(run, 3)
