"""Pictures of simulation states: with OpenGL where there is one, else by casting rays, which needs only pip.

Both renderers draw the same models with the same camera, lights and shadows, so that a film looks alike wherever
it is made.
"""

from __future__ import annotations

import logging
import os
from typing import Final

import mujoco
from numpy.typing import ArrayLike

from clrobot.envs.gl import gl_problem
from clrobot.envs.raycast import RaycastRenderer
from clrobot.envs.renderer import Image, Renderer, RenderError, place, smooth

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

# In software these decide the cost. At MuJoCo's defaults (a larger shadow map, reflections, 28 slices) a
# frame takes three times as long and looks the same at film sizes; without shadows things seem to float.
# Multisampling would take more time than all else, and leave the edges of shadows ragged: see `smooth`.
GL_SAMPLES: Final = 0
GL_SHADOW_MAP: Final = 768  # pixels along a side
GL_SLICES, GL_STACKS, GL_QUADS = 20, 10, 1  # facets of round geoms, and of a box's side

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


class GLRenderer(Renderer):
    """MuJoCo's own OpenGL renderer, set for software rasterisers.

    One OpenGL context belongs to one thread: draw where the renderer was opened.
    """

    backend = "gl"

    def __init__(
        self, model: mujoco.MjModel, width: int = 480, height: int = 480, camera: str | int = "film"
    ) -> None:
        super().__init__(model, width, height, camera)
        problem = gl_problem()
        if problem is not None:
            raise RenderError(f"cannot draw with OpenGL: {problem}")
        size, quality = self._model.vis.global_, self._model.vis.quality
        size.offwidth, size.offheight = max(width, size.offwidth), max(height, size.offheight)
        quality.offsamples, quality.shadowsize = GL_SAMPLES, GL_SHADOW_MAP
        quality.numslices, quality.numstacks, quality.numquads = GL_SLICES, GL_STACKS, GL_QUADS
        self._data = mujoco.MjData(self._model)
        try:
            self._gl = mujoco.Renderer(self._model, height, width, max_geom=2 * model.ngeom + 200)
        except Exception as error:  # each backend fails with its own: ImportError, RuntimeError, GLError, FatalError
            raise RenderError(f"cannot draw with OpenGL: {error}") from error

    def frame(self, state: ArrayLike) -> Image:  # noqa: D102 -- the base class says it
        place(self._model, self._data, self._row(state))
        self._gl.update_scene(self._data, self._camera)
        scene = self._gl.scene
        scene.flags[int(mujoco.mjtRndFlag.mjRND_REFLECTION)] = False
        for geom in scene.geoms[: scene.ngeom]:
            # What counts as decoration casts no shadow. A goal marker's would look like a second goal; a floor's
            # falls on nothing but itself, as speckles where the shadow map is coarse.
            if geom.rgba[3] < 1.0 or geom.type == int(mujoco.mjtGeom.mjGEOM_PLANE):
                geom.category = int(mujoco.mjtCatBit.mjCAT_DECOR)
        return smooth(self._gl.render())

    def close(self) -> None:  # noqa: D102
        self._gl.close()
