"""Which OpenGL MuJoCo may use: chosen before MuJoCo is first imported, which reads the setting once.

`import mujoco` itself raises where `MUJOCO_GL` names a library that the machine lacks, and draws nothing
without a screen where it names none. So the libraries are looked for first, without importing MuJoCo. Without
any, OpenGL is switched off and pictures are made by casting rays (`clrobot.envs.rendering`).
"""

from __future__ import annotations

import ctypes
import logging
import os
import sys
from typing import Final

# The backends that draw without a screen: every group of libraries needs one member that loads.
_LIBRARIES: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    "egl": (("EGL",), ("OpenGL", "GL")),
    "osmesa": (("OSMesa",),),
}
_OFF: Final = ("disable", "disabled", "off", "false", "0")
_WINDOWED: Final = ("glfw", "glx", "enable", "enabled", "on", "true", "1")

_ELSEWHERE: Final = {"win32": ("wgl",), "darwin": ("cgl",)}.get(sys.platform, ())

_log = logging.getLogger(__name__)
_problem: str | None = None  # why choose_gl switched OpenGL off


def choose_gl() -> str | None:
    """Settle `MUJOCO_GL` (and `PYOPENGL_PLATFORM`) for this process; call before `import mujoco`.

    What the user set is kept wherever it can work: `glfw` needs a screen, `egl` and `osmesa` their libraries;
    an `egl` or `osmesa` that cannot work is switched off. Where nothing usable was asked for, EGL is taken,
    else OSMesa, else OpenGL is switched off. `gl_problem` says why it is off. Changes nothing on macOS and
    Windows, where MuJoCo's own default works, and nothing once MuJoCo is imported.

    Returns:
        "egl", "osmesa" or "glfw"; None when OpenGL is off or the choice is left to MuJoCo.
    """
    asked = os.environ.get("MUJOCO_GL", "").lower().strip()
    if "mujoco" not in sys.modules and asked not in (*_OFF, *_WINDOWED, *_LIBRARIES, *_ELSEWHERE, ""):
        _switch_off(f"MUJOCO_GL={asked[:60]!r} is nothing that MuJoCo knows; expected egl, osmesa, glfw or disable")
        return None
    if "mujoco" in sys.modules or asked in _OFF or not sys.platform.startswith("linux"):
        return _in_force(asked)
    if asked in _WINDOWED and has_screen():
        return "glfw"
    return _first_usable([asked] if asked in _LIBRARIES else list(_LIBRARIES))


def gl_problem() -> str | None:
    """Return one sentence on why OpenGL cannot be used in this process, or None when it may be tried."""
    if _problem is not None:
        return _problem
    asked = os.environ.get("MUJOCO_GL", "").lower().strip()
    if asked in _OFF:
        return f"MUJOCO_GL={asked} switches OpenGL off"
    if sys.platform.startswith("linux") and asked not in _LIBRARIES and not has_screen():
        return "mujoco was imported before clrobot.envs could choose an OpenGL, and there is no screen"
    return None


def has_screen() -> bool:
    """Return whether a window could be opened (X11 or Wayland; always so on macOS and Windows)."""
    if not sys.platform.startswith("linux"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _in_force(asked: str) -> str | None:
    if asked in _LIBRARIES:
        return asked
    return "glfw" if asked in _WINDOWED and has_screen() else None


def _switch_off(problem: str) -> None:
    """Switch OpenGL off, and say why: `import mujoco` would raise."""
    global _problem  # noqa: PLW0603 -- as below
    _problem = problem
    _log.warning("%s; pictures are drawn without OpenGL", problem)
    os.environ["MUJOCO_GL"] = "disable"


def _first_usable(backends: list[str]) -> str | None:
    """Put the first of `backends` whose libraries load into force, or else switch OpenGL off."""
    global _problem  # noqa: PLW0603 -- MuJoCo's setting is one per process, and so is the reason for it
    missing = []
    for backend in backends:
        lacks = _missing_library(backend)
        if lacks is None:
            os.environ["MUJOCO_GL"] = backend
            # MuJoCo refuses to be imported where PyOpenGL was told another platform than it was itself.
            os.environ["PYOPENGL_PLATFORM"] = backend
            return backend
        missing.append(f"{backend} needs {lacks}")
    _problem = f"no OpenGL that draws without a screen ({'; '.join(missing)})"
    os.environ["MUJOCO_GL"] = "disable"
    return None


def _missing_library(backend: str) -> str | None:
    """Return the first library that `backend` lacks ("libEGL"), or None."""
    for group in _LIBRARIES[backend]:
        if not any(_loads(name) for name in group):
            return " or ".join(f"lib{name}" for name in group)
    return None


def _loads(name: str) -> bool:
    """Return whether PyOpenGL will find library `name`: it tries these file names and never asks ldconfig."""
    for suffix in ("", *(f".{version}" for version in range(10))):
        try:
            ctypes.CDLL(f"lib{name}.so{suffix}")
        except OSError:
            continue
        return True
    return False
