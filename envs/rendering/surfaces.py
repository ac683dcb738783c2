"""What the rays of a picture hit, and how it is lit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple

import mujoco
import numpy as np
from numpy.typing import ArrayLike, NDArray

from clrobot.envs.rendering.base import Image
from clrobot.envs.rendering.raster import Doubles, Floats, Mask, Numbers, Raster, camera_axes, project

_GRID: Final = 400  # cells along a side of a light's map of where shadows may fall
SUN_DISTANCE: Final = 100.0  # model extents; from here a light's rays are parallel within 0.6°


@dataclass(frozen=True)
class Light:
    """A directional light: where its rays come from, (3,), m, with axes as a `Raster`'s, and colours (3,)."""

    origin: Doubles
    axes: Doubles
    shadows: bool
    ambient: Floats
    diffuse: Floats
    specular: Floats


class View(NamedTuple):
    """The camera and the lights of a scene."""

    camera: Raster
    lights: tuple[Light, ...]

    @property
    def shadow_lights(self) -> tuple[Light, ...]:
        """The lights that cast shadows."""
        return tuple(light for light in self.lights if light.shadows)


class Hits(NamedTuple):
    """Where unit `rays` (n, 3) first met a geom (n,) or none, -1: distance (n,), m, or inf, and normal (n, 3)."""

    rays: Doubles
    geom: NDArray[np.int32]
    distance: Doubles
    normal: Doubles

    @classmethod
    def none(cls, rays: Doubles) -> Hits:
        """Return that the rays met nothing."""
        count = len(rays)
        return cls(rays, np.full(count, -1, np.int32), np.full(count, np.inf), np.zeros((count, 3)))

    def of(self, chosen: Numbers) -> Hits:
        """Return the hits of the rays with the chosen numbers."""
        fields: tuple[NDArray[Any], ...] = self
        return Hits(*(field.take(chosen, axis=0) for field in fields))


class TranslucentLayer(NamedTuple):
    """Translucent surfaces (n,): distance (n,), m, inf for none, opacity (n,) and colour (n, 3)."""

    distance: Doubles
    alpha: Floats
    colour: Floats

    @classmethod
    def none(cls, count: int) -> TranslucentLayer:
        """Return no surfaces."""
        return cls(np.full(count, np.inf), np.zeros(count, np.float32), np.zeros((count, 3), np.float32))

    def of(self, chosen: Numbers) -> TranslucentLayer:
        """Return a copy of the chosen ones."""
        fields: tuple[NDArray[Any], ...] = self
        return TranslucentLayer(*(field.take(chosen, axis=0) for field in fields))


class Surfaces(NamedTuple):
    """What n pixels show, so that a new shadow costs no new shading.

    Attributes:
        distance: from the camera, (n,), m; inf for the sky.
        base: the colour without the L lights that cast shadows, (n, 3).
        gains: what each of those lights adds where it arrives, (n, L, 3).
        lit: whether it arrives, (n, L).
        translucent: the nearest translucent surface, wherever it is in front.
    """

    distance: Doubles
    base: Floats
    gains: Floats
    lit: Mask
    translucent: TranslucentLayer

    def colours(self) -> Floats:
        """Return the colours (n, 3), not clipped."""
        colours: Floats = self.base + (self.gains * self.lit[..., None]).sum(axis=1)
        front = np.flatnonzero(self.translucent.distance < self.distance)
        alpha = self.translucent.alpha.take(front)[:, None]
        under = np.clip(colours.take(front, axis=0), 0.0, 1.0)
        colours[front] = alpha * self.translucent.colour.take(front, axis=0) + (1.0 - alpha) * under
        return colours

    def overlay(self, layer: TranslucentLayer, where: Numbers | slice = slice(None)) -> None:
        """Lay `layer` over these surfaces, or over some of them."""
        pairs: Iterator[tuple[Any, Any]] = zip(self.translucent, layer, strict=True)
        for own, other in pairs:
            own[where] = other

    def copy(self) -> Surfaces:
        """Return a copy of all."""
        return self._from(field.copy() for field in self._flat)

    def of(self, chosen: Numbers) -> Surfaces:
        """Return a copy of the chosen ones."""
        return self._from(field.take(chosen, axis=0) for field in self._flat)

    def put(self, places: Numbers, others: Surfaces) -> None:
        """Put others in the places given by number."""
        for own, other in zip(self._flat, others._flat, strict=True):
            own[places] = other

    def followed_by(self, others: Surfaces) -> Surfaces:
        """Return these, followed by others."""
        return self._from(np.concatenate(pair) for pair in zip(self._flat, others._flat, strict=True))

    @property
    def _flat(self) -> tuple[NDArray[Any], ...]:
        """The fields, and after them the translucent layer's."""
        return (self.distance, self.base, self.gains, self.lit, *self.translucent)

    @staticmethod
    def _from(flat: Iterable[NDArray[Any]]) -> Surfaces:
        distance, base, gains, lit, *translucent = flat
        return Surfaces(distance, base, gains, lit, TranslucentLayer(*translucent))


class ShadowMap(NamedTuple):
    """What a light sees, and in which of its cells lie the surfaces that the picture's pixels show, both (n,)."""

    light: Raster
    pixels: Numbers
    cells: Numbers


@dataclass(frozen=True)
class Picture:
    """A picture and all it takes to draw more geoms over it.

    Attributes:
        key: the poses that it depends on.
        view: of camera and lights.
        rays: through each pixel, (height * width, 3).
        surfaces: what each pixel shows, height * width of them.
        shadows: a map for each light that casts shadows.
    """

    key: bytes
    view: View
    rays: Doubles
    surfaces: Surfaces
    shadows: tuple[ShadowMap, ...]

    @cached_property
    def image(self) -> Image:
        """What is seen, before its edges are smoothed, (height, width, 3)."""
        return to_bytes(self.surfaces.colours()).reshape(*self.view.camera.shape, 3)


def directional_light(light: mujoco.MjvLight, centre: ArrayLike, distance: float) -> Light:
    """Return one of MuJoCo's lights as if it shone along its direction from `distance` m before `centre` (3,), m."""
    forward = np.asarray(light.dir, np.float64)
    aside = np.eye(3)[np.argmin(np.abs(forward))]
    colours = (np.array(colour, np.float32) for colour in (light.ambient, light.diffuse, light.specular))
    return Light(
        np.asarray(centre) - forward * distance, camera_axes(forward, aside), bool(light.castshadow), *colours
    )


def shadow_map(light: Light, pixels: Numbers, points: Doubles) -> ShadowMap:
    """Return the map of `light` that tells where on the surfaces at `points` (n, 3), m, shadows may fall."""
    places, _ = project(light.origin, light.axes, points)
    # A floor that runs to the horizon would make the cells too large: what lies far off shares border cells.
    low, high = np.percentile(places[::37], (1, 99), axis=0)
    step = np.maximum(high - low, 1e-9) / _GRID
    column, row = np.clip((places - low) / step, 0, _GRID - 1).astype(np.intp).T
    return ShadowMap(Raster(light.origin, light.axes, low, step, (_GRID, _GRID)), pixels, row * _GRID + column)


def to_bytes(colours: Floats) -> Image:
    """Return colours (n, 3) as a picture's numbers (n, 3), clipped to what they can be."""
    return (np.clip(colours, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
