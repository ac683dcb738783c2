"""A world: what the experiment needs of N environments of one task, wherever they come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

import gymnasium as gym
import numpy as np
from numpy.typing import ArrayLike, NDArray

from clrobot.envs.arrays import Array
from clrobot.envs.simulation.features import Mask
from clrobot.envs.simulation.simulation import SavedState

if TYPE_CHECKING:
    from clrobot.envs.rendering.base import Image

# That begin together where episodes are staggered: to start a whole group again costs about as much as to start one.
GROUPS: Final = 25


class Painter(Protocol):
    """Makes pictures of what `World.look` has seen; a context manager."""

    def frames(self, looks: ArrayLike, /) -> Iterator[Image]:
        """Draw the rows of looks (T, …) in their order, each a picture (height, width, 3), uint8 RGB."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


# Gymnasium types rewards and flags alike; here they are not.
class World(gym.vector.VectorEnv[NDArray[np.float32], NDArray[Any], Any], ABC):
    """N environments of one task with same-step autoreset: observations (N, d) and actions (N, A) in [-1, 1].

    `reset` takes a seed for each environment: the same one gives the same start. On the step that ends an episode
    `infos` holds `final_obs` (N, d) and `final_info`, a dictionary of arrays (N,): `is_success` (solved at any step)
    and `success_final` (solved at the last one); `_final_obs` and `_final_info` mark whose they are.

    Attributes:
        horizon: the most control steps that an episode has.
        fps: control steps in a second of the world's own time.
        tells_success: whether anything says that the task is solved; where nothing does, `solved` is never true.
        saves_state: whether `set_state` goes on from a `get_state` with the same bits. Where it does not, a world is
            put where it was by a reset with the same seed.
    """

    horizon: int
    fps: float
    tells_success: bool = True
    saves_state: bool = False

    @abstractmethod
    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start new episodes everywhere; an integer seed gives environment i the seed ``seed + i``.

        With `options["once"]` these episodes alone count: once all are over, a reset comes before the next step.
        """

    @abstractmethod
    def step(self, actions: NDArray[Any]) -> tuple[NDArray[np.float32], Array, Mask, Mask, dict[str, Any]]:
        """Advance all environments by one control step; finished ones come back at their next start."""

    def phases(self) -> NDArray[np.int64]:
        """Return the steps (N,) that each environment seems to have behind it where episodes are staggered."""
        return spread(self.num_envs, self.horizon, GROUPS)

    @property
    @abstractmethod
    def solved(self) -> Mask:
        """Whether the episode under way has been solved at any step so far, (N,)."""

    @property
    @abstractmethod
    def solved_now(self) -> Mask:
        """Whether it is solved at this step, (N,); of an episode that has just ended, `final_info` tells."""

    @property
    def divergences(self) -> int:
        """How many times a simulation has gone to infinity."""
        return 0

    @abstractmethod
    def get_state(self) -> SavedState:
        """Return all that changes; of a world that does not save its state, what a reset leaves as it is."""

    @abstractmethod
    def set_state(self, state: SavedState) -> None:
        """Continue from what `get_state` returned.

        Raises:
            KeyError, ValueError: it is the state of another world.
        """

    def let_go(self) -> None:
        """Free what the next reset with seeds makes anew, if it makes anything; no step comes before that reset."""

    @abstractmethod
    def look(self) -> NDArray[Any]:
        """Return what a picture of each environment is drawn from, as it is now, (N, …)."""

    @abstractmethod
    def painter(self, width: int = 480, height: int = 480) -> Painter:
        """Return what draws looks as pictures of this size.

        Raises:
            RenderError: nothing can be drawn here.
        """


def spread(num_envs: int, horizon: int, groups: int) -> NDArray[np.int64]:
    """Return the steps (num_envs,) that environments have behind them, in groups over the phases of an episode."""
    phase: NDArray[np.int64] = np.arange(num_envs) * groups // num_envs * horizon // groups
    return phase
