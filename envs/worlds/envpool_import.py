"""EnvPool imported, with what it draws through, and whether its pictures can be had here.

EnvPool's renderer finds OpenGL only where the system's own EGL was loaded before EnvPool itself, and where it finds
none MuJoCo ends the whole process. So the library is loaded first, and the first picture is drawn by a process of its
own.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
from contextlib import suppress
from functools import cache
from importlib import import_module
from typing import Any, Final

from clrobot.errors import UserError, cut

INSTALL: Final = "pip install 'clrobot[envpool]'"
_LIBRARY: Final = "libEGL.so.1"
_REMEDY: Final = "give it an OpenGL that works (libegl1 and a driver, such as Mesa's)"
_SECONDS: Final = 120.0  # for a picture, EnvPool's import included
_SCRIPT: Final = f"""
import ctypes
ctypes.CDLL({_LIBRARY!r}, mode=ctypes.RTLD_GLOBAL)
import envpool
pool = envpool.make(
    "FetchReach-v4", env_type="gymnasium", num_envs=1, render_mode="rgb_array", render_width=16, render_height=16
)
pool.reset()
assert pool.render().shape == (1, 16, 16, 3)
print("drawn")
"""


_loaded: list[bool] = []  # whether OpenGL came before EnvPool, once it was asked for


def imported() -> Any:
    """Return EnvPool, with the OpenGL that it draws through loaded before it.

    Raises:
        UserError: it is there and cannot be imported, as on another processor, or with a library too old for it.
    """
    if not _loaded:
        _loaded.append("envpool" not in sys.modules)
        with suppress(OSError):
            ctypes.CDLL(_LIBRARY, mode=ctypes.RTLD_GLOBAL)
    try:
        return import_module("envpool")
    except (ImportError, OSError) as error:
        reason = cut(str(error).partition("\n")[0] or type(error).__name__, 200)
        raise UserError(
            f"EnvPool is installed and cannot be imported ({reason}); install it anew: {INSTALL}"
        ) from error


def why_not_imported() -> str | None:
    """Return a sentence that says why EnvPool, which is there, cannot be imported; or None."""
    try:
        imported()
    except UserError as error:
        return str(error)
    return None


@cache
def why_nothing_is_drawn() -> str | None:
    """Return why EnvPool draws nothing here and what to do, or None; the first answer takes some seconds."""
    try:
        ctypes.CDLL(_LIBRARY)
    except OSError:
        return f"EnvPool draws through EGL, and {_LIBRARY} is missing; {_REMEDY}"
    imported()
    if not _loaded[0]:
        return "EnvPool was imported before clrobot, which loads its OpenGL first; import clrobot first"
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", _SCRIPT], capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"EnvPool's renderer cannot be tried ({cut(type(error).__name__, 60)}); {_REMEDY}"
    if done.returncode == 0 and done.stdout.endswith("drawn\n"):
        return None
    said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    return f"EnvPool's renderer fails ({cut(said[-1] if said else f'exit code {done.returncode}', 160)}); {_REMEDY}"
