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


class RenderError(RuntimeError):
    """No picture can be made this way here; the message says what is missing."""


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
