"""The file to which a run's process writes: opened as a plain file of its own name, and read at its end."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import IO

from clrobot.errors import UserError, cut

_TAIL = 4096  # bytes of a log, of which the last line is shown


def open_own(path: Path) -> IO[bytes]:
    """Open a log to be read and written at its end: a plain file of this name alone, since a link leads elsewhere.

    Raises:
        UserError: something else is there.
    """
    wrong = UserError(f"{path} is a link or no plain file; move it elsewhere: a run's process writes its log there")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise wrong from error
        raise
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(descriptor)
        raise wrong
    return os.fdopen(descriptor, "r+b", buffering=0)


def last_line(log: IO[bytes]) -> str | None:
    """Return the last line of a log, or None where it holds none."""
    log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL))
    lines = log.read(_TAIL).decode("utf-8", errors="replace").strip().splitlines()
    return cut(lines[-1], 300) if lines else None
