"""Pictures without OpenGL: `mujoco.mj_multiRay` finds what each pixel shows, numpy shades it.

What stands still is drawn once, and afterwards only the pixels that something moving can change.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain
from typing import Final

import mujoco
import numpy as np
from numpy.typing import ArrayLike
from typing_extensions import override

from clrobot.envs.cores import usable_cores
from clrobot.envs.rendering.base import Image, Renderer, place, smooth
from clrobot.envs.rendering.raster import SIGNS, Doubles, Floats, Groups, Mask, Numbers, Raster, camera_axes, dots
from clrobot.envs.rendering.surfaces import (
    SUN_DISTANCE,
    Hits,
    Picture,
    Surfaces,
    TranslucentLayer,
    View,
    directional_light,
    shadow_map,
    to_bytes,
)
from clrobot.errors import RenderError

GROUPS_SHOWN: Final = (0, 1, 2)  # MuJoCo's default: geoms in groups 3, 4 and 5 are not drawn

# The renderer sorts its copy of the geoms into these groups, so that a ray can ask for some of them: those of the
# world, those on mocap bodies, those that move, and translucent ones that do not.
_WORLD, _PLACED, _MOVING, _CLEAR, _HIDDEN = 0, 1, 2, 3, 5
_SHADOW_GAP: Final = 1e-3  # m, so that a surface does not shade itself
_PLAIN: Final = (0.5, 0.5, 0.5, 1.0)  # MuJoCo's default geom colour, which stands for none
_SKY_STEPS: Final = 1800


class RaycastRenderer(Renderer):
    """Draws without OpenGL, by casting rays.

    Materials, directional lights, shadows, still translucent geoms (the nearest one) and the sky's gradient are
    drawn as OpenGL draws them, and edges are smoothed. Not drawn: other textures, sites, tendons, skins,
    reflections and haze; other lights count as directional, moving translucent geoms as opaque. `frames` draws
    several states at a time, on `threads` threads (default: the cores, at most 8).

    A picture is drawn in three layers: the world once, over it what stands on mocap bodies whenever that is moved
    (a new episode), and over that the moving geoms of each frame. A layer casts rays only where its geoms, or
    their shadows, may change the picture below.
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
        self._read_geoms()
        self._sky = _read_sky(self._model)
        self._threads = threads or min(8, usable_cores())
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="raycast")
        self._world: Picture | None = None
        self._backdrop: Picture | None = None
        self._lock = threading.Lock()  # of these two

    @override
    def frame(self, state: ArrayLike) -> Image:
        return self._draw(self._row(state))

    @override
    def frames(self, states: ArrayLike) -> Iterator[Image]:
        rows, batch = self._rows(states), 4 * self._threads  # so many pictures wait at most
        starts = range(0, len(rows), batch)
        return chain.from_iterable(self._pool.map(self._draw, rows[start : start + batch]) for start in starts)

    @override
    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _read_geoms(self) -> None:
        """Sort the geoms into groups, and read their colours (ngeom, 3) and materials (ngeom,)."""
        model = self._model
        rgba = model.geom_rgba.copy()
        plain = (rgba == _PLAIN).all(axis=1)  # as in MuJoCo, a colour of the geom's own wins over its material's
        of_material = (model.geom_matid >= 0) & plain
        rgba[of_material] = model.mat_rgba[model.geom_matid[of_material]]
        carrier = model.body_weldid[model.geom_bodyid]
        placed = model.body_mocapid[carrier] >= 0
        solid = np.where(carrier == 0, _WORLD, np.where(placed, _PLACED, _MOVING))
        group = np.where((solid != _MOVING) & (rgba[:, 3] < 1.0), _CLEAR, solid)
        shown = np.isin(model.geom_group, GROUPS_SHOWN) & (rgba[:, 3] > 0.0)
        model.geom_group[:] = np.where(shown, group, _HIDDEN)
        self._rgb = rgba[:, :3].astype(np.float32)
        # OpenGL draws translucent geoms twice, front to back and back to front.
        self._alpha = (1.0 - (1.0 - rgba[:, 3]) ** 2).astype(np.float32)
        # A geom without a material, number -1, has MuJoCo's own: the value appended here.
        self._specular = np.append(model.mat_specular, 0.5)[model.geom_matid].astype(np.float32)
        self._exponent = 128.0 * np.append(model.mat_shininess, 0.5)[model.geom_matid].astype(np.float32)
        boxes = model.geom_aabb.reshape(-1, 2, 1, 3)
        self._corners: Doubles = boxes[:, 0] + SIGNS * boxes[:, 1]  # (ngeom, 8, 3), in the geoms' frames

    # ------------------------------------------------------------------------------------------- one state

    def _draw(self, state: Doubles) -> Image:
        data = mujoco.MjData(self._model)
        place(self._model, data, state)
        backdrop = self._backdrop_for(data)
        pixels, surfaces = self._changes(data, backdrop, _MOVING)
        image = backdrop.image.copy()
        image.reshape(-1, 3)[pixels] = to_bytes(surfaces.colours())
        return smooth(image)

    def _changes(self, data: mujoco.MjData, below: Picture, group: int) -> tuple[Numbers, Surfaces]:
        """Return the numbers (n,) of the pixels that the geoms of `group` may change, and what these then show."""
        near, shaded = self._reach(data, below, group)
        pixels = np.flatnonzero(near)
        rays = below.rays.take(pixels, axis=0)
        hits = self._cast(data, below.view.camera.origin, rays, _groups(group))
        front = np.flatnonzero(hits.distance < below.surfaces.distance.take(pixels))
        moved = pixels[front]
        covering = self._surfaces(data, below.view, hits.of(front), _groups(*range(group + 1)))
        covering.overlay(below.surfaces.translucent.of(moved))
        shaded[moved] = False
        rest = np.flatnonzero(shaded)
        others = below.surfaces.of(rest)
        for number, light in enumerate(below.view.shadow_lights):
            lit = np.flatnonzero(others.lit[:, number])
            along = below.rays.take(rest[lit], axis=0) * others.distance[lit, None]
            points = below.view.camera.origin + along
            others.lit[lit, number] = self._unshaded(data, light.origin, points, _groups(group))
        return np.concatenate([moved, rest]), covering.followed_by(others)

    def _reach(self, data: mujoco.MjData, below: Picture, group: int) -> tuple[Mask, Mask]:
        """Return the pixels (height * width,) where geoms of `group` may be seen, and where they may cast shadows."""
        corners = self._corners_of(data, group)
        near = below.view.camera.covered(corners).ravel()
        shaded = np.zeros_like(near)
        if len(corners):
            for shadows in below.shadows:
                shaded[shadows.pixels] |= shadows.light.covered(corners).ravel().take(shadows.cells)
        return near, shaded

    def _corners_of(self, data: mujoco.MjData, group: int) -> Doubles:
        """Return the corners (n, 8, 3), m, of boxes around the geoms of `group`."""
        geoms = np.flatnonzero(self._model.geom_group == group)
        frames = data.geom_xmat[geoms].reshape(-1, 3, 3)
        corners: Doubles = self._corners[geoms] @ frames.swapaxes(1, 2) + data.geom_xpos[geoms][:, None]
        return corners

    # --------------------------------------------------------------------------------- what stands still

    def _backdrop_for(self, data: mujoco.MjData) -> Picture:
        """Return the picture of all that stands still, drawn again only when a mocap body, camera or light moved."""
        own = slice(self._camera.fixedcamid, self._camera.fixedcamid + 1)  # empty for the free camera, -1
        view = (data.cam_xpos[own], data.cam_xmat[own], data.light_xpos, data.light_xdir)
        seen = b"".join(pose.tobytes() for pose in view)
        key = seen + data.mocap_pos.tobytes() + data.mocap_quat.tobytes()
        with self._lock:
            if self._world is None or self._world.key != seen:
                self._world = self._add_layer(data, self._sky_alone(data), _WORLD, seen)
            if self._backdrop is None or self._backdrop.key != key:
                self._backdrop = self._add_layer(data, self._world, _PLACED, key)
            return self._backdrop

    def _sky_alone(self, data: mujoco.MjData) -> Picture:
        """Return the picture of the sky alone."""
        view = self._view(data)
        rays = view.camera.rays()
        count, lights = len(rays), len(view.shadow_lights)
        height = np.arcsin(np.clip(rays[:, 2], -1.0, 1.0)) / np.pi + 0.5  # 0 straight down, 1 straight up
        surfaces = Surfaces(
            np.full(count, np.inf),
            self._sky[(height * _SKY_STEPS).astype(np.int32)],
            np.zeros((count, lights, 3), np.float32),
            np.zeros((count, lights), np.bool_),
            TranslucentLayer.none(count),
        )
        return Picture(b"", view, rays, surfaces, ())

    def _add_layer(self, data: mujoco.MjData, below: Picture, group: int, key: bytes) -> Picture:
        """Return `below` with the geoms of `group`; what is translucent comes with those on mocap bodies."""
        pixels, changes = self._changes(data, below, group)
        surfaces = below.surfaces.copy()
        surfaces.put(pixels, changes)
        if group == _PLACED:
            behind = np.flatnonzero(below.view.camera.covered(self._corners_of(data, _CLEAR)))
            surfaces.overlay(self._translucent_layer(data, below.view, below.rays[behind]), behind)
        seen = np.flatnonzero(np.isfinite(surfaces.distance))
        points = below.view.camera.origin + below.rays[seen] * surfaces.distance[seen, None]
        shadows = tuple(shadow_map(light, seen, points) for light in below.view.shadow_lights if len(seen))
        return replace(below, key=key, surfaces=surfaces, shadows=shadows)

    def _view(self, data: mujoco.MjData) -> View:
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
        axes = camera_axes(camera.forward, camera.up)
        eye = Raster(np.array(camera.pos, np.float64), axes, -half, step, (self.height, self.width))
        distance = SUN_DISTANCE * float(self._model.stat.extent)
        lights = tuple(
            directional_light(light, self._model.stat.center, distance) for light in scene.lights[: scene.nlight]
        )
        return View(eye, lights)

    # ------------------------------------------------------------------------------------------------ rays

    def _cast(self, data: mujoco.MjData, origin: Doubles, rays: Doubles, groups: Groups) -> Hits:
        count = len(rays)
        hits = Hits.none(rays)
        if count:
            flat, far = np.ascontiguousarray(rays).reshape(-1), float(mujoco.mjMAXVAL)
            _, geom, distance, normal = hits
            mujoco.mj_multiRay(
                self._model, data, origin, flat, groups, True, -1, geom, distance, normal.reshape(-1), count, far
            )
            distance[geom < 0] = np.inf
        return hits

    def _surfaces(self, data: mujoco.MjData, view: View, hits: Hits, casters: Groups) -> Surfaces:
        """Return the surfaces that rays met, all of them, in the light that comes past the geom groups `casters`."""
        base, gains = self._shade(view, hits)
        points = view.camera.origin + hits.rays * hits.distance[:, None]
        lit = np.zeros(gains.shape[:2], np.bool_)
        for number, light in enumerate(view.shadow_lights):
            ahead = np.flatnonzero(gains[:, number].any(axis=1))
            lit[ahead, number] = self._unshaded(data, light.origin, points[ahead], casters)
        return Surfaces(hits.distance, base, gains, lit, TranslucentLayer.none(len(base)))

    def _shade(self, view: View, hits: Hits) -> tuple[Floats, Floats]:
        """Return the colours (n, 3) of surfaces without the lights that cast shadows, and what each such light adds.

        With all lights these are as OpenGL's fixed pipeline has them:

        rgb * sum(ambient + diffuse * N.L) + sum(specular * N.H ^ (128 * shininess))
        """
        back = -hits.rays.astype(np.float32)
        normal = hits.normal.astype(np.float32)
        normal[dots(normal, back) < 0] *= -1
        material = (self._rgb, self._specular, self._exponent)
        rgb, specular, exponent = (of_geom.take(hits.geom, axis=0) for of_geom in material)
        base, gains = np.zeros_like(rgb), [np.empty((len(rgb), 0, 3), np.float32)]
        for light in view.lights:
            base += light.ambient
        base *= rgb
        for light in view.lights:
            toward = -light.axes[2].astype(np.float32)
            slope = np.maximum(normal @ toward, 0.0)
            gain = rgb * (slope[:, None] * light.diffuse)
            glossy = np.flatnonzero((specular > 0) & (slope > 0)) if light.specular.any() else np.arange(0)
            half = back.take(glossy, axis=0) + toward
            along = dots(half, normal.take(glossy, axis=0)) / np.maximum(np.sqrt(dots(half, half)), 1e-6)
            gloss = specular.take(glossy) * np.maximum(along, 0.0) ** exponent.take(glossy)
            gain[glossy] += gloss[:, None] * light.specular
            if light.shadows:
                gains.append(gain[:, None])
            else:
                base += gain
        return base, np.concatenate(gains, axis=1)

    def _translucent_layer(self, data: mujoco.MjData, view: View, rays: Doubles) -> TranslucentLayer:
        """Return the nearest translucent surfaces that rays meet; these neither cast shadows nor show any."""
        hits = self._cast(data, view.camera.origin, rays, _groups(_CLEAR))
        layer = TranslucentLayer.none(len(rays))
        met = np.flatnonzero(hits.geom >= 0)
        hits = hits.of(met)
        base, gains = self._shade(view, hits)
        layer.distance[met], layer.alpha[met] = hits.distance, self._alpha[hits.geom]
        layer.colour[met] = np.clip(base + gains.sum(axis=1), 0.0, 1.0)
        return layer

    def _unshaded(self, data: mujoco.MjData, origin: Doubles, points: Doubles, casters: Groups) -> Mask:
        """Return where the light at `origin` sees the points (n, 3): (n,)."""
        rays = points - origin
        expected = np.sqrt(dots(rays, rays))
        rays /= expected[:, None]
        free: Mask = self._cast(data, origin, rays, casters).distance > expected - _SHADOW_GAP
        return free


def _groups(*shown: int) -> Groups:
    groups = np.zeros(int(mujoco.mjNGROUP), np.uint8)
    groups[list(shown)] = 1
    return groups


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
