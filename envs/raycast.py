"""Pictures without OpenGL: `mujoco.mj_multiRay` finds what each pixel shows, numpy shades it.

What stands still is drawn once, and afterwards only the pixels that something moving can change.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, NamedTuple

import mujoco
import numpy as np
from numpy.typing import ArrayLike, NDArray

from clrobot.envs.renderer import Image, Renderer, RenderError, place

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Mask = NDArray[np.bool_]
Numbers = NDArray[np.intp]
Groups = NDArray[np.uint8]

GROUPS_SHOWN: Final = (0, 1, 2)  # MuJoCo's default: geoms in groups 3, 4 and 5 are not drawn

# The renderer sorts its copy of the geoms into these groups, so that a ray can ask for some of them.
_STILL, _MOVING, _CLEAR, _HIDDEN = 0, 1, 2, 5
# Where in a pixel its four rays pass, (down, right): a rotated grid smooths upright and level edges best.
_SUBPIXELS: Final = ((-0.125, -0.375), (0.375, -0.125), (0.125, 0.375), (-0.375, 0.125))
_EDGE: Final = 16  # of 255: neighbours that differ by more are drawn again with four rays each
_GRID: Final = 192  # cells along a side of a light's map of where moving shadows may fall
_SHADOW_GAP: Final = 1e-3  # m, so that a surface does not shade itself
_SUN_DISTANCE: Final = 100.0  # model extents; from here a light's rays are parallel within 0.6°
_PLAIN: Final = (0.5, 0.5, 0.5, 1.0)  # MuJoCo's default geom colour, which stands for none
_SKY_STEPS: Final = 1800


class RaycastRenderer(Renderer):
    """Draws without OpenGL, by casting rays.

    Materials, directional lights, shadows, still translucent geoms (the nearest one) and the sky's gradient are
    drawn as OpenGL draws them, and edges are smoothed. Not drawn: other textures, sites, tendons, skins,
    reflections and haze; other lights count as directional, moving translucent geoms as opaque. `frames` draws
    several states at a time, on `threads` threads (default: the cores, at most 8).
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
        self._read_geoms()
        self._sky = _read_sky(self._model)
        self._threads = threads or min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 4)
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="raycast")
        self._backdrop: _Backdrop | None = None
        self._lock = threading.Lock()  # of the backdrop

    def frame(self, state: ArrayLike) -> Image:  # noqa: D102 -- the base class says it
        return self._draw(self._row(state))

    def frames(self, states: ArrayLike) -> Iterator[Image]:  # noqa: D102
        rows, batch = self._rows(states), 4 * self._threads  # so many pictures wait at most
        starts = range(0, len(rows), batch)
        return chain.from_iterable(self._pool.map(self._draw, rows[start : start + batch]) for start in starts)

    def close(self) -> None:  # noqa: D102
        self._pool.shutdown(cancel_futures=True)

    def _read_geoms(self) -> None:
        """Sort the geoms into groups, and read their colours (ngeom, 3) and materials (ngeom,)."""
        model = self._model
        rgba = model.geom_rgba.copy()
        plain = (rgba == _PLAIN).all(axis=1)  # as in MuJoCo, a colour of the geom's own wins over its material's
        of_material = (model.geom_matid >= 0) & plain
        rgba[of_material] = model.mat_rgba[model.geom_matid[of_material]]
        carrier = model.body_weldid[model.geom_bodyid]
        still = (carrier == 0) | (
            model.body_mocapid[carrier] >= 0
        )  # the world's and mocap bodies': see _Backdrop.key
        group = np.where(still, np.where(rgba[:, 3] < 1.0, _CLEAR, _STILL), _MOVING)
        shown = np.isin(model.geom_group, GROUPS_SHOWN) & (rgba[:, 3] > 0.0)
        model.geom_group[:] = np.where(shown, group, _HIDDEN)
        self._rgb = rgba[:, :3].astype(np.float32)
        # OpenGL draws translucent geoms twice, front to back and back to front.
        self._alpha = (1.0 - (1.0 - rgba[:, 3]) ** 2).astype(np.float32)
        # A geom without a material, number -1, has MuJoCo's own: the value appended here.
        self._specular = np.append(model.mat_specular, 0.5)[model.geom_matid].astype(np.float32)
        self._exponent = 128.0 * np.append(model.mat_shininess, 0.5)[model.geom_matid].astype(np.float32)
        self._moving = np.flatnonzero(model.geom_group == _MOVING)
        boxes = model.geom_aabb.reshape(-1, 2, 1, 3)[self._moving]
        signs = np.stack(np.meshgrid([-1, 1], [-1, 1], [-1, 1]), axis=-1).reshape(8, 3)
        self._corners: Doubles = boxes[:, 0] + signs * boxes[:, 1]  # (moving, 8, 3), in the geoms' frames

    # ------------------------------------------------------------------------------------------- one state

    def _draw(self, state: Doubles) -> Image:
        data = mujoco.MjData(self._model)
        place(self._model, data, state)
        backdrop = self._backdrop_for(data)
        pixels, hits = self._changes(data, backdrop)
        colours = _bytes(self._colours(data, backdrop.view, hits, _ALL))
        changed = (colours != backdrop.rough.reshape(-1, 3)[pixels]).any(axis=1)
        image = backdrop.image.copy()  # what did not change keeps its smooth edges
        image.reshape(-1, 3)[pixels[changed]] = colours[changed]
        where = np.zeros(self.height * self.width, np.bool_)
        where[pixels[changed]] = True
        self._smooth(data, backdrop.view, image, _grown(where.reshape(self.height, self.width)), _ALL)
        return image

    def _changes(self, data: mujoco.MjData, backdrop: _Backdrop) -> tuple[Numbers, _Hits]:
        """Return the numbers (n,) of the pixels that may differ from the backdrop's, and what they show."""
        near, shaded = self._reach(data, backdrop)
        pixels = np.flatnonzero(near)
        behind = backdrop.hits.of(pixels)
        front = self._cast(data, backdrop.view.camera.origin, behind.rays, _groups(_MOVING))
        moved = front.before(behind)
        shaded[pixels[moved]] = False
        rest = np.flatnonzero(shaded)
        return np.concatenate([pixels[moved], rest]), front.of(moved).then(backdrop.hits.of(rest))

    def _reach(self, data: mujoco.MjData, backdrop: _Backdrop) -> tuple[Mask, Mask]:
        """Return the pixels (height * width,) where moving geoms may be seen, and where their shadows may fall."""
        frames = data.geom_xmat[self._moving].reshape(-1, 3, 3)
        corners = self._corners @ frames.swapaxes(1, 2) + data.geom_xpos[self._moving][:, None]
        near = backdrop.view.camera.covered(corners).ravel()
        shaded = np.zeros_like(near)
        for shadows in backdrop.shadows:
            shaded[shadows.pixels] |= shadows.light.covered(corners).ravel()[shadows.cells]
        return near, shaded

    def _smooth(self, data: mujoco.MjData, view: _View, image: Image, where: Mask, solid: Groups) -> None:
        """Draw the edges of `image` among the pixels `where` again, each as the mean of four rays."""
        rows, columns = np.nonzero(_edges(image) & where)
        down, right = np.array(_SUBPIXELS).T
        rays = view.camera.rays((rows[:, None] + down).ravel(), (columns[:, None] + right).ravel())
        hits = self._cast(data, view.camera.origin, rays, solid)
        colours = np.clip(self._colours(data, view, hits, solid), 0.0, 1.0)
        image[rows, columns] = _bytes(colours.reshape(-1, len(_SUBPIXELS), 3).mean(axis=1))

    # --------------------------------------------------------------------------------- what stands still

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
        hits = self._cast(data, view.camera.origin, view.camera.rays(*np.nonzero(everywhere)), _groups(_STILL))
        rough = _bytes(self._colours(data, view, hits, _groups(_STILL))).reshape(self.height, self.width, 3)
        image = rough.copy()
        self._smooth(data, view, image, everywhere, _groups(_STILL))
        shadows = tuple(_shadow_map(light, hits) for light in view.lights if light.shadows and hits.geom.max() >= 0)
        return _Backdrop(key, view, hits, rough, image, shadows)

    def _view(self, data: mujoco.MjData) -> _View:
        """Ask MuJoCo's visualiser, which needs no OpenGL, for the camera and the lights."""
        scene = mujoco.MjvScene(self._model, maxgeom=1)
        mujoco.mjv_updateCamera(self._model, data, self._camera, scene)
        mujoco.mjv_makeLights(self._model, data, scene)
        camera = mujoco.mjv_averageCamera(scene.camera[0], scene.camera[1])
        if camera.orthographic:
            raise RenderError("the ray caster draws perspective cameras only")
        top = camera.frustum_top / float(camera.frustum_near)
        half = np.array([top * self.width / self.height, top])
        step = 2 * half / (self.width, self.height)
        axes = _axes(camera.forward, camera.up)
        eye = _Raster(np.array(camera.pos, np.float64), axes, -half, step, (self.height, self.width))
        distance = _SUN_DISTANCE * float(self._model.stat.extent)
        lights = tuple(_light(light, self._model.stat.center, distance) for light in scene.lights[: scene.nlight])
        return _View(eye, lights)

    # ------------------------------------------------------------------------------------------------ rays

    def _cast(self, data: mujoco.MjData, origin: Doubles, rays: Doubles, groups: Groups) -> _Hits:
        count = len(rays)
        geom, distance, normal = np.full(count, -1, np.int32), np.full(count, -1.0), np.zeros(3 * count)
        if count:
            flat, far = np.ascontiguousarray(rays).reshape(-1), float(mujoco.mjMAXVAL)
            mujoco.mj_multiRay(self._model, data, origin, flat, groups, True, -1, geom, distance, normal, count, far)
        points = origin + rays * distance[:, None]
        return _Hits(rays, geom, distance, points, normal.reshape(-1, 3).astype(np.float32))

    def _colours(self, data: mujoco.MjData, view: _View, hits: _Hits, solid: Groups) -> Floats:
        """Return the colours (n, 3), not clipped, of what rays met among the geoms in the groups `solid`.

        These cast shadows too. Over them is laid the nearest translucent surface, which neither casts nor shows any.
        """
        height = np.arcsin(np.clip(hits.rays[:, 2], -1.0, 1.0)) / np.pi + 0.5  # 0 straight down, 1 straight up
        colours: Floats = self._sky[(height * _SKY_STEPS).astype(np.int32)]
        hit = np.flatnonzero(hits.geom >= 0)
        colours[hit] = self._shade(data, view, hits.of(hit), solid)
        front = self._cast(data, view.camera.origin, hits.rays, _groups(_CLEAR))
        near = np.flatnonzero(front.before(hits))
        front = front.of(near)
        alpha = self._alpha[front.geom][:, None]
        own = np.clip(self._shade(data, view, front, None), 0.0, 1.0)
        colours[near] = alpha * own + (1.0 - alpha) * np.clip(colours[near], 0.0, 1.0)
        return colours

    def _shade(self, data: mujoco.MjData, view: _View, hits: _Hits, casters: Groups | None) -> Floats:
        """Return the colours (n, 3) of surfaces, as OpenGL's fixed pipeline has them.

        rgb * sum(ambient + diffuse * N.L) + sum(specular * N.H ^ (128 * shininess))

        The sums go over the lights that reach the point past the geom groups `casters` (None: no shadows).
        """
        back = -hits.rays.astype(np.float32)
        facing = np.where(_dots(hits.normal, back) < 0, np.float32(-1), np.float32(1))
        normal = hits.normal * facing[:, None]
        specular, exponent = self._specular[hits.geom], self._exponent[hits.geom]
        arriving, shine = np.zeros_like(normal), np.zeros_like(normal)
        for light in view.lights:
            toward = np.broadcast_to(-light.axes[2].astype(np.float32), normal.shape)
            slope = np.maximum(_dots(normal, toward), 0.0)
            lit = np.ones_like(slope)
            if light.shadows and casters is not None:
                ahead = np.flatnonzero(slope > 0)
                lit[ahead] = self._unshaded(data, light.origin, hits.points[ahead], casters)
            arriving += lit[:, None] * (light.ambient + slope[:, None] * light.diffuse)
            glossy = np.flatnonzero((specular > 0) & (slope * lit > 0))
            half = toward[glossy] + back[glossy]
            half /= np.maximum(np.sqrt(_dots(half, half)), 1e-6)[:, None]
            gloss = np.maximum(_dots(half, normal[glossy]), 0.0) ** exponent[glossy]
            shine[glossy] += (specular[glossy] * gloss)[:, None] * light.specular
        colours: Floats = self._rgb[hits.geom] * arriving + shine
        return colours

    def _unshaded(self, data: mujoco.MjData, origin: Doubles, points: Doubles, casters: Groups) -> Mask:
        """Return where the light at `origin` sees the points (n, 3): (n,)."""
        rays = points - origin
        expected = np.sqrt(_dots(rays, rays))
        rays /= expected[:, None]
        hits = self._cast(data, origin, rays, casters)
        free: Mask = (hits.geom < 0) | (hits.distance > expected - _SHADOW_GAP)
        return free


@dataclass(frozen=True)
class _Raster:
    """The cells of a camera's picture or a light's map; cell (column, row) is centred on low + (cell + 1/2) * step.

    From `origin` (3,), m, they lie at depth 1, with `axes` (3, 3): right, down and forward as rows. `shape` is
    (rows, columns).
    """

    origin: Doubles
    axes: Doubles
    low: Doubles
    step: Doubles
    shape: tuple[int, int]

    def rays(self, rows: NDArray[Any], columns: NDArray[Any]) -> Doubles:
        """Return unit rays (n, 3) through cells, whose centres are whole numbers."""
        (left, top), (across, down) = self.low, self.step
        x, y = left + (columns + 0.5) * across, top + (rows + 0.5) * down
        rays = np.stack([x, y, np.ones_like(x)], axis=-1)
        rays /= np.sqrt(_dots(rays, rays))[:, None]
        return np.ascontiguousarray(rays @ self.axes)

    def covered(self, corners: Doubles) -> Mask:
        """Return the cells (rows, columns) where boxes may be seen whose corners (n, 8, 3) are given, m."""
        mask = np.zeros(self.shape, np.bool_)
        places, depth = _project(self.origin, self.axes, corners)
        if np.any(depth <= 1e-6):  # a box around or behind the eye: it could be anywhere
            mask[:] = True
            return mask
        cells, size = (places - self.low) / self.step, np.array(self.shape[::-1])
        first = np.clip(np.floor(cells.min(axis=1)) - 1, 0, size - 1).astype(int)
        last = np.clip(np.ceil(cells.max(axis=1)) + 1, 1, size).astype(int)
        for (left, top), (right, bottom) in zip(first, last, strict=True):
            mask[top:bottom, left:right] = True
        return mask


@dataclass(frozen=True)
class _Light:
    """A directional light: where its rays come from, (3,), m, with axes as a `_Raster`'s, and colours (3,)."""

    origin: Doubles
    axes: Doubles
    shadows: bool
    ambient: Floats
    diffuse: Floats
    specular: Floats


class _View(NamedTuple):
    """The camera and the lights of a scene."""

    camera: _Raster
    lights: tuple[_Light, ...]


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

    def before(self, others: _Hits) -> Mask:
        """Return which rays (n,) met something before the same rays met the others."""
        nearer: Mask = (self.geom >= 0) & ((self.distance < others.distance) | (others.geom < 0))
        return nearer


class _ShadowMap(NamedTuple):
    """What a light sees, and in which of its cells lie the surfaces that the picture's pixels show, both (n,)."""

    light: _Raster
    pixels: Numbers
    cells: Numbers


@dataclass(frozen=True)
class _Backdrop:
    """All that stands still, drawn once: valid while `key` holds (poses of camera, lights and mocap bodies).

    `hits` is what each pixel shows; `rough` and `image` (height, width, 3) are the picture before and after its
    edges were smoothed.
    """

    key: bytes
    view: _View
    hits: _Hits
    rough: Image
    image: Image
    shadows: tuple[_ShadowMap, ...]


def _groups(*shown: int) -> Groups:
    groups = np.zeros(int(mujoco.mjNGROUP), np.uint8)
    groups[list(shown)] = 1
    return groups


_ALL: Final = _groups(_STILL, _MOVING)


def _dots(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """Return the dot products (n,) of the rows of `a` and `b` (n, 3)."""
    products: NDArray[Any] = np.einsum("ij,ij->i", a, b)
    return products


def _axes(forward: ArrayLike, up: ArrayLike) -> Doubles:
    """Return unit vectors right, down and forward as rows (3, 3)."""
    ahead = np.asarray(forward, np.float64)
    ahead = ahead / np.linalg.norm(ahead)
    right = np.cross(ahead, np.asarray(up, np.float64))
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(ahead, right), ahead])


def _project(origin: Doubles, axes: Doubles, points: Doubles) -> tuple[Doubles, Doubles]:
    """Return where `points` (..., 3) appear from `origin`, at depth 1 (..., 2), and their depth (...), m."""
    local = (points - origin) @ axes.T
    depth = local[..., 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        return local[..., :2] / depth[..., None], depth


def _light(light: mujoco.MjvLight, centre: ArrayLike, distance: float) -> _Light:
    forward = np.asarray(light.dir, np.float64)
    aside = np.eye(3)[np.argmin(np.abs(forward))]
    colours = (np.array(colour, np.float32) for colour in (light.ambient, light.diffuse, light.specular))
    return _Light(np.asarray(centre) - forward * distance, _axes(forward, aside), bool(light.castshadow), *colours)


def _shadow_map(light: _Light, hits: _Hits) -> _ShadowMap:
    pixels = np.flatnonzero(hits.geom >= 0)
    places, _ = _project(light.origin, light.axes, hits.points[pixels])
    # A floor that runs to the horizon would make the cells too large: what lies far off shares border cells.
    low, high = np.percentile(places[::7], (1, 99), axis=0)
    step = np.maximum(high - low, 1e-9) / _GRID
    column, row = np.clip((places - low) / step, 0, _GRID - 1).astype(np.intp).T
    return _ShadowMap(_Raster(light.origin, light.axes, low, step, (_GRID, _GRID)), pixels, row * _GRID + column)


def _bytes(colours: Floats) -> Image:
    return (np.clip(colours, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)


def _edges(image: Image) -> Mask:
    """Return the pixels (h, w) of `image` (h, w, 3) that differ visibly from a neighbour."""
    tones = image.transpose(2, 0, 1).astype(np.int16, order="C")  # three planes: much faster in numpy
    across = (np.abs(np.diff(tones, axis=2)) > _EDGE).any(axis=0)
    down = (np.abs(np.diff(tones, axis=1)) > _EDGE).any(axis=0)
    edges = np.zeros(image.shape[:2], np.bool_)
    edges[:, 1:] |= across
    edges[:, :-1] |= across
    edges[1:] |= down
    edges[:-1] |= down
    return edges


def _grown(mask: Mask) -> Mask:
    """Return `mask` (h, w) and its neighbours above, below, left and right."""
    wide = np.pad(mask, 1)
    grown: Mask = mask | wide[:-2, 1:-1] | wide[2:, 1:-1] | wide[1:-1, :-2] | wide[1:-1, 2:]
    return grown


def _read_sky(model: mujoco.MjModel) -> Floats:
    """Return the sky's colours (steps + 1, 3) by elevation, from straight down to straight up; black without one.

    A skybox is six square faces, one above another: right, left, up, down, front, back. All that there is to a
    gradient is in the strip from the middle of `up` to its rim, down the front, and on to the middle of `down`.
    """
    boxes = np.flatnonzero(model.tex_type == int(mujoco.mjtTexture.mjTEXTURE_SKYBOX))
    if not len(boxes):
        return np.zeros((_SKY_STEPS + 1, 3), np.float32)
    side, start = int(model.tex_width[boxes[0]]), int(model.tex_adr[boxes[0]])
    middle = side // 2
    faces = model.tex_data[start : start + 18 * side**2].reshape(6, side, side, 3)[:, :, middle]
    strip = np.concatenate([faces[2][middle:], faces[4], faces[3][: middle - 1 : -1]])
    angle = np.radians(np.linspace(-90.0, 90.0, _SKY_STEPS + 1))
    slope = np.tan(angle)
    with np.errstate(divide="ignore"):  # from 2, straight up, over 1, the front's upper rim, to -2
        place = np.where(np.abs(slope) > 1.0, 2.0 * np.sign(slope) - 1.0 / slope, slope)
    colours: Floats = strip[np.clip((2.0 - place) / 2 * side, 0, len(strip) - 1).astype(int)].astype(np.float32)
    return colours / np.float32(255.0)
