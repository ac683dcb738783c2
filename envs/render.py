"""Pictures of simulation states: with OpenGL where there is one, else by casting rays, which needs only pip.

Both renderers draw the same models with the same camera, lights, textures and shadows, so that a film looks
alike wherever it is made. The ray caster draws what stands still once, and afterwards only the pixels that
something moving can change.
"""

from __future__ import annotations

import copy
import logging
import math
import os
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar, Final, NamedTuple, Self

import mujoco
import numpy as np
from numpy.typing import ArrayLike, NDArray

from clrobot.envs.gl import gl_problem

Image = NDArray[np.uint8]  # (height, width, 3), RGB
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Mask = NDArray[np.bool_]

BACKENDS: Final = ("auto", "gl", "raycast")
ENVIRONMENT: Final = "CLROBOT_RENDER"  # one of BACKENDS; decides where the caller left the choice open
GROUPS_SHOWN: Final = (0, 1, 2)  # MuJoCo's default: geoms in groups 3, 4 and 5 are not drawn

_STATE: Final = int(mujoco.mjtState.mjSTATE_INTEGRATION)
_log = logging.getLogger(__name__)


class RenderError(RuntimeError):
    """No picture can be made this way here; the message says what is missing."""


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
    asked, source = backend, "backend"
    if backend == "auto":
        asked, source = os.environ.get(ENVIRONMENT, "").strip().lower() or "auto", ENVIRONMENT
    if asked not in BACKENDS:
        raise ValueError(f"{source}={asked!r}; expected one of {', '.join(BACKENDS)}")
    if asked == "raycast":
        return RaycastRenderer(model, width, height, camera)
    if asked == "gl":
        return GLRenderer(model, width, height, camera)
    try:
        return GLRenderer(model, width, height, camera)
    except RenderError as error:
        _log.info("%s; casting rays instead", error)
        return RaycastRenderer(model, width, height, camera)


class Renderer(ABC):
    """Draws states of one model, seen by one camera.

    Attributes:
        width: of the pictures, in pixels.
        height: of the pictures, in pixels.
        backend: the name of the way they are made, "gl" or "raycast".
    """

    backend: ClassVar[str]

    def __init__(self, model: mujoco.MjModel, width: int, height: int, camera: str | int) -> None:
        if min(width, height) < 1:
            raise ValueError(f"picture of {width} x {height} pixels; expected at least 1 x 1")
        self.width, self.height = width, height
        self._camera = _find_camera(model, camera)
        self._model = copy.copy(model)
        self._nstate = int(mujoco.mj_stateSize(model, _STATE))

    @abstractmethod
    def frame(self, state: ArrayLike) -> Image:
        """Draw one state: a full `mjSTATE_INTEGRATION` row (nstate,), as `mujoco.batch.Batch.state` holds."""

    def frames(self, states: ArrayLike) -> Iterator[Image]:
        """Draw the rows of `states` (T, nstate) in their order, each a picture (height, width, 3), uint8 RGB.

        Raises:
            ValueError: the rows are not states of the model.
        """
        return map(self.frame, self._rows(states))

    @abstractmethod
    def close(self) -> None:
        """Release what the renderer holds; closing twice is harmless."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _rows(self, states: ArrayLike) -> Doubles:
        rows = np.array(states, dtype=np.float64, ndmin=2)
        if rows.ndim != 2 or rows.shape[1] != self._nstate:
            raise ValueError(
                f"states of shape {rows.shape}; expected (T, {self._nstate}), rows of mjSTATE_INTEGRATION"
            )
        return rows

    def _row(self, state: ArrayLike) -> Doubles:
        rows = self._rows(state)
        if len(rows) != 1:
            raise ValueError(f"{len(rows)} states; expected one, of shape ({self._nstate},)")
        row: Doubles = rows[0]
        return row


def _find_camera(model: mujoco.MjModel, camera: str | int) -> mujoco.MjvCamera:
    names = [mujoco.mj_id2name(model, int(mujoco.mjtObj.mjOBJ_CAMERA), i) for i in range(model.ncam)]
    number = camera if isinstance(camera, int) else names.index(camera) if camera in names else model.ncam
    if not -1 <= number < model.ncam:
        raise ValueError(f"camera {camera!r}; the model has {', '.join(map(repr, names)) or 'none'}, and -1 is free")
    view = mujoco.MjvCamera()
    if number == -1:
        mujoco.mjv_defaultFreeCamera(model, view)
    else:
        view.type = int(mujoco.mjtCamera.mjCAMERA_FIXED)
        view.fixedcamid = number
    return view


def _place(model: mujoco.MjModel, data: mujoco.MjData, state: Doubles) -> None:
    """Put `data` into `state`, with all that depends on positions (poses, cameras, lights) up to date."""
    mujoco.mj_setState(model, data, state, _STATE)
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)
    mujoco.mj_camlight(model, data)
    mujoco.mj_tendon(model, data)


# -------------------------------------------------------------------------------------------------- OpenGL

# In software these decide the cost. At MuJoCo's defaults (a larger shadow map, reflections, 28 slices) a
# frame takes three times as long and looks the same at film sizes; without shadows things seem to float.
GL_SAMPLES: Final = 4  # multisampling of silhouettes
GL_SHADOW_MAP: Final = 1024  # pixels along a side
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
        _place(self._model, self._data, self._row(state))
        self._gl.update_scene(self._data, self._camera)
        scene = self._gl.scene
        scene.flags[int(mujoco.mjtRndFlag.mjRND_REFLECTION)] = False
        for geom in scene.geoms[: scene.ngeom]:
            # What counts as decoration casts no shadow. A goal marker's would look like a second goal; a floor's
            # falls on nothing but itself, as speckles where the shadow map is coarse.
            if geom.rgba[3] < 1.0 or geom.type == int(mujoco.mjtGeom.mjGEOM_PLANE):
                geom.category = int(mujoco.mjtCatBit.mjCAT_DECOR)
        picture: Image = self._gl.render()
        return picture

    def close(self) -> None:  # noqa: D102
        self._gl.close()


# ---------------------------------------------------------------------------------------------------- rays

# The ray caster sorts its copy of the geoms into these groups, so that a ray can ask for some of them.
_STILL, _MOVING, _CLEAR_STILL, _CLEAR_MOVING, _HIDDEN = 0, 1, 2, 3, 5
# Where in a pixel its four rays pass: a rotated grid smooths upright and level edges best.
_SUBPIXELS: Final = ((-0.125, -0.375), (0.375, -0.125), (0.125, 0.375), (-0.375, 0.125))
_EDGE: Final = 16  # of 255: neighbours that differ by more are drawn again with four rays each
_GRID: Final = 192  # cells along a side of a light's map of where moving shadows may fall
_SLICES: Final = 4  # of a moving geom's bounding box
_SHADOW_GAP: Final = 1e-3  # m, so that a surface does not shade itself
_SUN_DISTANCE: Final = 100.0  # model extents; from here a directional light's rays are parallel within 0.6°
_PLAIN: Final = (0.5, 0.5, 0.5, 1.0)  # MuJoCo's default geom colour, which stands for none
_SKY_STEPS: Final = 1800
_SKY_LOW, _SKY_HIGH = (0.62, 0.68, 0.76), (0.86, 0.90, 0.95)  # where the model has no skybox


@dataclass(frozen=True)
class _Eye:
    """A point that casts rays, the camera or a light: origin (3,), m; right, up, forward as rows (3, 3)."""

    origin: Doubles
    axes: Doubles

    def project(self, points: Doubles) -> tuple[Doubles, Doubles]:
        """Return where `points` (..., 3) appear, in units of depth (..., 2), and their depth (...), m."""
        local = (points - self.origin) @ self.axes.T
        depth = local[..., 2]
        with np.errstate(divide="ignore", invalid="ignore"):
            return local[..., :2] / depth[..., None], depth


@dataclass(frozen=True)
class _Light:
    """One light of the scene, as OpenGL's fixed pipeline means it."""

    eye: _Eye
    directional: bool
    shadows: bool
    ambient: Floats
    diffuse: Floats
    specular: Floats
    attenuation: Floats
    cutoff: float  # cosine of the cone's half angle
    exponent: float

    def reach(self, points: Doubles) -> tuple[Floats, Floats]:
        """Return unit vectors (n, 3) or (1, 3) to the light from `points` (n, 3), and what arrives (n,)."""
        forward = self.eye.axes[2]
        if self.directional:
            return -forward[None].astype(np.float32), np.ones(len(points), np.float32)
        toward = (self.eye.origin - points).astype(np.float32)
        distance = np.sqrt(_dots(toward, toward))
        toward /= np.maximum(distance, 1e-9)[:, None]
        constant, linear, quadratic = self.attenuation
        strength = 1.0 / np.maximum(constant + distance * (linear + distance * quadratic), 1e-6)
        if self.cutoff > -1.0:
            cosine = -(toward @ forward.astype(np.float32))
            strength = strength * np.where(cosine >= self.cutoff, np.maximum(cosine, 0.0) ** self.exponent, 0.0)
        return toward, strength.astype(np.float32)


@dataclass(frozen=True)
class _View:
    """The camera and the lights of one state. `window`: left, right, bottom, top edges in units of depth."""

    eye: _Eye
    window: tuple[float, float, float, float]
    lights: tuple[_Light, ...]


@dataclass(frozen=True)
class _Texture:
    """A 2-D texture on a geom: texels (h, w, 3) in [0, 1], at (s, t) = scale * (x, y) - 1/2 in its frame."""

    geom: int
    texels: Floats
    scale: Doubles

    def colours(self, local: Doubles) -> Floats:
        """Return the nearest texels at `local` (n, 2), m: (n, 3)."""
        height, width = self.texels.shape[:2]
        s, t = (local * self.scale - 0.5).T
        colours: Floats = self.texels[(t % 1.0 * height).astype(int) % height, (s % 1.0 * width).astype(int) % width]
        return colours


class _Hits(NamedTuple):
    """Where unit `rays` (n, 3) first met a geom (n,), -1 for none: distance (n,), m, point and normal (n, 3)."""

    rays: Doubles
    geom: NDArray[np.int32]
    distance: Doubles
    points: Doubles
    normal: Floats

    def of(self, chosen: NDArray[Any]) -> _Hits:
        """Return the hits of the chosen rays, given by numbers or as a mask."""
        return _Hits(*(field[chosen] for field in self))

    def then(self, others: _Hits) -> _Hits:
        """Return these hits, followed by others."""
        pairs: Iterator[tuple[Any, Any]] = zip(self, others, strict=True)
        return _Hits(*(np.concatenate(pair) for pair in pairs))


@dataclass(frozen=True)
class _Backdrop:
    """All that stands still, drawn once: valid while `key` holds (poses of camera, lights and mocap bodies).

    `hits` is what each pixel shows; `rough` and `image` (height, width, 3) are the picture before and after its
    edges were smoothed.
    `cells`: for each light with shadows its eye, the low corner (2,) and cells per unit (2,) of its map, and
    the cell (height * width,) in which every pixel's surface lies.
    """

    key: bytes
    view: _View
    hits: _Hits
    rough: Image
    image: Image
    cells: tuple[tuple[_Eye, Doubles, Doubles, NDArray[np.int32]], ...]


class _Scratch(threading.local):
    """What one drawing thread needs for itself."""

    def __init__(self, model: mujoco.MjModel) -> None:
        self.data = mujoco.MjData(model)
        self.scene = mujoco.MjvScene(model, maxgeom=2 * model.ngeom + 200)
        self.option = mujoco.MjvOption()


class RaycastRenderer(Renderer):
    """Draws without OpenGL: `mujoco.mj_multiRay` finds what each pixel shows, numpy shades it.

    Lights, materials, 2-D textures, shadows, translucent geoms (the nearest one) and the sky's gradient are
    drawn as OpenGL draws them; edges are smoothed. Not drawn: sites, tendons, skins, reflections; of cube
    textures the mean colour. `frames` draws several states at a time, on `threads` threads (default: the cores,
    at most 8).
    """

    backend = "raycast"

    def __init__(
        self,
        model: mujoco.MjModel,
        width: int = 480,
        height: int = 480,
        camera: str | int = "film",
        threads: int | None = None,
    ) -> None:
        super().__init__(model, width, height, camera)
        if "normal" not in (mujoco.mj_multiRay.__doc__ or ""):
            raise RenderError(f"MuJoCo {mujoco.__version__} casts no rays with normals: pictures need OpenGL here")
        self._sort_geoms()
        self._read_materials()
        self._sky = _read_sky(self._model)
        self._threads = threads or min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 4)
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="raycast")
        self._scratch = _Scratch(self._model)
        self._backdrop: _Backdrop | None = None
        self._lock = threading.Lock()

    def frame(self, state: ArrayLike) -> Image:  # noqa: D102
        return self._draw(self._row(state))

    def frames(self, states: ArrayLike) -> Iterator[Image]:  # noqa: D102
        return self._in_order(self._rows(states))

    def close(self) -> None:  # noqa: D102
        self._pool.shutdown(cancel_futures=True)

    def _in_order(self, rows: Doubles) -> Iterator[Image]:
        pending: deque[Future[Image]] = deque()
        for row in rows:
            pending.append(self._pool.submit(self._draw, row))
            if len(pending) > 2 * self._threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()

    # ------------------------------------------------------------------------------------- the model, once

    def _sort_geoms(self) -> None:
        model = self._model
        still = model.body_weldid[model.geom_bodyid] == 0  # the world's, and mocap bodies': see _Backdrop.key
        rgba = model.geom_rgba.copy()
        plain = (rgba == _PLAIN).all(axis=1)  # as in MuJoCo, a colour of the geom's own wins over its material's
        of_material = (model.geom_matid >= 0) & plain
        rgba[of_material] = model.mat_rgba[model.geom_matid[of_material]]
        clear = rgba[:, 3] < 1.0
        shown = np.isin(model.geom_group, GROUPS_SHOWN) & (rgba[:, 3] > 0.0)
        group = np.where(clear, np.where(still, _CLEAR_STILL, _CLEAR_MOVING), np.where(still, _STILL, _MOVING))
        model.geom_group[:] = np.where(shown, group, _HIDDEN)
        self._rgb = rgba[:, :3].astype(np.float32)
        # OpenGL draws translucent geoms twice, front to back and back to front.
        self._alpha = (1.0 - (1.0 - rgba[:, 3]) ** 2).astype(np.float32)
        self._has_clear = {
            False: bool(np.any(model.geom_group == _CLEAR_STILL)),
            True: bool(np.any(np.isin(model.geom_group, (_CLEAR_STILL, _CLEAR_MOVING)))),
        }
        self._moving = np.flatnonzero(np.isin(model.geom_group, (_MOVING, _CLEAR_MOVING)))
        self._clear_moves = bool(np.any(model.geom_group == _CLEAR_MOVING))
        boxes = model.geom_aabb.reshape(-1, 2, 3)[self._moving]
        self._corners = _slice_boxes(boxes[:, 0], boxes[:, 1])  # in the geoms' frames
        infinite = (model.geom_type == int(mujoco.mjtGeom.mjGEOM_PLANE)) & (model.geom_size[:, :2] == 0).all(axis=1)
        self._infinite = infinite

    def _read_materials(self) -> None:
        model = self._model
        count = model.ngeom
        # A geom without a material has these, MuJoCo's own.
        self._specular = np.full(count, 0.5, np.float32)
        self._shininess = np.full(count, 0.5, np.float32)
        self._emission = np.zeros(count, np.float32)
        self._textures: list[_Texture] = []
        for geom, material in enumerate(model.geom_matid):
            if material < 0:
                continue
            self._specular[geom] = model.mat_specular[material]
            self._shininess[geom] = model.mat_shininess[material]
            self._emission[geom] = model.mat_emission[material]
            texture = int(model.mat_texid[material, int(mujoco.mjtTextureRole.mjTEXROLE_RGB)])
            if texture >= 0:
                self._read_texture(geom, material, texture)

    def _read_texture(self, geom: int, material: int, texture: int) -> None:
        model = self._model
        texels = _texels(model, texture)
        if int(model.tex_type[texture]) != int(mujoco.mjtTexture.mjTEXTURE_2D):
            self._rgb[geom] *= texels.mean(axis=(0, 1))
            return
        scale = 0.5 * model.mat_texrepeat[material] * (1.0, -1.0)
        size = model.geom_size[geom, :2]
        if not model.mat_texuniform[material]:  # repeats over the geom, not over metres
            scale = scale / np.where(size > 0, size, 1.0)
        self._textures.append(_Texture(geom, texels, scale))

    # ------------------------------------------------------------------------------------------- one state

    def _draw(self, state: Doubles) -> Image:
        data = self._scratch.data
        _place(self._model, data, state)
        backdrop = self._backdrop_for(data)
        image = backdrop.image.copy()
        pixels, hits = self._changes(data, backdrop)
        colours = _bytes(self._colours(data, backdrop.view, hits, moving=True))
        changed = np.flatnonzero((colours != backdrop.rough.reshape(-1, 3)[pixels]).any(axis=1))
        pixels = pixels[changed]
        image.reshape(-1, 3)[pixels] = colours[changed]  # what did not change keeps its smooth edges
        where = np.zeros((self.height, self.width), np.bool_)
        where.flat[pixels] = True
        self._smooth(data, backdrop.view, image, _grown(where), moving=True)
        return image

    def _changes(self, data: mujoco.MjData, backdrop: _Backdrop) -> tuple[NDArray[np.intp], _Hits]:
        """Return the numbers (n,) of the pixels that may differ from the backdrop's, and what they show."""
        near, shaded = self._reach(data, backdrop)
        pixels = np.flatnonzero(near)
        behind = backdrop.hits.of(pixels)
        front = self._cast(data, backdrop.view.eye.origin, behind.rays, _groups(_MOVING))
        moved = (front.geom >= 0) & ((front.distance < behind.distance) | (behind.geom < 0))
        remain = shaded | near if self._clear_moves else shaded
        remain[pixels[moved]] = False
        rest = np.flatnonzero(remain)
        return np.concatenate([pixels[moved], rest]), front.of(moved).then(backdrop.hits.of(rest))

    def _backdrop_for(self, data: mujoco.MjData) -> _Backdrop:
        own = slice(self._camera.fixedcamid, self._camera.fixedcamid + 1)  # empty for the free camera, -1
        camera = (data.cam_xpos[own], data.cam_xmat[own])
        poses = (*camera, data.mocap_pos, data.mocap_quat, data.light_xpos, data.light_xdir)
        key = b"".join(pose.tobytes() for pose in poses)
        with self._lock:
            if self._backdrop is None or self._backdrop.key != key:
                self._backdrop = self._draw_backdrop(data, key)
            return self._backdrop

    def _draw_backdrop(self, data: mujoco.MjData, key: bytes) -> _Backdrop:
        view = self._view(data)
        everywhere = np.ones((self.height, self.width), np.bool_)
        rays = self._rays(view, *np.nonzero(everywhere))
        hits = self._cast(data, view.eye.origin, rays, _groups(_STILL))
        colours = self._colours(data, view, hits, moving=False)
        rough = _bytes(colours).reshape(self.height, self.width, 3)
        image = rough.copy()
        self._smooth(data, view, image, everywhere, moving=False)
        cells = tuple(_shadow_map(light.eye, hits) for light in view.lights if light.shadows)
        return _Backdrop(key, view, hits, rough, image, cells)

    def _view(self, data: mujoco.MjData) -> _View:
        """Ask MuJoCo's visualiser, which needs no OpenGL, for the camera and the lights."""
        scene = self._scratch.scene
        everything = int(mujoco.mjtCatBit.mjCAT_ALL)
        mujoco.mjv_updateScene(self._model, data, self._scratch.option, None, self._camera, everything, scene)
        camera = mujoco.mjv_averageCamera(scene.camera[0], scene.camera[1])
        if camera.orthographic:
            raise RenderError("the ray caster draws perspective cameras only")
        near = float(camera.frustum_near)
        bottom, top = camera.frustum_bottom / near, camera.frustum_top / near
        half = camera.frustum_width / near or 0.5 * (top - bottom) * self.width / self.height
        middle = camera.frustum_center / near
        eye = _eye(camera.pos, camera.forward, camera.up)
        extent = float(self._model.stat.extent)
        lights = tuple(_light(light, self._model.stat.center, extent) for light in scene.lights[: scene.nlight])
        return _View(eye, (middle - half, middle + half, bottom, top), lights)

    def _rays(self, view: _View, rows: NDArray[Any], columns: NDArray[Any]) -> Doubles:
        """Return unit rays (n, 3) through pixels, whose centres are whole numbers."""
        left, right, bottom, top = view.window
        x = left + (columns + 0.5) * ((right - left) / self.width)
        y = top - (rows + 0.5) * ((top - bottom) / self.height)
        rays = np.stack([x, y, np.ones_like(x)], axis=-1)
        rays /= np.sqrt(_dots(rays, rays))[:, None]
        return np.ascontiguousarray(rays @ view.eye.axes)

    def _reach(self, data: mujoco.MjData, backdrop: _Backdrop) -> tuple[Mask, Mask]:
        """Return the pixels (height * width,) where moving geoms may be seen, and where their shadows may fall."""
        near = np.zeros((self.height, self.width), np.bool_)
        shaded = np.zeros(near.size, np.bool_)
        if not len(self._moving):
            return near.ravel(), shaded
        frames = data.geom_xmat[self._moving].reshape(-1, 1, 3, 3)
        corners = self._corners @ frames.swapaxes(2, 3) + data.geom_xpos[self._moving][:, None, None]
        left, right, bottom, top = backdrop.view.window
        low = np.array([left, -top])
        scale = np.array([self.width / (right - left), self.height / (top - bottom)])
        _fill_boxes(near, backdrop.view.eye, corners.reshape(-1, 8, 3), low, scale, flip=True)
        opaque = corners[self._model.geom_group[self._moving] == _MOVING].reshape(-1, 8, 3)
        for eye, low, scale, cell in backdrop.cells:
            cells = np.zeros(_GRID * _GRID + 1, np.bool_)
            _fill_boxes(cells[:-1].reshape(_GRID, _GRID), eye, opaque, low, scale, flip=False)
            shaded |= cells[cell]
        return near.ravel(), shaded

    def _smooth(self, data: mujoco.MjData, view: _View, image: Image, where: Mask, *, moving: bool) -> None:
        """Draw the edges of `image` among the pixels `where` again, each as the mean of four rays."""
        rows, columns = np.nonzero(_edges(image) & where)
        if not len(rows):
            return
        down, right = np.array(_SUBPIXELS).T
        rays = self._rays(view, (rows[:, None] + down).ravel(), (columns[:, None] + right).ravel())
        solid = _groups(_STILL, _MOVING) if moving else _groups(_STILL)
        hits = self._cast(data, view.eye.origin, rays, solid)
        colours = np.clip(self._colours(data, view, hits, moving=moving), 0.0, 1.0)
        image[rows, columns] = _bytes(colours.reshape(-1, len(_SUBPIXELS), 3).mean(axis=1))

    # ------------------------------------------------------------------------------------------------ rays

    def _colours(self, data: mujoco.MjData, view: _View, hits: _Hits, *, moving: bool) -> Floats:
        """Return the colours (n, 3) of what rays met, among still geoms only or among all; not clipped."""
        solid = _groups(_STILL, _MOVING) if moving else _groups(_STILL)
        hit = np.flatnonzero(hits.geom >= 0)
        colours = self._sky_colours(hits.rays)
        colours[hit] = self._shade(data, view, hits.of(hit), solid)
        self._haze(colours, hits)
        if self._has_clear[moving]:
            clear = _groups(_CLEAR_STILL, _CLEAR_MOVING) if moving else _groups(_CLEAR_STILL)
            front = self._cast(data, view.eye.origin, hits.rays, clear)
            near = (front.geom >= 0) & ((front.distance < hits.distance) | (hits.geom < 0))
            self._blend(data, view, front.of(near), colours, np.flatnonzero(near))
        return colours

    def _cast(self, data: mujoco.MjData, origin: Doubles, rays: Doubles, groups: NDArray[np.uint8]) -> _Hits:
        count = len(rays)
        geom, distance, normal = np.full(count, -1, np.int32), np.full(count, -1.0), np.zeros(3 * count)
        if count:
            flat, far = np.ascontiguousarray(rays).reshape(-1), float(mujoco.mjMAXVAL)
            mujoco.mj_multiRay(self._model, data, origin, flat, groups, True, -1, geom, distance, normal, count, far)
        points = origin + rays * distance[:, None]
        return _Hits(rays, geom, distance, points, normal.reshape(-1, 3).astype(np.float32))

    def _blend(
        self, data: mujoco.MjData, view: _View, front: _Hits, colours: Floats, where: NDArray[np.intp]
    ) -> None:
        """Lay translucent surfaces over the colours (n, 3) at the places `where`, one for each hit."""
        if not len(where):
            return
        alpha = self._alpha[front.geom][:, None]
        own = np.clip(self._shade(data, view, front, None), 0.0, 1.0)
        colours[where] = alpha * own + (1.0 - alpha) * np.clip(colours[where], 0.0, 1.0)

    def _shade(self, data: mujoco.MjData, view: _View, hits: _Hits, casters: NDArray[np.uint8] | None) -> Floats:
        """Return the colours (n, 3) of surfaces, as OpenGL's fixed pipeline has them.

        texture * (rgb * (emission + sum(ambient + diffuse * N.L)) + sum(specular * N.H ^ (128 * shininess)))

        The sums go over the lights that reach the point past the geom groups `casters` (None: no shadows).
        """
        back = -hits.rays.astype(np.float32)
        facing = np.where(_dots(hits.normal, back) < 0, np.float32(-1), np.float32(1))
        normal = hits.normal * facing[:, None]
        specular, exponent = self._specular[hits.geom], 128.0 * self._shininess[hits.geom]
        arriving = np.repeat(self._emission[hits.geom][:, None], 3, axis=1)
        shine = np.zeros_like(arriving)
        for light in view.lights:
            toward, strength = light.reach(hits.points)
            toward = np.broadcast_to(toward, normal.shape)
            slope = np.maximum(_dots(normal, toward), 0.0)
            if light.shadows and casters is not None:
                lit = np.flatnonzero((slope > 0) & (strength > 0))
                strength[lit] *= self._unshaded(data, light.eye, hits.points[lit], casters)
            arriving += strength[:, None] * (light.ambient + slope[:, None] * light.diffuse)
            glossy = np.flatnonzero((specular > 0) & (slope * strength > 0))
            half = toward[glossy] + back[glossy]
            half /= np.maximum(np.sqrt(_dots(half, half)), 1e-6)[:, None]
            gloss = np.maximum(_dots(half, normal[glossy]), 0.0) ** exponent[glossy]
            shine[glossy] += (strength[glossy] * specular[glossy] * gloss)[:, None] * light.specular
        colours: Floats = self._rgb[hits.geom] * arriving + shine
        for texture in self._textures:
            on = np.flatnonzero(hits.geom == texture.geom)
            axes = data.geom_xmat[texture.geom].reshape(3, 3)[:, :2]
            colours[on] *= texture.colours((hits.points[on] - data.geom_xpos[texture.geom]) @ axes)
        return colours

    def _unshaded(self, data: mujoco.MjData, eye: _Eye, points: Doubles, casters: NDArray[np.uint8]) -> Floats:
        """Return 1 where the light at `eye` sees the points (n, 3), else 0: (n,)."""
        rays = points - eye.origin
        expected = np.sqrt(_dots(rays, rays))
        rays /= expected[:, None]
        hits = self._cast(data, eye.origin, rays, casters)
        free: Mask = (hits.geom < 0) | (hits.distance > expected - _SHADOW_GAP)
        return free.astype(np.float32)

    def _sky_colours(self, rays: Doubles) -> Floats:
        height = np.arcsin(np.clip(rays[:, 2], -1.0, 1.0)) / math.pi + 0.5  # 0 straight down, 1 straight up
        colours: Floats = self._sky[(height * _SKY_STEPS).astype(np.int32)]
        return colours

    def _haze(self, colours: Floats, hits: _Hits) -> None:
        """Let planes without end fade into MuJoCo's haze at the horizon."""
        if not self._infinite.any():
            return
        vis = self._model.vis
        on = np.flatnonzero((hits.geom >= 0) & self._infinite[hits.geom])
        horizon = 0.7 * float(vis.map.zfar * self._model.stat.extent)  # where MuJoCo draws its skybox
        haze = max(float(vis.map.haze), 1e-3)
        share = np.clip((hits.distance[on] / horizon - (1.0 - haze)) / haze, 0.0, 1.0).astype(np.float32)[:, None]
        colours[on] = (1.0 - share) * colours[on] + share * np.asarray(vis.rgba.haze[:3], np.float32)


def _groups(*shown: int) -> NDArray[np.uint8]:
    groups = np.zeros(int(mujoco.mjNGROUP), np.uint8)
    groups[list(shown)] = 1
    return groups


def _dots(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """Return the dot products (n,) of the rows of `a` and `b` (n, 3)."""
    products: NDArray[Any] = np.einsum("ij,ij->i", a, b)
    return products


def _bytes(colours: Floats) -> Image:
    return (np.clip(colours, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)


def _edges(image: Image) -> Mask:
    """Return the pixels (h, w) of `image` (h, w, 3) that differ visibly from a neighbour."""
    tones = np.ascontiguousarray(image.transpose(2, 0, 1)).astype(np.int16)
    edges = np.zeros(image.shape[:2], np.bool_)
    for tone in tones:  # a maximum over an axis of three is slow in numpy
        across = np.abs(tone[:, 1:] - tone[:, :-1]) > _EDGE
        down = np.abs(tone[1:] - tone[:-1]) > _EDGE
        edges[:, 1:] |= across
        edges[:, :-1] |= across
        edges[1:] |= down
        edges[:-1] |= down
    return edges


def _grown(mask: Mask) -> Mask:
    """Return `mask` (h, w) and its neighbours above, below, left and right."""
    grown = mask.copy()
    grown[:, 1:] |= mask[:, :-1]
    grown[:, :-1] |= mask[:, 1:]
    grown[1:] |= mask[:-1]
    grown[:-1] |= mask[1:]
    return grown


def _eye(origin: ArrayLike, forward: ArrayLike, up: ArrayLike) -> _Eye:
    ahead = np.asarray(forward, np.float64)
    ahead = ahead / np.linalg.norm(ahead)
    right = np.cross(ahead, np.asarray(up, np.float64))
    right /= np.linalg.norm(right)
    return _Eye(np.array(origin, np.float64), np.stack([right, np.cross(right, ahead), ahead]))


def _light(light: mujoco.MjvLight, centre: ArrayLike, extent: float) -> _Light:
    directional = int(light.type) == int(mujoco.mjtLightType.mjLIGHT_DIRECTIONAL)
    spot = int(light.type) == int(mujoco.mjtLightType.mjLIGHT_SPOT)
    forward = np.asarray(light.dir, np.float64)
    origin = np.asarray(centre) - forward * _SUN_DISTANCE * extent if directional else light.pos
    aside = np.eye(3)[np.argmin(np.abs(forward))]
    return _Light(
        eye=_eye(origin, forward, aside),
        directional=directional,
        shadows=bool(light.castshadow),
        ambient=np.array(light.ambient, np.float32),
        diffuse=np.array(light.diffuse, np.float32),
        specular=np.array(light.specular, np.float32),
        attenuation=np.array(light.attenuation, np.float32),
        cutoff=math.cos(math.radians(light.cutoff)) if spot and light.cutoff <= 90 else -1.0,
        exponent=float(light.exponent),
    )


def _shadow_map(eye: _Eye, hits: _Hits) -> tuple[_Eye, Doubles, Doubles, NDArray[np.int32]]:
    """Lay a grid over what a light sees, and note the cell of every pixel's surface; see `_Backdrop.cells`."""
    cell = np.full(len(hits.geom), _GRID * _GRID, np.int32)  # the last cell: never in a shadow
    where, depth = eye.project(hits.points)
    seen = (hits.geom >= 0) & (depth > 0)
    if not seen.any():
        return eye, np.zeros(2), np.ones(2), cell
    # A floor that runs to the horizon would make the cells too large: what lies far off shares border cells.
    low, high = np.percentile(where[seen][::7], (1, 99), axis=0)
    scale = _GRID / np.maximum(high - low, 1e-9)
    column, row = np.clip((where[seen] - low) * scale, 0, _GRID - 1).astype(np.int32).T
    cell[seen] = row * _GRID + column
    return eye, low, scale, cell


def _slice_boxes(centres: Doubles, halves: Doubles) -> Doubles:
    """Cut boxes, given by centres and half sizes (n, 3), across their longest side: corners (n, slices, 8, 3).

    Seen aslant, the slices of a long box fill far less of a picture than the box does.
    """
    longest = np.eye(3)[np.argmax(halves, axis=1)][:, None, None]  # (n, 1, 1, 3), a unit vector
    signs = np.stack(np.meshgrid([-1, 1], [-1, 1], [-1, 1]), axis=-1).reshape(8, 3)
    middles = ((np.arange(_SLICES) + 0.5) / _SLICES * 2 - 1)[:, None, None]  # (slices, 1, 1)
    offsets = (1 - longest) * signs + longest * (middles + signs / _SLICES)
    corners: Doubles = centres[:, None, None] + halves[:, None, None] * offsets
    return corners


def _fill_boxes(mask: Mask, eye: _Eye, corners: Doubles, low: Doubles, scale: Doubles, *, flip: bool) -> None:
    """Mark in `mask` the rectangles in which `eye` sees the boxes whose corners (n, 8, 3) are given.

    Pixel or cell (row, column) = (y, x) with (x, y) = (place - low) * scale; `flip` turns y downwards first.
    """
    where, depth = eye.project(corners)
    if np.any(depth <= 1e-6):  # a box around or behind the eye: it could be anywhere
        mask[:] = True
        return
    places = (where * (1.0, -1.0 if flip else 1.0) - low) * scale
    size = np.array(mask.shape[::-1])
    first = np.clip(np.floor(places.min(axis=1)) - 1, 0, size - 1).astype(int)
    last = np.clip(np.ceil(places.max(axis=1)) + 1, 1, size).astype(int)
    for (left, top), (right, bottom) in zip(first, last, strict=True):
        mask[top:bottom, left:right] = True


def _texels(model: mujoco.MjModel, texture: int) -> Floats:
    """Return texture number `texture` as (h, w, 3) in [0, 1]."""
    height, width = int(model.tex_height[texture]), int(model.tex_width[texture])
    channels, start = int(model.tex_nchannel[texture]), int(model.tex_adr[texture])
    texels = model.tex_data[start : start + height * width * channels].reshape(height, width, channels)
    if channels < 3:
        texels = np.repeat(texels[..., :1], 3, axis=2)
    scaled: Floats = texels[..., :3].astype(np.float32) / np.float32(255.0)
    return scaled


def _read_sky(model: mujoco.MjModel) -> Floats:
    """Return the sky's colours (steps + 1, 3) by elevation, from straight down to straight up.

    A skybox is six square faces, one above another: right, left, up, down, front, back. Read is the middle
    column of the front one, and of those above and below it: all that there is to a gradient.
    """
    elevation = np.linspace(-90.0, 90.0, _SKY_STEPS + 1)
    boxes = np.flatnonzero(model.tex_type == int(mujoco.mjtTexture.mjTEXTURE_SKYBOX))
    if not len(boxes):
        share = ((elevation + 90.0) / 180.0)[:, None]
        return ((1.0 - share) * _SKY_LOW + share * _SKY_HIGH).astype(np.float32)
    texels = _texels(model, int(boxes[0]))
    side = texels.shape[1]
    faces = texels.reshape(-1, side, side, 3)
    if len(faces) != 6:  # one face, repeated
        faces = np.repeat(faces[:1], 6, axis=0)
    angle = np.radians(elevation)
    steep = np.abs(elevation) > 45.0
    with np.errstate(divide="ignore"):
        along = np.where(steep, 1.0 / np.maximum(np.abs(np.tan(angle)), 1e-9), np.tan(angle))
    on_side = faces[4][np.clip((1.0 - along) / 2 * side, 0, side - 1).astype(int), side // 2]
    outward = np.clip((1.0 + along) / 2 * side, 0, side - 1).astype(int)  # from the middle of the cap to its rim
    cap = np.where((elevation > 0)[:, None], faces[2][outward, side // 2], faces[3][outward, side // 2])
    sky: Floats = np.where(steep[:, None], cap, on_side)
    return sky
