"""Triton, which torch's builds for graphics cards bring, before OpenGL.

Mesa draws in software by LLVM, and triton has an LLVM of its own inside. Where triton comes first both work; where
Mesa does, loading triton ends the process, and torch's compiler loads it, perhaps hours into a training that made a
film.
"""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module


def load_triton() -> None:
    """Load triton, if it is installed; call before OpenGL is first used. Torch itself is not loaded."""
    with suppress(ImportError):
        import_module("triton")
