"""Which commit of clrobot this is, where it is used from its repository."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).resolve().parent.parent


@cache
def source_commit() -> str:
    """Return twelve digits of the commit, with `-dirty` where files differ from it; nothing where there is none.

    Installed among other packages clrobot has no repository, and somebody else's around it is not asked.
    """
    if not (_ROOT / ".git").exists():
        return ""
    command = ["git", "-C", str(_ROOT), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
