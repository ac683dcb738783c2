"""At which runs a process works now, of this machine or of another.

A process of another machine is known by its heartbeat, whose age is taken by this machine's clock. Where that differs
from the disk's by more than `STALE`, such a run is shown as stopped, or for so long as running. The disk's own time,
by which `clrobot.runs.lock` decides, can be had only by writing a file, and who looks writes nothing: the folder may
be somebody else's. The newest time in the folder does not stand for it, since where nobody works any more it would
make the last heartbeat one of just now, for ever. Only what is shown depends on this: no lock is taken by it.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from clrobot.runs.lock import LOCK, look

_LOCK = re.compile(r"^\d+: FLOCK .* ([0-9a-f]+):([0-9a-f]+):(\d+) \d+ \S+$", re.MULTILINE)


class Working:
    """What the kernel lists of locked files, read once; asking takes no lock, so that nobody is kept from one."""

    def __init__(self) -> None:
        self._now = time.time()
        try:
            listed = Path("/proc/locks").read_text(encoding="ascii")
        except OSError:
            listed = ""
        self._locked = {
            (os.makedev(int(major, 16), int(minor, 16)), int(inode)) for major, minor, inode in _LOCK.findall(listed)
        }

    def at(self, folder: Path) -> bool:
        """Return whether a process trains into a run's folder."""
        try:
            found = (folder / "config.yaml").stat()
        except OSError:
            return False
        if (found.st_dev, found.st_ino) in self._locked:
            return True
        elsewhere = look(folder / LOCK, self._now)
        return elsewhere is not None and elsewhere.lives
