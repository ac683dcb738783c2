"""What every renderer shares: a model, a camera, and states in, pictures out."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar, Final, Self

import mujoco
import numpy as np
from numpy.typing import ArrayLike, NDArray

Image = NDArray[np.uint8]  # (height, width, 3), RGB

_STATE: Final = int(mujoco.mjtState.mjSTATE_INTEGRATION)
_EDGE: Final = 24  # of 255: pixels whose green differs by more from a neighbour's are an edge
# How much of an edge's new pixel its (row, column) neighbours make, in sixteenths.
_TENT: Final = tuple((i, j, (2 - abs(i)) * (2 - abs(j))) for i in (-1, 0, 1) for j in (-1, 0, 1))


class Renderer(ABC):
    """Draws states of one model, seen by one camera.

    Attributes:
        width: of the pictures, in pixels.
        height: of the pictures, in pixels.
        backend: what makes them, "gl" or "raycast".
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

    def _rows(self, states: ArrayLike) -> NDArray[np.float64]:
        rows = np.array(states, dtype=np.float64, ndmin=2)
        if rows.ndim != 2 or rows.shape[1] != self._nstate:
            raise ValueError(
                f"states of shape {rows.shape}; expected (T, {self._nstate}), rows of mjSTATE_INTEGRATION"
            )
        return rows

    def _row(self, state: ArrayLike) -> NDArray[np.float64]:
        rows = self._rows(state)
        if len(rows) != 1:
            raise ValueError(f"{len(rows)} states; expected one, of shape ({self._nstate},)")
        row: NDArray[np.float64] = rows[0]
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


def place(model: mujoco.MjModel, data: mujoco.MjData, state: NDArray[np.float64]) -> None:
    """Put `data` into `state`, with all that depends on positions (poses, cameras, lights) up to date."""
    mujoco.mj_setState(model, data, state, _STATE)
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)
    mujoco.mj_camlight(model, data)
    mujoco.mj_tendon(model, data)


def smooth(image: Image) -> Image:
    """Return `image` (h, w, 3) with the pixels along its edges averaged over their neighbours, 1 : 2 : 1 each way.

    The outermost pixels stay as they are.
    """
    tones = image[..., 1].astype(np.int16)
    across, down = (np.abs(np.diff(tones, axis=axis)) > _EDGE for axis in (1, 0))
    edges = np.zeros(tones.shape, np.bool_)
    edges[1:-1, 1:-1] = across[1:-1, 1:] | across[1:-1, :-1] | down[1:, 1:-1] | down[:-1, 1:-1]
    places, pixels = np.flatnonzero(edges), image.reshape(-1, 3)
    total = np.full((len(places), 3), 8, np.uint16)  # half of 16, to round
    for row, column, weight in _TENT:
        total += np.uint16(weight) * pixels.take(places + (row * image.shape[1] + column), axis=0)
    averaged = image.copy()
    averaged.reshape(-1, 3)[places] = total >> 4
    return averaged
