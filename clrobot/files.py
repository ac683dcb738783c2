"""Writing files so that a reader never sees half of one."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from clrobot.errors import UserError


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path` (a file or a folder), flushed and renamed to it at the end."""
    temporary = path.with_name(f".{path.name}.tmp")
    _remove(temporary)
    try:
        yield temporary
        for part in [temporary, *temporary.rglob("*")] if temporary.is_dir() else [temporary]:
            _flush(part)
        if temporary.is_dir() and path.is_dir():
            # A folder cannot be renamed onto one that holds something: the old one steps aside first.
            old = path.with_name(f".{path.name}.old")
            _remove(old)
            path.replace(old)
            temporary.replace(path)
            _remove(old)
        else:
            temporary.replace(path)
        _flush(path.parent)
    except BaseException:
        _remove(temporary)
        raise


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


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


def read_plain(path: Path, most: int) -> bytes:
    """Return the content of a file that is expected to have at most `most` bytes.

    Raises:
        UserError: it cannot be read, is a link, a pipe or a device, or is larger.
    """
    try:
        # A pipe would wait for a writer; a link would lead elsewhere.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise UserError(f"{path} is not a plain file; put the file back that the training wrote")
            if found.st_size > most:
                raise UserError(
                    f"{path} has {found.st_size:,} bytes, and at most {most:,} are read; restore the file"
                )
            return file.read(most)
    except OSError as error:
        reason = "it is a link" if error.errno == errno.ELOOP else error.strerror
        raise UserError(f"cannot read {path}: {reason}; restore the file") from None


MANIFEST = "manifest.json"


def write_manifest(folder: Path) -> None:
    """Write the SHA-256 of every file in `folder` to its `manifest.json`."""
    sums = {path.name: checksum(path) for path in sorted(folder.iterdir()) if path.name != MANIFEST}
    (folder / MANIFEST).write_text(json.dumps(sums, indent=2) + "\n", encoding="utf-8")


def check_manifest(folder: Path, needed: Collection[str]) -> str | None:
    """Return what is wrong with `folder`'s files, or None when every one is as its manifest says.

    Links are refused: what is read must lie in the folder. So is a manifest without the `needed` names: what it
    does not list is not checked.
    """
    manifest = folder / MANIFEST
    try:
        if folder.is_symlink() or manifest.is_symlink():
            return f"{folder} is or holds a link"
        sums = json.loads(manifest.read_text(encoding="utf-8"))
        if not isinstance(sums, dict) or not sums:
            return f"{manifest} is damaged"
        if lacking := sorted(set(needed) - sums.keys()):
            return f"{manifest} is damaged (it does not list {lacking[0]})"
        for name, expected in sums.items():
            if (problem := _check_file(folder, name, expected)) is not None:
                return problem
    except (OSError, ValueError, RecursionError) as error:
        return f"{manifest} is missing or damaged ({error})"
    return None


def _check_file(folder: Path, name: str, expected: object) -> str | None:
    path = folder / name
    if Path(name).name != name or name in ("", "..") or not name.isprintable():
        return f"{folder / MANIFEST} is damaged (it lists {name[:100]!r}, which cannot be one of its files)"
    if path.is_symlink() or not path.is_file():
        return f"{path} is missing or not a plain file"
    if checksum(path) != expected:
        return f"{path} is damaged (its checksum differs)"
    return None


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_record(folder: Path, names: Collection[str]) -> None:
    """Write to `manifest.json` the length and SHA-256 of files that may still grow: what is there stays as it is."""
    sums = {}
    for name in names:
        content = (folder / name).read_bytes()
        sums[name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    with atomic(folder / MANIFEST) as file:
        file.write_text(json.dumps(sums, indent=2) + "\n", encoding="utf-8")


def check_record(folder: Path) -> str | None:
    """Return what is wrong with the files of `write_record`, or None (also for a folder that has no record)."""
    manifest = folder / MANIFEST
    if not manifest.exists():
        return None
    try:
        for name, expected in json.loads(manifest.read_text(encoding="utf-8")).items():
            path = folder / name
            if Path(name).name != name or not path.is_file() or path.is_symlink():
                return f"{path} is missing or not a plain file"
            with path.open("rb") as file:
                content = file.read(int(expected["bytes"]))
            if hashlib.sha256(content).hexdigest() != expected["sha256"]:
                return f"{path} is damaged (its checksum differs)"
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        return f"{manifest} is damaged ({type(error).__name__})"
    return None
