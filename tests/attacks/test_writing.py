"""What is written is whole or absent, readable as the umask says, and touches nothing else.

A reader's further attack is one more line in `COMMANDS` (what writes to a place that the user names).
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from support.trainings import TINY

from clrobot.errors import UserError
from clrobot.experiment.config import make_config
from clrobot.experiment.config_file import dump_config
from clrobot.files import TEXT_LIMIT, atomic, read_plain
from clrobot.manifests import check_record, write_manifest, write_record
from clrobot.runs.checkpoint import load_agent
from clrobot.runs.folder import RunFolder
from clrobot.runs.free import check_free
from clrobot.runs.snapshot import Snapshot

Cli = Callable[..., Any]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write(path: Path, text: str = "new") -> None:
    with atomic(path) as unfinished:
        unfinished.write_text(text)


def write_folder(path: Path, text: str = "new") -> None:
    with atomic(path) as unfinished:
        (unfinished / "deep").mkdir(parents=True)
        (unfinished / "deep" / "file").write_text(text)


# Names of one's own ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mine", [".p.html.tmp", ".p.html.old", "p.html.tmp", ".clrobot-mine", ".clrobot.tmp"])
@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_is_the_user_s_stays(mine: str, kind: str, tmp_path: Path) -> None:
    if kind == "folder":
        (tmp_path / mine).mkdir()
        (tmp_path / mine / "thesis.tex").write_text("mine")
    else:
        (tmp_path / mine).write_text("mine")
    for entry in tmp_path.iterdir():
        os.utime(entry, (0, 0))
    write(tmp_path / "p.html")
    assert names(tmp_path) == sorted([mine, "p.html"])
    assert kind == "file" or (tmp_path / mine / "thesis.tex").read_text() == "mine"


@pytest.mark.parametrize("writer", [write, write_folder])
def test_two_writers_at_once_leave_one_whole_result(writer: Callable[[Path, str], None], tmp_path: Path) -> None:
    both, target = threading.Barrier(2), tmp_path / "a"

    def slowly(text: str) -> None:
        with atomic(target) as unfinished:
            both.wait()
            if writer is write:
                unfinished.write_text(text * 1000)
            else:
                (unfinished / "deep").mkdir(parents=True)
                (unfinished / "deep" / "file").write_text(text * 1000)
            both.wait()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(slowly, "xy"))
    assert names(tmp_path) == ["a"]
    found = (target if writer is write else target / "deep" / "file").read_text()
    assert found in ("x" * 1000, "y" * 1000)


def test_a_folder_that_another_writer_puts_in_between_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, replace, came = tmp_path / "a", Path.replace, []

    def overtaken(self: Path, to: Path) -> Path:
        if to == target and not came:
            came.append(to)
            write_folder(target, "x")
        return replace(self, to)

    with atomic(target) as unfinished:
        unfinished.mkdir()
        (unfinished / "mine").write_text("y")
        monkeypatch.setattr(Path, "replace", overtaken)
    assert came
    assert names(tmp_path) == ["a"]
    assert names(target) == ["mine"]


def left_over(folder: Path, age: float) -> Path:
    made = Path(tempfile.mkdtemp(prefix=".clrobot-", suffix=".tmp", dir=folder))
    (made / "a.json").write_text("half")
    os.utime(made, (time.time() - age,) * 2)
    return made


def test_what_a_killed_writer_left_disturbs_nothing_and_goes_in_time(tmp_path: Path) -> None:
    new, old, used = left_over(tmp_path, 10), left_over(tmp_path, 7200), left_over(tmp_path, 7200)
    check_free(tmp_path)  # a run may still be made here
    write_manifest(tmp_path)
    descriptor = os.open(used, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)  # by a film that takes hours
    try:
        write(tmp_path / "a.json")
    finally:
        os.close(descriptor)
    assert sorted(names(tmp_path)) == sorted([new.name, used.name, "a.json", "manifest.json"])
    assert not old.exists()
    assert (tmp_path / "a.json").read_text() == "new"
    listed = json.loads((tmp_path / "manifest.json").read_text())
    assert not {new.name, old.name, used.name} & listed.keys()


# Links -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("writer", [write, write_folder])
@pytest.mark.parametrize("to", ["file", "folder", "nothing"])
def test_a_link_is_replaced_and_not_followed(writer: Callable[[Path], None], to: str, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    if to == "file":
        precious.write_text("mine")
    elif to == "folder":
        precious.mkdir()
        (precious / "thesis.tex").write_text("mine")
    link = tmp_path / "a"
    link.symlink_to(precious)
    writer(link)
    assert not link.is_symlink()
    assert link.is_dir() == (writer is write_folder)
    assert precious.exists() == (to != "nothing")
    assert to != "file" or precious.read_text() == "mine"
    assert to != "folder" or names(precious) == ["thesis.tex"]


# Permissions -----------------------------------------------------------------------------------------------


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(
    ("mask", "file", "folder"),
    [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700), (0o027, 0o640, 0o750), (0, 0o666, 0o777)],
)
def test_files_follow_the_umask(mask: int, file: int, folder: int, tmp_path: Path) -> None:
    with umask(mask):
        with atomic(tmp_path / "stage") as unfinished:
            unfinished.mkdir(mode=0o700)
            (unfinished / "deep").mkdir(mode=0o500)
            save_file({"x": np.zeros(3)}, unfinished / "weights.safetensors")  # 0600, whatever the umask
            (unfinished / "deep" / "copy").write_text("of what is read-only")
            (unfinished / "deep" / "copy").chmod(0o400)
        with atomic(tmp_path / "alone.safetensors") as unfinished:
            save_file({"x": np.zeros(3)}, unfinished)
    for path in ("stage/weights.safetensors", "stage/deep/copy", "alone.safetensors"):
        assert oct(mode(tmp_path / path)) == oct(file), path
    for path in ("stage", "stage/deep"):
        assert oct(mode(tmp_path / path)) == oct(folder), path


def test_every_file_of_a_run_follows_the_umask(tiny_run: Path) -> None:
    usual = tiny_run / "config.yaml"
    for path in tiny_run.rglob("*"):
        if path.is_file():
            assert oct(mode(path)) == oct(mode(usual)), path


@contextmanager
def somebody_else() -> Iterator[None]:
    """Go on as a user who owns nothing here; root may read everything."""
    if os.geteuid() == 0:
        os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(0)
    else:
        yield


@pytest.fixture
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that others may look into, as pytest's own are not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


READERS: dict[str, Callable[[Path], object]] = {
    "stage_03/weights.safetensors": lambda run: load_agent(RunFolder.open(run), 3),
    "stage_03/manifest.json": lambda run: load_agent(RunFolder.open(run), 3),
    "metrics.json": lambda run: RunFolder.open(run).read_metrics(),
    "manifest.json": lambda run: RunFolder.open(run).read_metrics(),
    "config.yaml": RunFolder.open,
}


@pytest.mark.parametrize("name", READERS)
def test_a_file_that_may_not_be_read_is_not_called_damaged(name: str, tiny_run: Path, shared: Path) -> None:
    run = Path(shutil.copytree(tiny_run, shared / "run"))
    for path in (run, *run.rglob("*")):  # whatever the umask
        path.chmod(0o755 if path.is_dir() else 0o644)
    (run / name).chmod(0)
    with somebody_else(), pytest.raises(UserError, match=r"(?i)permission denied") as refused:
        READERS[name](run)
    assert "damaged" not in str(refused.value)
    assert name.rpartition("/")[2] in str(refused.value)


def test_a_snapshot_that_may_not_be_read_is_not_called_damaged(shared: Path) -> None:
    folder = shared / "step_000000000000"
    folder.mkdir()
    folder.chmod(0o755)
    (folder / "weights.safetensors").write_text("x")
    write_manifest(folder)
    (folder / "manifest.json").chmod(0)
    with somebody_else(), pytest.raises(UserError, match="permission denied"):
        Snapshot(folder, make_config())


# Disks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS])
def test_a_disk_that_cannot_flush_a_folder_serves(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flush = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    write(tmp_path / "a")
    write_folder(tmp_path / "b")
    assert names(tmp_path) == ["a", "b"]


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK, errno.EBADF])
def test_a_disk_without_locks_serves(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(descriptor: int, how: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    write(tmp_path / "a")
    assert names(tmp_path) == ["a"]


def test_a_disk_that_fails_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("old")

    def fsync(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="Input/output error") as failed:
        write(tmp_path / "a")
    assert failed.value.filename == str(tmp_path / "a")
    assert (tmp_path / "a").read_text() == "old"
    assert names(tmp_path) == ["a"]


COMMANDS: dict[str, list[str]] = {
    "compare": ["compare", "RUN", "--format", "markdown", "--out", "FULL/table.md"],
    "report": ["report", "RUN", "--out", "FULL/page.html"],
    "sheet": ["sheet", "--size", "16", "--out", "FULL/tasks.png"],
    "extend": ["extend", "RUN", "--task", "push", "--steps", "64", "--out", "FULL/longer"],
    "onnx": ["export", "RUN", "--out", "FULL/agent.onnx"],
    "sb3": ["export", "RUN", "--format", "sb3", "--task", "reach", "--out", "FULL/agent.zip"],
    "train": ["train", "--config", "base.yaml", "--out", "FULL/run"],
    "sweep": ["sweep", "--config", "base.yaml", "--method", "finetune", "--seed", "0", "--out", "FULL/sweep"],
    "record": ["record", "RUN", "--task", "reach", "--episodes", "1", "--out", "FULL/films"],
}


@pytest.fixture(params=["bytes", "inodes"])
def full(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A disk with no room: a real one, in memory."""
    disk = tmp_path / "full"
    disk.mkdir()
    room = "size=64k" if request.param == "bytes" else "nr_inodes=2"  # of which the disk's own folder is one
    mount = ["mount", "-t", "tmpfs", "-o", room, "none", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("may not mount a disk here")
    try:
        with suppress_full(), (disk / "filler").open("wb", buffering=0) as file:
            while request.param == "bytes" and file.write(b"x" * 4096):
                pass
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@contextmanager
def suppress_full() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        assert error.errno == errno.ENOSPC  # noqa: PT017


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_is_one_sentence_and_leaves_nothing(command: str, full: Path, tiny_run: Path, cli: Cli) -> None:
    Path("base.yaml").write_text(dump_config(make_config(**TINY | {"method": "finetune", "steps": 64})))
    words = [word.replace("RUN", str(tiny_run)).replace("FULL", str(full)) for word in COMMANDS[command]]
    done = cli(*words)
    assert done.code == 2, done
    assert "Traceback" not in done.out + done.err
    assert done.err.startswith("clrobot: "), done.err
    assert done.err.count("\n") == 1, done.err
    assert "No space left on device" in done.err
    assert str(full) in done.err
    left = [path for path in full.rglob("*") if path.is_file() and path.stat().st_size]  # a log may be there, empty
    assert left == [path for path in [full / "filler"] if path.stat().st_size]


# Reading ---------------------------------------------------------------------------------------------------


def test_only_plain_files_up_to_a_size_are_read(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(b"x" * TEXT_LIMIT)
    assert read_plain(plain) == b"x" * TEXT_LIMIT
    plain.write_bytes(b"x" * (TEXT_LIMIT + 1))
    os.mkfifo(tmp_path / "fifo")
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(20 * 2**30)
    for path, reason in {
        plain: "larger than 1,048,576 bytes",
        tmp_path / "fifo": "not a plain file",
        tmp_path / "sparse": "larger than",
        tmp_path: "Is a directory",
        Path("/dev/zero"): "not a plain file",
        Path("/dev/stdin"): "not a plain file|No such device|larger",
    }.items():
        began = time.process_time()
        if path != Path("/dev/stdin") or not os.path.isfile("/dev/stdin"):
            with pytest.raises(OSError, match=reason):
                read_plain(path)
        assert time.process_time() - began < 5.0


def test_a_record_that_claims_20_gb_fills_no_memory(tmp_path: Path) -> None:
    (tmp_path / "scores.jsonl").write_text("{}\n")
    write_record(tmp_path, ["scores.jsonl"])
    assert check_record(tmp_path) is None
    record = tmp_path / "manifest.json"
    for claim in ("20000000000", "1e999", "-1", "null", "4"):
        changed = record.read_text().replace('"bytes": 3', f'"bytes": {claim}')
        record.write_text(changed)
        assert "damaged" in str(check_record(tmp_path)), claim
        record.write_text(changed.replace(f'"bytes": {claim}', '"bytes": 3'))
    record.write_text('{"scores.jsonl": {"bytes": -1, "sha256": null}}')
    assert "damaged" in str(check_record(tmp_path)), "no checksum is none that agrees"
    os.truncate(tmp_path / "scores.jsonl", 20 * 2**30)
    record.write_text(json.dumps({"scores.jsonl": {"bytes": 20 * 2**30, "sha256": None}}))
    began = time.process_time()
    assert "damaged" in str(check_record(tmp_path)), "a sparse file of that size"
    record.write_text(json.dumps({f"{n}": {} for n in range(101)}))
    assert "lists 101 files" in str(check_record(tmp_path))
    assert time.process_time() - began < 5.0
