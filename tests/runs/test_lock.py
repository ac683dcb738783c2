"""A run's lock: the disk's own decides where there is one, elsewhere the heartbeat beside it."""

from __future__ import annotations

import errno
import fcntl
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import clrobot.runs.lock
from clrobot.errors import Busy, UserError
from clrobot.runs.folder import RunFolder
from clrobot.runs.lock import BEAT, LOCK, STALE, Held, check_held, hold, is_held, look


@pytest.fixture
def run(tmp_path: Path) -> Path:
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").write_text("here\n")
    return run


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that has none."""

    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)


def take(run: Path) -> Held:
    return hold((run / "config.yaml").open("rb"), run / LOCK, "the run")


def note(run: Path, age: float = 0.0, **changes: Any) -> None:
    """Leave the file of a process of this machine that runs, touched `age` seconds ago, with these changes."""
    held = take(run)
    content = json.loads((run / LOCK).read_text()) | changes
    held.release()
    (run / LOCK).write_text(json.dumps(content))
    touched = time.time() - age
    os.utime(run / LOCK, (touched, touched))


ELSEWHERE = {"host": "node7", "boot": "another", "pid": 41, "since": 1_790_000_000.0}


def ended() -> int:
    """The id of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def heartbeats() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "heartbeat"]


# Where the disk has locks ----------------------------------------------------------------------------------


def test_the_lock_says_who_holds_it_and_leaves_nothing(run: Path) -> None:
    held = take(run)
    found = look(run / LOCK)
    assert found is not None
    assert found.holder is not None
    assert (found.holder.pid, found.holder.host) == (os.getpid(), socket.gethostname())
    assert abs(found.holder.since - time.time()) < 60
    assert [thread.daemon for thread in heartbeats()] == [True]
    held.release()
    assert not (run / LOCK).exists()
    assert heartbeats() == []
    take(run).release()


def test_the_one_who_waits_is_told_for_whom(run: Path) -> None:
    held = take(run)
    sentence = rf"training into the run: process {os.getpid()} on this machine since 20.* UTC, last heard of 0 s ago;"
    with pytest.raises(Busy, match=sentence):
        take(run)
    held.release()


@pytest.mark.parametrize("forged", [b"", b"{}", b"\xff" * 100, b"[" * 100_000, b'{"pid": 1e999}'])
def test_a_note_that_cannot_be_read_keeps_nobody_out_and_nobody_s_lock_away(run: Path, forged: bytes) -> None:
    (run / LOCK).write_bytes(forged)
    held = take(run)
    (run / LOCK).write_bytes(forged)
    with pytest.raises(Busy, match="somebody whose lock cannot be read"):
        take(run)
    held.release()


def test_a_forged_name_commands_no_terminal(run: Path) -> None:
    note(run, host="\x1b[2J" + "x" * 240)
    held = look(run / LOCK)
    assert held is not None
    assert len(str(held)) < 240
    with (run / "config.yaml").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(Busy) as busy:
            take(run)
    assert "\x1b" not in str(busy.value)


def test_the_disk_s_lock_decides_and_another_machine_s_heartbeat_is_said(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Killed a moment ago, or the disk's locks are each machine's own."""
    note(run, 10, **ELSEWHERE)
    take(run).release()
    assert "process 41 on another machine, node7, since 2026-09-21 14:13:20 UTC" in capsys.readouterr().err
    note(run, STALE + 1, **ELSEWHERE)
    take(run).release()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("locks", [True, False])
def test_whether_it_is_held_is_asked_without_writing_anything(
    locks: bool, run: Path, request: pytest.FixtureRequest
) -> None:
    """Where each machine has locks of its own, a file is all that others see of a living training."""
    note(run, 10, **ELSEWHERE)
    if not locks:
        request.getfixturevalue("no_locks")
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in run.iterdir()}
    assert is_held((run / "config.yaml").open("rb"), run / LOCK) != locks
    assert RunFolder(run).is_busy() != locks
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in run.iterdir()} == before
    (run / LOCK).unlink()
    assert not RunFolder(run).is_busy()
    held = take(run)
    assert RunFolder(run).is_busy()
    held.release()
    assert not RunFolder(run).is_busy()


def test_a_folder_that_may_not_be_written_can_still_be_locked(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(*_: object) -> bool:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(clrobot.runs.lock, "_create", read_only)
    held = take(run)
    with pytest.raises(Busy, match=r"into the run; wait"):
        take(run)
    held.release()
    take(run).release()


def test_a_killed_process_leaves_a_note_that_hinders_nobody(run: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from clrobot.runs.lock import LOCK, hold;"
        "run = Path(sys.argv[1]);"
        "held = hold((run / 'config.yaml').open('rb'), run / LOCK, 'it'); print(1, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(run)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(Busy, match=f"process {process.pid} on this machine"):
            take(run)
        process.kill()
    assert (run / LOCK).exists()
    take(run).release()
    assert not (run / LOCK).exists()


# Where it has none -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_locks")
def test_without_the_disk_s_lock_the_note_keeps_others_out(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    held = take(run)
    assert "cannot be locked here (No locks available): others are kept out by lock.json" in capsys.readouterr().err
    with pytest.raises(Busy, match=f"process {os.getpid()} on this machine"):
        take(run)
    assert (run / LOCK).exists(), "who was refused takes nothing away"
    held.release()
    take(run).release()
    assert capsys.readouterr().err == "", "once is enough"


@pytest.mark.usefixtures("no_locks")
@pytest.mark.parametrize("age", [0, STALE - 20, -STALE + 20])
def test_another_machine_that_was_heard_of_is_waited_for(run: Path, age: float) -> None:
    note(run, age, **ELSEWHERE)
    with pytest.raises(Busy, match="process 41 on another machine, node7, since 2026-09-21 14:13:20 UTC, last heard"):
        take(run)


@pytest.mark.usefixtures("no_locks")
@pytest.mark.parametrize("age", [STALE + 20, 86_400, -86_400])
def test_another_machine_that_is_silent_is_taken_for_dead(
    run: Path, age: float, capsys: pytest.CaptureFixture[str]
) -> None:
    """A clock of its own does not matter: the times are the disk's. None who lives touches a file tomorrow."""
    note(run, age, **ELSEWHERE)
    held = take(run)
    said = capsys.readouterr().err
    assert "the run was held by process 41 on another machine, node7, since 2026-09-21" in said
    assert "it is taken for dead, and its lock taken over" in said
    found = look(run / LOCK)
    assert found is not None
    assert found.holder is not None
    assert found.holder.pid == os.getpid()
    held.release()
    assert sorted(path.name for path in run.iterdir()) == ["config.yaml"]


@pytest.mark.usefixtures("no_locks")
@pytest.mark.parametrize("changes", [{"pid": None}, {"began": "12"}], ids=["ended", "another has its id now"])
def test_a_dead_process_of_this_machine_is_not_waited_for(
    run: Path, changes: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    note(run, **{key: ended() if value is None else value for key, value in changes.items()})
    capsys.readouterr()
    take(run).release()
    assert "taken for dead" not in capsys.readouterr().err, "it is known"


@pytest.mark.usefixtures("no_locks")
def test_a_process_of_this_machine_that_is_paused_for_hours_is_waited_for(run: Path) -> None:
    note(run, 7200)
    with pytest.raises(Busy, match="last heard of 120 minutes ago"):
        take(run)


@pytest.mark.usefixtures("no_locks")
@pytest.mark.parametrize(("age", "waits"), [(0, True), (STALE + 20, False)])
def test_a_note_that_cannot_be_read_is_judged_by_its_time(run: Path, age: float, waits: bool) -> None:
    (run / LOCK).write_bytes(b"\xff")
    os.utime(run / LOCK, (time.time() - age,) * 2)
    if waits:
        with pytest.raises(Busy, match="somebody whose lock cannot be read"):
            take(run)
    else:
        take(run).release()


@pytest.mark.usefixtures("no_locks")
def test_of_many_who_find_a_dead_one_s_lock_one_gets_it(run: Path) -> None:
    def attempt(_: int) -> Held | None:
        try:
            return take(run)
        except Busy:
            return None

    for _ in range(20):
        note(run, STALE + 20, **ELSEWHERE)
        with ThreadPoolExecutor(8) as pool:
            held = [one for one in pool.map(attempt, range(8)) if one is not None]
        assert len(held) <= 1
        for one in held or [take(run)]:  # who came while the lock was taken away was told to wait
            one.release()


@pytest.mark.usefixtures("no_locks")
def test_who_comes_after_a_dead_one_s_lock_is_gone_and_before_the_next_is_there_takes_neither(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, looks = clrobot.runs.lock.look, []

    def seen(path: Path, now: float | None = None) -> Any:
        looks.append(path)
        if len(looks) != 2:
            return look(path, now)
        path.unlink()  # another has taken it away,
        assert look(path) is None
        note(run, 0, **ELSEWHERE)  # and makes its own right after this look
        return None

    note(run, STALE + 20, **ELSEWHERE)
    monkeypatch.setattr(clrobot.runs.lock, "look", seen)
    with pytest.raises(Busy):
        take(run)
    assert (run / LOCK).exists(), "the other still has it"


@pytest.mark.usefixtures("no_locks")
def test_one_who_died_while_taking_a_lock_over_hinders_nobody_for_long(run: Path) -> None:
    guard = run / clrobot.runs.lock._TAKING
    for age, waits in ((0, True), (120, False)):
        note(run, STALE + 20, **ELSEWHERE)
        guard.touch()
        os.utime(guard, (time.time() - age,) * 2)
        if waits:
            with pytest.raises(Busy):
                take(run)
            guard.unlink()
        else:
            take(run).release()


# The heartbeat ---------------------------------------------------------------------------------------------


def test_the_heartbeat_touches_the_note_and_changes_nothing(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert STALE >= 5 * BEAT, "a beat or two may be late"
    monkeypatch.setattr(clrobot.runs.lock, "BEAT", 0.01)
    held = take(run)
    content = (run / LOCK).read_bytes()
    os.utime(run / LOCK, (0, 0))
    end = time.monotonic() + 20
    while (run / LOCK).stat().st_mtime == 0 and time.monotonic() < end:
        time.sleep(0.01)
    assert abs((run / LOCK).stat().st_mtime - time.time()) < 60
    assert (run / LOCK).read_bytes() == content
    held.release()


def test_a_lock_that_was_taken_over_is_neither_touched_nor_removed(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was paused for hours goes on."""
    monkeypatch.setattr(clrobot.runs.lock, "BEAT", 0.01)
    held = take(run)
    content = json.loads((run / LOCK).read_text()) | ELSEWHERE
    (run / "new").write_text(json.dumps(content))
    os.utime(run / "new", (0, 0))
    (run / "new").replace(run / LOCK)
    looked = threading.Event()
    monkeypatch.setattr(held, "_is_mine", lambda: looked.set() or Held._is_mine(held))
    assert looked.wait(30)
    assert looked.clear() is None
    assert looked.wait(30), "once more, after whatever the first look led to"
    assert (run / LOCK).stat().st_mtime == 0
    held.release()
    assert json.loads((run / LOCK).read_text())["host"] == "node7"


@pytest.mark.parametrize("then", ["theirs", "gone", "half written"])
def test_a_lock_that_was_taken_over_is_known_to_be_lost_where_it_stands_alone(
    then: str, run: Path, request: pytest.FixtureRequest
) -> None:
    def taken_over() -> None:
        mine = json.loads((run / LOCK).read_text())
        (run / LOCK).unlink()
        if then != "gone":
            (run / LOCK).write_text(json.dumps(mine | ELSEWHERE) if then == "theirs" else "")

    held = take(run)
    taken_over()
    assert not held.lost, "the disk's lock holds, whatever the note says"
    check_held(run)
    held.release()
    (run / LOCK).unlink(missing_ok=True)
    request.getfixturevalue("no_locks")
    held = take(run)
    assert not held.lost
    check_held(run)
    taken_over()
    assert held.lost
    with pytest.raises(UserError, match=r"paused or cut off for more than 5 minutes, and .*run was taken over by "):
        check_held(run)
    held.release()
    check_held(run)


@pytest.mark.usefixtures("no_locks")
def test_a_disk_that_does_not_answer_has_taken_no_lock_away(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stale(*_: object, **__: object) -> bytes:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    held = take(run)
    with monkeypatch.context() as patch:
        patch.setattr(clrobot.runs.lock, "read_plain", stale)
        assert not held.lost
    held.release()


def test_where_the_disk_has_locks_one_can_be_held_without_a_thread(run: Path) -> None:
    held = hold((run / "config.yaml").open("rb"), run / LOCK, "the run", beats=False)
    assert heartbeats() == []
    assert (run / LOCK).exists()
    with pytest.raises(Busy, match=f"process {os.getpid()} on this machine"):
        take(run)
    held.release()
    assert not (run / LOCK).exists()


@pytest.mark.usefixtures("no_locks")
def test_where_it_has_none_the_heartbeat_cannot_be_left_out(run: Path) -> None:
    held = hold((run / "config.yaml").open("rb"), run / LOCK, "the run", beats=False)
    assert len(heartbeats()) == 1
    held.release()


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")
def test_a_forked_process_leaves_the_lock_to_its_parent(run: Path) -> None:
    held = take(run)
    child = multiprocessing.get_context("fork").Process(target=held.release)
    child.start()
    child.join(30)
    assert child.exitcode == 0
    assert (run / LOCK).exists()
    assert heartbeats() != []
    with pytest.raises(Busy):
        take(run)
    held.release()


def test_the_heartbeat_takes_no_signal_and_keeps_no_process(run: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from clrobot.runs.lock import LOCK, hold; run = Path(sys.argv[1]);"
        "held = hold((run / 'config.yaml').open('rb'), run / LOCK, 'it');"
        "print(*[next(l.split()[1] for l in p.read_text().splitlines() if l.startswith('SigBlk')) "
        "for p in sorted(Path('/proc/self/task').glob('*/status'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(run)], capture_output=True, text=True, timeout=60, check=True
    )
    blocked = [int(word, 16) for word in done.stdout.split()]
    assert len(blocked) == 2
    assert not blocked[0] >> (signal.SIGTERM - 1) & 1
    assert blocked[1] >> (signal.SIGTERM - 1) & 1
