"""Files: written so that a reader never sees half of one, read with a limit, and checked by their checksums."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from clrobot.errors import UserError, cut

_PREFIX, _SUFFIX = ".clrobot-", ".tmp"
_LEFT_OVER = 3600.0  # seconds after which what nobody holds was left by a process that was killed

# What a disk says that cannot do what is asked of it, though all is written: flush a folder, or lock one.
_NOT_HERE = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF, errno.ENOLCK}

# And what one says that gives no file a second name.
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}


def at_home(path: Path) -> Path:
    """Return a path of the user's with a leading `~` as the home folder: a shell leaves it in `--out=~/runs`.

    Raises:
        UserError: whoever runs this has no home folder, as in a container.
    """
    try:
        return path.expanduser() if path.parts[:1] == ("~",) else path
    except RuntimeError:
        raise UserError(f"{cut(str(path))}: there is no home folder here; give the whole path, or set HOME") from None


@contextmanager
def atomic(path: Path, *, replace: bool = True) -> Iterator[Path]:
    """Yield a name of its own for what becomes `path` (a file or a folder), flushed and renamed to it at the end.

    The name lies in a new folder beside `path`, so two writers never meet, and nothing that was there is touched: a
    link at `path` is replaced and not followed. Everything written has the permissions that the umask gives. When
    anything fails, `path` is as it was.

    Args:
        path: of the file or the folder.
        replace: whether it takes the place of what is there; else only that of an empty folder.

    Raises:
        FileExistsError: it is not to replace what another process has put there.
        OSError: something cannot be written; it names `path`.
    """
    path = at_home(path)
    try:
        with _own_folder(path.parent) as own:
            temporary = own / path.name
            yield temporary
            _finish(temporary, usual_mode(own))
            if replace:
                _put(temporary, path, own)
            else:
                _put_new(temporary, path)
            _flush(path.parent)
    except shutil.Error as error:  # of copytree: a list of (from, to, reason)
        number = re.match(r"\[Errno (\d+)\]", str(error.args[0][0][2]))
        code = int(number[1]) if number else errno.EIO
        raise OSError(code, os.strerror(code), str(path)) from error
    except OSError as error:
        if error.filename is not None and _PREFIX not in str(error.filename):
            raise
        # A full disk names no file, and the one that it happened to is gone.
        raise OSError(error.errno or errno.EIO, error.strerror or str(error), str(path)) from error


@contextmanager
def _own_folder(parent: Path) -> Iterator[Path]:
    """Make a folder that no other process has, locked while it is used, and remove it at the end."""
    _remove_left_overs(parent)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, suffix=_SUFFIX, dir=parent))
        descriptor = os.open(folder, os.O_RDONLY)
        _lock(descriptor)
        if folder.exists():  # it was not taken for a left-over before it was locked
            break
        os.close(descriptor)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def is_left_over(entry: Path) -> bool:
    """Return whether this is what a writer uses, or one that was killed left behind: it holds nothing of a user's."""
    return entry.name.startswith(_PREFIX) and entry.name.endswith(_SUFFIX)


def _remove_left_overs(parent: Path) -> None:
    """Remove what processes left that were killed while they wrote."""
    before = time.time() - _LEFT_OVER
    for folder in parent.glob(f"{_PREFIX}*{_SUFFIX}"):
        with suppress(OSError):
            if folder.lstat().st_mtime > before:
                continue
            descriptor = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY)
            try:
                if _lock(descriptor, fcntl.LOCK_NB):
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)


def _lock(descriptor: int, how: int = 0) -> bool:
    """Lock a folder for as long as it is open here; False where another process has it or the disk has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | how)
    except OSError:
        return False
    return True


def usual_mode(folder: Path) -> int:
    """Return the permissions that a new file gets here; the umask can be read in no other way beside threads."""
    probe = folder / ".probe"
    descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        return stat.S_IMODE(os.fstat(descriptor).st_mode)
    finally:
        os.close(descriptor)
        probe.unlink()


def _finish(path: Path, mode: int) -> None:
    """Give a file, or a folder and all in it, the usual permissions, and flush it to the disk.

    safetensors writes files that only their owner can read, and copies of what is read-only are read-only.
    """
    for part in [path, *path.rglob("*")] if path.is_dir() else [path]:
        if part.is_symlink():
            continue
        # Who may read a folder's names may also reach what they name.
        wanted = mode | (mode & 0o444) >> 2 if part.is_dir() else mode
        if stat.S_IMODE(part.stat().st_mode) != wanted:
            with suppress(OSError):  # a disk without permissions
                part.chmod(wanted)
        _flush(part)


def _put(temporary: Path, path: Path, own: Path) -> None:
    old = own / "old"
    if temporary.is_dir() and path.is_symlink():
        path.unlink()
    elif temporary.is_dir() and path.is_dir():
        # A folder cannot be renamed onto one that holds something: the old one steps aside first.
        with suppress(FileNotFoundError):  # another writer has moved it
            path.replace(old)
    try:
        temporary.replace(path)
    except BaseException as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOTEMPTY, errno.EEXIST) and temporary.is_dir():
            _put(temporary, path, Path(tempfile.mkdtemp(dir=own)))  # another writer's came in between, whole
            return
        if old.exists() and not path.exists():
            old.replace(path)
        raise


def _put_new(temporary: Path, path: Path) -> None:
    """Rename a folder, or link a file, to where nothing is: the system refuses what would replace something."""
    try:
        if temporary.is_dir():
            temporary.rename(path)
            return
        os.link(temporary, path)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR) or path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from error
        if temporary.is_dir() or error.errno not in _NO_LINKS:
            raise
        temporary.rename(path)  # on a disk without links: as nearly as it can be done


def _flush(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:
        return  # a folder in which one may write and not look
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NOT_HERE:
            raise
    finally:
        os.close(descriptor)


TEXT_LIMIT = 2**20


def read_plain(path: Path, limit: int = TEXT_LIMIT, *, follow: bool = True) -> bytes:
    """Return the content of a plain file of at most `limit` bytes; a pipe is not waited for, a device not drained.

    Args:
        path: of the file.
        limit: bytes.
        follow: whether it may be a link to such a file.

    Raises:
        OSError: there is none, it cannot be read, is no plain file or larger; `strerror` says which.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
    descriptor = os.open(at_home(path), flags | (0 if follow else os.O_NOFOLLOW))
    try:
        found = os.fstat(descriptor)
        kind = found.st_mode
        if stat.S_ISDIR(kind):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(kind):
            raise OSError(errno.EINVAL, "not a plain file", str(path))
        if found.st_size > limit:  # refused unread
            raise OSError(errno.EFBIG, f"larger than {limit:,} bytes", str(path))
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(limit + 1) or b""
    finally:
        os.close(descriptor)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"larger than {limit:,} bytes", str(path))
    return content


def find_stray(folder: Path) -> Path | None:
    """Return something below `folder` that is neither a plain file nor a folder: a link would lead out of it."""
    for parent, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = Path(parent, name)
            try:
                mode = path.lstat().st_mode
            except FileNotFoundError:  # a training has just renamed it
                continue
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                return path
    return None


def read_own(path: Path, most: int) -> bytes:
    """Return the content of a run's own file, which is expected to have at most `most` bytes.

    Raises:
        UserError: it cannot be read, is a link, a pipe or a device, or is larger.
    """
    try:
        return read_plain(path, most, follow=False)
    except OSError as error:
        reason = "it is a link" if error.errno == errno.ELOOP else error.strerror
        raise UserError(f"cannot read {path}: {reason}; restore the file") from None
