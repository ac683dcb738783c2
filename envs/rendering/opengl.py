"""MuJoCo's own renderer, set for films on machines without a graphics card."""

from __future__ import annotations

import os
from typing import Final

import mujoco
from numpy.typing import ArrayLike
from typing_extensions import override

from clrobot.envs.forks import Inherited
from clrobot.envs.gl import gl_problem
from clrobot.envs.rendering.base import Image, Renderer, place, smooth
from clrobot.envs.triton_first import load_triton
from clrobot.errors import RenderError

# In software these decide the cost. At MuJoCo's defaults (a larger shadow map, reflections, 28 slices) a
# frame takes three times as long and looks the same at film sizes; without shadows objects seem to float.
# Multisampling would take more time than all else, and leave the edges of shadows ragged: see `smooth`.
GL_SAMPLES: Final = 0
GL_SHADOW_MAP: Final = 768  # pixels along a side
GL_SLICES, GL_STACKS, GL_QUADS = 20, 10, 1  # facets of round geoms, and of a box's side


class GLRenderer(Renderer):
    """MuJoCo's own OpenGL renderer, set for software rasterisers.

    One OpenGL context belongs to one thread: draw where the renderer was opened.
    """

    backend = "gl"

    def __init__(
        self, model: mujoco.MjModel, width: int = 480, height: int = 480, camera: str | int = "film"
    ) -> None:
        super().__init__(model, width, height, camera)
        problem = _FORKED if _inherited_from_parent() else gl_problem()
        if problem is not None:
            raise RenderError(f"cannot draw with OpenGL: {problem}")
        size, quality = self._model.vis.global_, self._model.vis.quality
        size.offwidth, size.offheight = max(width, size.offwidth), max(height, size.offheight)
        quality.offsamples, quality.shadowsize = GL_SAMPLES, GL_SHADOW_MAP
        quality.numslices, quality.numstacks, quality.numquads = GL_SLICES, GL_STACKS, GL_QUADS
        self._data = mujoco.MjData(self._model)
        load_triton()
        try:
            self._gl = mujoco.Renderer(self._model, height, width, max_geom=2 * model.ngeom + 200)
        except Exception as error:  # each backend fails with its own: ImportError, RuntimeError, GLError, FatalError
            raise RenderError(f"cannot draw with OpenGL: {error}") from error
        self._process = _used_in[0] = os.getpid()
        _inherited.add(self)

    @override
    def frame(self, state: ArrayLike) -> Image:
        if self._process != os.getpid():
            raise RenderError(f"cannot draw with OpenGL: {_FORKED}")
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

    @override
    def close(self) -> None:
        if self._process == os.getpid():
            self._gl.close()


_FORKED: Final = "it was used before this process was forked; start the process with the method 'spawn'"
_used_in = [0]  # the id of the process in which OpenGL was first used: its libraries have threads there
_inherited: Inherited[GLRenderer] = Inherited(lambda renderer: renderer._gl)


def _inherited_from_parent() -> bool:
    return _used_in[0] not in (0, os.getpid())
