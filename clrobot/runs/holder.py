"""A process as others can tell it: on this machine the kernel says whether it still runs."""

from __future__ import annotations

import os
import secrets
import socket
import time
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

_YEAR_10000 = 253_402_300_799  # in seconds since 1970

_Word = Annotated[str, Field(max_length=255)]


class Holder(BaseModel):
    """Who holds a lock, as its file says.

    Attributes:
        host: the machine's name.
        boot: of that machine, with the process's name space: where it is the same, its process ids can be asked for.
        pid: of the process.
        began: when the process began, in the kernel's own count: another process may have its id later.
        since: when it took the lock, in seconds since 1970.
        mark: no two locks have the same.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    host: _Word
    boot: _Word
    pid: Annotated[int, Field(ge=1, lt=2**31)]
    began: _Word
    since: Annotated[float, Field(ge=0, le=_YEAR_10000)]
    mark: _Word


def this_process() -> Holder:
    """Return this one, as of now."""
    pid = os.getpid()
    return Holder(
        host=socket.gethostname()[:255],
        boot=_boot(),
        pid=pid,
        began=_began(pid) or "",
        since=time.time(),
        mark=secrets.token_hex(8),
    )


def _boot() -> str:
    """Return what only processes that see each other share, or nothing where that cannot be known."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _began(pid: int) -> str | None:
    """Return when a process began, in the kernel's ticks; None if there is none, or it only waits to be buried."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def is_there(holder: Holder) -> bool | None:
    """Return whether a lock's holder runs, or None where this process cannot see it."""
    if not holder.boot or (holder.host, holder.boot) != (socket.gethostname(), _boot()):
        return None
    return _began(holder.pid) == holder.began
