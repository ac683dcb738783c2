"""Where GLFW's library is, said to those who do not find it themselves."""

from __future__ import annotations

import glob
import os
from importlib.util import find_spec
from pathlib import Path


def name_glfw_library() -> None:
    """Name the library that comes with the package `glfw`, where the package cannot find it.

    Gymnasium's MuJoCo environments import `glfw` even when nothing is drawn. It looks for its library with its own
    folder as a pattern, so that in a folder whose name has a bracket it finds none and cannot be imported.
    """
    spec = find_spec("glfw")
    if spec is None or spec.origin is None or os.environ.get("PYGLFW_LIBRARY"):
        return
    folder = Path(spec.origin).parent
    if glob.escape(str(folder)) == str(folder):
        return
    variant = "wayland" if os.environ.get("XDG_SESSION_TYPE") == "wayland" else "x11"
    for library in sorted((folder / variant).glob("libglfw.so*")):
        os.environ["PYGLFW_LIBRARY"] = str(library)
        return
