"""Who works in a folder now: the disk's own lock, and a file beside it with its holder's name and heartbeat.

Where the disk has locks, its lock decides, and the file says who has it. Where it has none (Lustre, NFS, FUSE as they
may be mounted) the file decides: its holder touches it every `BEAT` seconds, and one that nobody has touched for
`STALE` was left by a process or a machine that is no more. Both times are the disk's own, so that no machine's clock
matters: the file's, and that of another file that is written now.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import tempfile
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, NamedTuple

from pydantic import ValidationError

from clrobot.errors import Busy, UserError, cut, warn
from clrobot.files import read_plain
from clrobot.runs.holder import Holder, is_there, this_process

BEAT = 30.0  # seconds between two signs of life
STALE = 300.0  # seconds without one, after which a holder is taken for dead
LOCK = "lock.json"

_LIMIT = 4096  # bytes of a lock's file; it has 250
_TAKING = ".clrobot-taking.tmp"  # only its maker takes a dead one's lock away
_TAKEN_FOR = 60.0  # seconds, after which that maker died meanwhile

# Where it was said in this process that the disk has no locks: once for all the runs of a study.
_SAID: set[Path] = set()

# What this process holds by its file alone, by that file.
_BY_FILE: dict[Path, Held] = {}


class _Found(NamedTuple):
    """A lock's file: its holder (None: it cannot be read), and the seconds since it was touched."""

    holder: Holder | None
    silent: float

    @property
    def lives(self) -> bool:
        """Whether the holder is at work: on this machine its process says so, elsewhere its heartbeat."""
        if self.holder is not None and (there := is_there(self.holder)) is not None:
            return there
        return abs(self.silent) < STALE  # nobody who lives touches it in the future

    def __str__(self) -> str:
        if self.holder is None:
            return "somebody whose lock cannot be read"
        here = self.holder.host == socket.gethostname()
        where = "this machine" if here else f"another machine, {cut(self.holder.host, 60)},"
        since = datetime.fromtimestamp(self.holder.since, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        return f"process {self.holder.pid} on {where} since {since}, last heard of {_ago(self.silent)} ago"


class Held:
    """A lock that this process holds, until `release`.

    Attributes:
        file: that is locked.
        alone: whether the disk has no locks, so that the note alone keeps others out.
    """

    def __init__(
        self, file: IO[bytes], note: Path, holder: Holder, *, noted: bool, beats: bool = True, alone: bool = False
    ) -> None:
        self.file = file
        self._note, self._holder, self._noted = note.absolute(), holder, noted
        self._done = threading.Event()
        self._thread: threading.Thread | None = None
        self.alone = alone and noted
        if self.alone:
            _BY_FILE[_key(self._note)] = self
        if noted and beats:
            self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
            self._thread.start()

    def release(self) -> None:
        """Let others have it; in a process that was forked meanwhile the lock stays its parent's."""
        if self._holder.pid == os.getpid():
            self._done.set()
            if self.alone:
                _BY_FILE.pop(_key(self._note), None)
            if self._thread is not None:
                self._thread.join()
            if self._noted and self._is_mine():
                with suppress(OSError):
                    self._note.unlink()
        self.file.close()

    @property
    def lost(self) -> bool:
        """Whether another took this over, such as while this process was paused: never from a disk that has locks."""
        if not self.alone:
            return False
        try:
            return Holder.model_validate_json(read_plain(self._note, _LIMIT, follow=False)) != self._holder
        except (FileNotFoundError, ValidationError):  # let go again, or being written
            return True
        except OSError:  # the disk does not answer
            return False

    def _is_mine(self) -> bool:
        return _read(self._note) == self._holder

    def _beat(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # they are the main thread's
        while not self._done.wait(BEAT):
            with suppress(OSError):
                if self._is_mine():  # paused for long, this process may have been taken for dead
                    os.utime(self._note)


def hold(file: IO[bytes], note: Path, what: str, *, beats: bool = True) -> Held:
    """Lock an open file for this process, and write beside it who holds it.

    Args:
        file: is closed when the lock is released, and here if another has it.
        note: the file that says who.
        what: that is locked, for a sentence.
        beats: whether the file is touched too where the disk's own lock decides, for those on other machines who ask.

    Raises:
        Busy: another process has it, or did a moment ago on a machine that cannot be asked.
    """
    mine = this_process()
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise _busy(what, look(note)) from error
    except OSError as error:
        try:
            noted = _hold_without(note, mine, what, error)
        except Busy:
            file.close()
            raise
        return Held(file, note, mine, noted=noted, alone=True)
    return Held(file, note, mine, noted=_note_down(note, mine, what), beats=beats)


def is_held(file: IO[bytes], note: Path) -> bool:
    """Return whether another process has a lock; nothing is written, and the file is closed.

    Where the disk has locks it is taken for a moment: who asks for it just then is told that another has it.

    Args:
        file: open, as `hold` takes it.
        note: the file that says who.
    """
    if _key(note) in _BY_FILE:
        file.close()
        return True
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return (found := look(note)) is not None and found.lives
        return False


def check_held(folder: Path) -> None:
    """Raise UserError if this process locked a run's folder and another took it over: it must write nothing more.

    A process asks this right before it writes. That it is paused between the two remains possible.
    """
    note = folder / LOCK
    held = _BY_FILE.get(_key(note))
    if held is not None and held.lost:
        raise UserError(
            f"this process was paused or cut off for more than {STALE / 60:.0f} minutes, and {folder} was taken over "
            f"by {look(note) or 'another, which has ended'}; this one writes nothing more: leave the run to the other"
        )


def look(note: Path, now: float | None = None) -> _Found | None:
    """Return who holds a lock and how long ago its file was touched, or None where nobody does.

    Args:
        note: the lock's file.
        now: the time, in seconds since 1970; None: the disk's own, for which a file is written beside the lock's.
    """
    try:
        touched = note.lstat().st_mtime
    except OSError:
        return None
    return _Found(_read(note), (_now(note.parent) if now is None else now) - touched)


def _key(note: Path) -> Path:
    return note.absolute().parent.resolve() / note.name


def _read(note: Path) -> Holder | None:
    try:
        return Holder.model_validate_json(read_plain(note, _LIMIT, follow=False))
    except (OSError, ValidationError):
        return None


def _note_down(note: Path, mine: Holder, what: str) -> bool:
    """Write who has the disk's lock; return whether that could be done: the lock holds without it."""
    found = look(note)
    if found is not None and found.holder is not None and found.holder.host != mine.host and found.lives:
        # Killed just now, or the disk's locks are each machine's own, which this machine cannot know.
        warn(f"{what} was just worked in by {found}; if it still runs, stop it, or stop this")
    try:
        note.unlink(missing_ok=True)
        return _create(note, mine)
    except OSError:  # such as a full disk, or one that may only be read
        return False


def _hold_without(note: Path, mine: Holder, what: str, reason: OSError) -> bool:
    """Hold a lock by its file alone; False, and a warning, where no file can be written either.

    Raises:
        Busy: another process has it.
    """
    try:
        found = look(note)
        if found is not None:
            if found.lives:
                raise _busy(what, found)
            _take_away(note, found, what)
        if not _create(note, mine):
            raise _busy(what, look(note))
    except OSError:
        warn(f"{what} cannot be locked here ({reason.strerror}): let no other process work in it")
        return False
    if (place := note.absolute().parent.parent) not in _SAID:
        _SAID.add(place)
        warn(f"{what} cannot be locked here ({reason.strerror}): others are kept out by {note.name} alone")
    return True


def _take_away(note: Path, dead: _Found, what: str) -> None:
    """Remove the lock of a process that is no more; of several that would, one does."""
    guard = note.with_name(_TAKING)
    with suppress(OSError):
        if abs(_now(note.parent) - guard.lstat().st_mtime) > _TAKEN_FOR:
            guard.unlink()
    try:
        os.close(os.open(guard, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    except FileExistsError:
        raise _busy(what, None) from None
    try:
        found = look(note)
        if found is not None:  # else another was quicker, and what lies there by now would be its own
            if found.lives or found.holder != dead.holder:
                raise _busy(what, found)
            note.unlink(missing_ok=True)
    finally:
        guard.unlink(missing_ok=True)
    if dead.holder is None or is_there(dead.holder) is None:  # a guess, however good
        warn(f"{what} was held by {dead}; it is taken for dead, and its lock taken over")


def _create(note: Path, mine: Holder) -> bool:
    """Write a lock's file; False where there is one."""
    try:
        descriptor = os.open(note, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return False
    try:
        os.write(descriptor, f"{mine.model_dump_json()}\n".encode())
    except OSError:
        note.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    return True


def _busy(what: str, found: _Found | None) -> Busy:
    who = "" if found is None else f": {found}"
    return Busy(f"another process is training into {what}{who}; wait for it, or stop it first")


def _ago(seconds: float) -> str:
    return f"{max(0, seconds):.0f} s" if seconds < 120 else f"{seconds / 60:,.0f} minutes"


def _now(folder: Path) -> float:
    """Return the time of the disk's own clock, which dates its files."""
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            return os.fstat(probe.fileno()).st_mtime
    except OSError:
        return time.time()
