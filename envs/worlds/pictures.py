"""Pictures of an environment's simulations, with the one size and renderer that it has."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from clrobot.envs.simulation.simulation import Simulation

if TYPE_CHECKING:
    from clrobot.envs.rendering.base import Image, Renderer


class Pictures:
    """Draws simulations of one model; a renderer is opened at the first picture.

    A copy (`copy.deepcopy`, `pickle`) and a forked process open one of their own; the latter without OpenGL, which
    does not work there any more.

    Args:
        width: in pixels.
        height: in pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        self._size = (width, height)
        self._renderer: Renderer | None = None
        self._process = 0

    def of(self, sim: Simulation) -> Iterator[Image]:
        """Draw each simulation as it is: pictures (height, width, 3), uint8 RGB."""
        if self._renderer is None or self._process != os.getpid():
            from clrobot.envs.rendering import open_renderer

            self._renderer, self._process = open_renderer(sim.model, *self._size), os.getpid()
        return self._renderer.frames(sim.batch.state)

    def close(self) -> None:
        """Release the renderer; a later picture opens another."""
        if self._renderer is not None and self._process == os.getpid():
            self._renderer.close()
        self._renderer = None

    def __getstate__(self) -> tuple[int, int]:
        """Return what a copy has too: the size."""
        return self._size

    def __setstate__(self, size: tuple[int, int]) -> None:
        """Make a copy."""
        self.__init__(*size)  # type: ignore[misc]
