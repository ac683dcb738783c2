"""Where geoms may be in a picture: the pixels in which rays are worth casting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Mask = NDArray[np.bool_]
Numbers = NDArray[np.intp]
Groups = NDArray[np.uint8]
_OUTLINE: Final = 16  # sides of the polygon drawn around a geom to say where it may be seen
SIGNS: Final = np.stack(np.meshgrid([-1, 1], [-1, 1], [-1, 1]), axis=-1).reshape(8, 3)  # of a box's corners


@dataclass(frozen=True)
class Raster:
    """The cells of a camera's picture or a light's map; cell (column, row) is centred on low + (cell + 1/2) * step.

    From `origin` (3,), m, they lie at depth 1, with `axes` (3, 3): right, down and forward as rows. `shape` is
    (rows, columns).
    """

    origin: Doubles
    axes: Doubles
    low: Doubles
    step: Doubles
    shape: tuple[int, int]

    def rays(self) -> Doubles:
        """Return unit rays (rows * columns, 3) through the cells."""
        rows, columns = np.indices(self.shape).reshape(2, -1)
        (left, top), (across, down) = self.low, self.step
        x, y = left + (columns + 0.5) * across, top + (rows + 0.5) * down
        rays = np.stack([x, y, np.ones_like(x)], axis=-1)
        rays /= np.sqrt(dots(rays, rays))[:, None]
        through: Doubles = rays @ self.axes
        return through

    def covered(self, corners: Doubles) -> Mask:
        """Return the cells (rows, columns) where boxes may be seen whose corners (n, 8, 3) are given, m.

        Around each box's eight corners a polygon of _OUTLINE sides is drawn, one cell away. In row y it spans

            max over n_x < 0 of (s - n_y y) / n_x  to  min over n_x > 0 of (s - n_y y) / n_x

        where a side with normal n lies at s = max(n . corner) + 1, in cells.
        """
        rows, columns = self.shape
        places, depth = project(self.origin, self.axes, corners)
        if np.any(depth <= 1e-6):  # a box around or behind the eye: it could be anywhere
            return np.ones(self.shape, np.bool_)
        cells = (places - self.low) / self.step
        # Cells on the border stand for all that lies beyond it, too: a box that reaches there becomes upright.
        inside = np.clip(cells, 0.0, (columns, rows))
        beyond = (inside != cells).any(axis=(1, 2))
        low, high = inside[beyond].min(axis=1)[:, None], inside[beyond].max(axis=1)[:, None]
        cells[beyond] = np.where(SIGNS[:, :2] < 0, low, high)
        angles = (np.arange(_OUTLINE) + 0.5) * (2 * np.pi / _OUTLINE)  # none is 90°: no n_x is 0
        normals = np.stack([np.cos(angles), np.sin(angles)])
        sides = (cells @ normals).max(axis=1) + 1.0  # (n, sides)
        middles = np.arange(rows) + 0.5
        across, down = normals
        reach = (sides[:, :, None] - down[:, None] * middles) / across[:, None]  # (n, sides, rows)
        left, right = reach[:, across < 0].max(axis=1), reach[:, across > 0].min(axis=1)
        first = np.clip(np.ceil(left - 0.5), 0, columns).astype(np.intp)
        last = np.clip(np.floor(right - 0.5) + 1, 0, columns).astype(np.intp)
        box, row = np.nonzero((first < last) & self._upright(cells[..., 1], middles))
        mask = np.zeros(self.shape, np.bool_)
        if len(row):
            # Where spans begin and end, summed along the row: how many spans a cell is in.
            top, bottom = row.min(), row.max() + 1
            ends = np.zeros((bottom - top, columns + 1), np.int16)
            np.add.at(ends, (row - top, first[box, row]), 1)
            np.add.at(ends, (row - top, last[box, row]), -1)
            mask[top:bottom] = np.cumsum(ends[:, :-1], axis=1, dtype=np.int16) > 0
        return mask

    @staticmethod
    def _upright(heights: NDArray[Any], middles: NDArray[Any]) -> Mask:
        """Return which rows (n, rows), given their middles, lie within a cell of boxes with corners at `heights`."""
        top, bottom = heights.min(axis=1)[:, None] - 1.0, heights.max(axis=1)[:, None] + 1.0
        inside: Mask = (top <= middles) & (middles <= bottom)
        return inside


def dots(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """Return the dot products (n,) of the rows of `a` and `b` (n, 3)."""
    products: NDArray[Any] = np.einsum("ij,ij->i", a, b)
    return products


def camera_axes(forward: ArrayLike, up: ArrayLike) -> Doubles:
    """Return unit vectors right, down and forward as rows (3, 3)."""
    ahead = np.asarray(forward, np.float64)
    ahead = ahead / np.linalg.norm(ahead)
    right = np.cross(ahead, np.asarray(up, np.float64))
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(ahead, right), ahead])


def project(origin: Doubles, axes: Doubles, points: Doubles) -> tuple[Doubles, Doubles]:
    """Return where `points` (..., 3) appear from `origin`, at depth 1 (..., 2), and their depth (...), m."""
    local = (points - origin) @ axes.T
    depth = local[..., 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        return local[..., :2] / depth[..., None], depth
