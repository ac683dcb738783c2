"""Pictures of simulations, with OpenGL or without."""

from __future__ import annotations

import logging
import os
from typing import Final

import mujoco

from clrobot.envs.rendering.base import Image, Renderer
from clrobot.envs.rendering.opengl import GLRenderer
from clrobot.envs.rendering.raycast import RaycastRenderer
from clrobot.errors import RenderError

__all__ = [
    "BACKENDS",
    "ENVIRONMENT",
    "GLRenderer",
    "Image",
    "RaycastRenderer",
    "RenderError",
    "Renderer",
    "open_renderer",
]

BACKENDS: Final = ("auto", "gl", "raycast")
ENVIRONMENT: Final = "CLROBOT_RENDER"  # one of BACKENDS; decides where the caller left the choice open

_log = logging.getLogger(__name__)


def default_backend() -> str:
    """Return what the environment variable CLROBOT_RENDER asks for, or "auto".

    Raises:
        RenderError: it names no backend.
    """
    asked = os.environ.get(ENVIRONMENT, "").strip().lower() or "auto"
    if asked not in BACKENDS:
        raise RenderError(f"{ENVIRONMENT}={asked!r}; expected one of {', '.join(BACKENDS)}")
    return asked


def open_renderer(
    model: mujoco.MjModel,
    width: int = 480,
    height: int = 480,
    camera: str | int = "film",
    backend: str = "auto",
) -> Renderer:
    """Open a renderer for the states of `model`; use it as a context manager, or close it.

    Args:
        model: what the states belong to; it is copied, never changed.
        width: of the pictures, in pixels.
        height: of the pictures, in pixels.
        camera: a camera's name or number in the model; -1 is MuJoCo's free camera.
        backend: "gl", "raycast", or "auto": what the variable CLROBOT_RENDER says, else OpenGL where it
            works, else rays.

    Raises:
        ValueError: an unknown backend or camera, or a size below one pixel.
        RenderError: the backend asked for cannot work here.
    """
    asked = default_backend() if backend == "auto" else backend
    if asked not in BACKENDS:
        raise ValueError(f"backend={asked!r}; expected one of {', '.join(BACKENDS)}")
    if asked == "raycast":
        return RaycastRenderer(model, width, height, camera)
    if asked == "gl":
        return GLRenderer(model, width, height, camera)
    try:
        return GLRenderer(model, width, height, camera)
    except RenderError as error:
        _log.info("%s; casting rays instead", error)
        return RaycastRenderer(model, width, height, camera)
