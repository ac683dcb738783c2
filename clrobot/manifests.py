"""Checksums of files: of a folder that is whole, and of files that still grow."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from clrobot.errors import UserError
from clrobot.files import TEXT_LIMIT, atomic, read_plain

MANIFEST = "manifest.json"
_PART = 2**20  # bytes read at a time
_MOST_FILES = 100  # that a manifest lists
_MOST_RECORDED = 2**28  # bytes of a file that still grows: as many as its reader takes at most


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
        UserError: a file may not be read here, which is no damage.
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
    except PermissionError as error:
        raise _unreadable(error) from error
    except (OSError, ValueError, RecursionError) as error:
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


def _unreadable(error: PermissionError) -> UserError:
    return UserError(f"{error.filename}: permission denied; ask its owner to let you read it (chmod a+r)")


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
        UserError: a file may not be read here, which is no damage.
    """
    manifest = folder / MANIFEST
    if not manifest.exists():
        return None
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
    except PermissionError as error:
        raise _unreadable(error) from error
    except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
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
