"""A world around another one, which changes what passes through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from clrobot.envs.arrays import Array
from clrobot.envs.simulation.features import Mask
from clrobot.envs.simulation.simulation import SavedState
from clrobot.envs.worlds.world import Painter, World


class WorldWrapper(World):
    """Passes everything on; a subclass overrides what it changes."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.num_envs = world.num_envs
        self.metadata, self.render_mode = world.metadata, world.render_mode
        self.horizon, self.fps = world.horizon, world.fps
        self.tells_success, self.saves_state = world.tells_success, world.saves_state
        self.single_observation_space = world.single_observation_space
        self.single_action_space = world.single_action_space
        self.observation_space, self.action_space = world.observation_space, world.action_space

    @override
    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        return self.world.reset(seed=seed, options=options)

    @override
    def step(self, actions: NDArray[Any]) -> tuple[NDArray[np.float32], Array, Mask, Mask, dict[str, Any]]:
        return self.world.step(actions)

    @property
    @override
    def solved(self) -> Mask:
        return self.world.solved

    @property
    @override
    def solved_now(self) -> Mask:
        return self.world.solved_now

    @property
    @override
    def divergences(self) -> int:
        return self.world.divergences

    @override
    def get_state(self) -> SavedState:
        return self.world.get_state()

    @override
    def set_state(self, state: SavedState) -> None:
        self.world.set_state(state)

    @override
    def let_go(self) -> None:
        self.world.let_go()

    @override
    def look(self) -> NDArray[Any]:
        return self.world.look()

    @override
    def painter(self, width: int = 480, height: int = 480) -> Painter:
        return self.world.painter(width, height)

    @override
    def close_extras(self, **kwargs: Any) -> None:
        """Close the world; with `timeout` as `ForeignWorld` does."""
        self.world.close(**kwargs)
