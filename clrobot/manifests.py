"""Checksums of files: of a folder that is whole, and of files that still grow."""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from clrobot.errors import UserError
from clrobot.files import TEXT_LIMIT, atomic, read_plain

MANIFEST = "manifest.json"
# What is wrong with a file and not with this moment; None and the last two as `read_plain` has it of what it refuses.
_DAMAGE = {
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    None,
    errno.EINVAL,
    errno.EFBIG,
}
_PART = 2**20  # bytes read at a time
_MOST_FILES = 100  # that a manifest lists
_MOST_RECORDED = 2**28  # bytes of a file that still grows: as many as its reader takes at most


def is_damage(error: OSError) -> bool:
    """Return whether a file that cannot be read will not be there later either.

    What a disk, a network or this process's limits say for a while is no damage: what is taken for damaged is passed
    over, and what is passed over may be lost.
    """
    return error.errno in _DAMAGE


def write_manifest(folder: Path) -> None:
    """Write the SHA-256 of every file in `folder` to its `manifest.json`."""
    files = (path for path in sorted(folder.iterdir()) if path.is_file() and path.name != MANIFEST)
    sums = {path.name: checksum(path) for path in files}
    (folder / MANIFEST).write_text(json.dumps(sums, indent=2) + "\n", encoding="utf-8")


def check_manifest(folder: Path, sizes: Mapping[str, int], unread: str = "") -> str | None:
    """Return what is wrong with `folder`'s files, or None when every one is as its manifest says.

    Links are refused: what is read must lie in the folder. So is a manifest without the names of `sizes`: what it
    does not list is not checked. What is larger than it can be is refused unread.

    Args:
        folder: with a manifest.
        sizes: of each file that it must list, the most bytes; another file has as many as the largest at most.
        unread: a pattern of names whose files' content is not looked at.

    Raises:
        UserError: a file cannot be read here, or now, which is no damage.
    """
    manifest = folder / MANIFEST
    try:
        if folder.is_symlink() or manifest.is_symlink():
            return f"{folder} is or holds a link"
        sums = json.loads(read_plain(manifest))
        if not isinstance(sums, dict) or not sums:
            return f"{manifest} is damaged"
        if lacking := sorted(sizes.keys() - sums.keys()):
            return f"{manifest} is damaged (it does not list {lacking[0]})"
        if len(sums) > _MOST_FILES:
            raise ValueError(f"it lists {len(sums):,} files")
        most = max(sizes.values(), default=TEXT_LIMIT)
        for name, expected in sums.items():
            if (problem := _check_file(folder, name, expected, sizes.get(name, most), unread)) is not None:
                return problem
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, OSError) and not is_damage(error):
            raise _unreadable(error, folder) from error
        return f"{manifest} is missing or damaged ({error})"
    return None


def _check_file(folder: Path, name: str, expected: object, most: int, unread: str) -> str | None:
    path = folder / name
    if Path(name).name != name or name in ("", "..") or not name.isprintable():
        return f"{folder / MANIFEST} is damaged (it lists {name[:100]!r}, which cannot be one of its files)"
    if path.is_symlink() or not path.is_file():
        return f"{path} is missing or not a plain file"
    if (size := path.stat().st_size) > most:
        return f"{path} is damaged (it has {size:,} bytes, and {most:,} is the most that it can have)"
    if not fnmatchcase(name, unread) and checksum(path) != expected:
        return f"{path} is damaged (its checksum differs)"
    return None


def _unreadable(error: OSError, folder: Path) -> UserError:
    where = error.filename or folder  # of what is being read nothing is named
    if isinstance(error, PermissionError):
        return UserError(f"{where}: permission denied; ask its owner to let you read it (chmod a+r)")
    return UserError(
        f"{where}: {error.strerror}, which may pass; try again later, or move it elsewhere where it stays so"
    )


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_record(folder: Path, names: Collection[str]) -> None:
    """Write to `manifest.json` the length and SHA-256 of files that may still grow: what is there stays as it is."""
    sums = {}
    for name in names:
        size = (folder / name).stat().st_size
        sums[name] = {"bytes": size, "sha256": _checksum_of_start(folder / name, size)}
    with atomic(folder / MANIFEST) as file:
        file.write_text(json.dumps(sums, indent=2) + "\n", encoding="utf-8")


def check_record(folder: Path) -> str | None:
    """Return what is wrong with the files of `write_record`, or None (also for a folder that has no record).

    Raises:
        UserError: a file cannot be read here, or now, which is no damage.
    """
    if _record_problem(folder) is None:
        return None
    return _record_problem(folder)  # a stage's end writes file and record one after the other: by now it has


def grown_since(folder: Path) -> str | None:
    """Return which of the files of `write_record` has more in it than was recorded, or None.

    Call it of a folder whose record is right (`check_record`), and whose files grow no more.
    """
    try:
        recorded = json.loads(read_plain(folder / MANIFEST))
        return next((n for n, told in recorded.items() if (folder / n).stat().st_size > int(told["bytes"])), None)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _record_problem(folder: Path) -> str | None:
    manifest = folder / MANIFEST
    try:
        recorded = json.loads(read_plain(manifest))
        if len(recorded) > _MOST_FILES:
            return f"{manifest} is damaged (it lists {len(recorded):,} files)"
        for name, expected in recorded.items():
            path = folder / name
            if Path(name).name != name or not path.is_file() or path.is_symlink():
                return f"{path} is missing or not a plain file"
            found = _checksum_of_start(path, int(expected["bytes"]))
            if found is None or found != expected["sha256"]:
                return f"{path} is damaged (its checksum differs)"
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        if isinstance(error, OSError) and not is_damage(error):
            raise _unreadable(error, folder) from error
        return f"{manifest} is damaged ({type(error).__name__})"
    return None


def _checksum_of_start(path: Path, size: int) -> str | None:
    """Return the SHA-256 of a file's first `size` bytes; None where it has fewer, or they are too many to be read."""
    found = hashlib.sha256()
    if not 0 <= size <= min(path.stat().st_size, _MOST_RECORDED):
        return None
    with path.open("rb") as file:
        while size > 0 and (part := file.read(min(size, _PART))):
            found.update(part)
            size -= len(part)
    return found.hexdigest()
