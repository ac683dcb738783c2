"""Writing files so that a reader never sees half of one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
            _remove(path)  # a folder cannot be renamed onto one that holds something
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
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
