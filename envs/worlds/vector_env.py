"""Any number of simulations of one task as a Gymnasium vector environment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray
from typing_extensions import override

from clrobot.envs.arrays import Array
from clrobot.envs.scene.arm import CONTROL_STEP
from clrobot.envs.simulation.actions import ACTION_SIZE
from clrobot.envs.simulation.features import Mask
from clrobot.envs.simulation.observation import OBS_LIMIT, OBS_SIZE
from clrobot.envs.simulation.overrides import Overrides
from clrobot.envs.simulation.simulation import HORIZON, SavedState, Simulation
from clrobot.envs.simulation.task import Task
from clrobot.envs.worlds.pictures import Pictures
from clrobot.envs.worlds.world import World

if TYPE_CHECKING:
    from clrobot.envs.rendering.base import Renderer

FPS = round(1 / CONTROL_STEP)


def observation_space() -> gym.Space[NDArray[np.float32]]:
    """Return the space that all native tasks share: OBS_SIZE numbers in ±OBS_LIMIT."""
    return _box(-OBS_LIMIT, OBS_LIMIT, OBS_SIZE)


def action_space() -> gym.Space[NDArray[np.float32]]:
    """Return the space that all native tasks share: hand dx, dy, dz and fingers, each in [-1, 1]."""
    return _box(-1.0, 1.0, ACTION_SIZE)


def _box(low: float, high: float, size: int) -> gym.Space[NDArray[np.float32]]:
    box: gym.Space[Any] = gym.spaces.Box(low, high, (size,), np.float32)
    return box


class TaskVectorEnv(World):
    """N simulations of a task, with same-step autoreset.

    Episodes last exactly HORIZON steps, or `max_episode_steps`, and are truncated; only a simulation that diverged is
    terminated, with reward 0. On the step that ends an episode, ``infos`` holds `final_obs` (N, OBS_SIZE) and
    `final_info`, a dictionary of arrays (N,): `is_success` (solved at any step) and `success_final` (solved at the
    last step); `_final_obs` and `_final_info` mark whose they are.

    With `render_mode="rgb_array"` `render` returns a picture of each simulation, with OpenGL or without. Copies
    (`copy.deepcopy`, `pickle`) go on from the same states with the same bits.
    """

    metadata = {  # noqa: RUF012
        "autoreset_mode": AutoresetMode.SAME_STEP,
        "render_fps": FPS,
        "render_modes": ["rgb_array"],
    }
    fps = FPS
    saves_state = True

    def __init__(
        self,
        task: Task,
        num_envs: int,
        *,
        threads: int = 0,
        stagger: bool = False,
        overrides: Overrides | None = None,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
        width: int = 480,
        height: int = 480,
    ) -> None:
        """Build the simulations.

        Args:
            task: the task.
            num_envs: how many simulations.
            threads: of the physics; 0 means all cores that the process may use. The results do not depend on it.
            stagger: after a reset of all, spread the simulations over the phases of an episode, so that a
                short rollout sees every phase. For training; evaluation wants whole episodes.
            overrides: what is different in this world (see `overrides.OVERRIDES`).
            max_episode_steps: truncate episodes after so many steps, in place of HORIZON.
            render_mode: "rgb_array" for pictures, or None.
            width: of each picture, in pixels.
            height: of each picture, in pixels.

        Raises:
            ValueError: an override, the length of an episode or the render mode cannot be had.
        """
        if max_episode_steps is None or max_episode_steps == -1:  # -1 is Gymnasium's word for the environment's own
            max_episode_steps = HORIZON
        if not 1 <= max_episode_steps <= HORIZON:
            raise ValueError(f"max_episode_steps {max_episode_steps}; expected 1 to {HORIZON}, an episode's length")
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode {render_mode!r}; expected 'rgb_array' or None")
        self.render_mode = render_mode
        self._pictures = Pictures(width, height)
        self.horizon = max_episode_steps
        self.sim = Simulation(task, num_envs, threads, overrides)
        self.num_envs = num_envs
        self._stagger = stagger
        self.single_observation_space = observation_space()
        self.single_action_space = action_space()
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start new episodes everywhere, or where `options["reset_mask"]` (N,) is true.

        An integer seed gives simulation i the seed ``seed + i``. Where the episodes are staggered, the info's
        `elapsed` (N,) holds the steps that each seems to have behind it.

        Raises:
            ValueError: there are not N seeds, or the mask is none of N truths.
        """
        ids = None
        if options is not None and "reset_mask" in options:
            mask = np.asarray(options["reset_mask"])
            if mask.shape != (self.num_envs,) or mask.dtype != np.bool_:
                raise ValueError(f"reset_mask of shape {mask.shape}; expected {self.num_envs} of True or False")
            ids = np.flatnonzero(mask)
        if isinstance(seed, (int, np.integer)):
            self.sim.seed(range(int(seed), int(seed) + self.num_envs), ids)
        elif seed is not None:
            self.sim.seed([None if s is None else int(s) for s in seed], ids)
        self.sim.reset(ids)
        if self._stagger and ids is None:
            self.sim.elapsed[:] = self.phases()
            return self.sim.observe(), {"elapsed": self.sim.elapsed.copy()}
        return self.sim.observe(), {}

    def step(self, actions: NDArray[Any]) -> tuple[NDArray[np.float32], Array, Mask, Mask, dict[str, Any]]:
        """Advance all simulations by one control step; finished ones come back at their next start."""
        sim = self.sim
        features, rewards = sim.step(actions)
        obs = sim.observe(features)
        terminated = sim.diverged  # nothing of such a step is to be learned from, not even its value
        truncated = (sim.elapsed >= self.horizon) & ~terminated
        done = terminated | truncated
        infos: dict[str, Any] = {}
        if done.any():
            infos = {
                "final_obs": obs,
                "_final_obs": done,
                "final_info": {"is_success": sim.solved.copy(), "success_final": sim.solved_now.copy()},
                "_final_info": done,
            }
            sim.reset(np.flatnonzero(done))
            obs = sim.observe()
        return obs, rewards, terminated, truncated, infos

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """Return a picture (height, width, 3) of each simulation in `rgb_array` mode.

        Where episodes have just ended it shows the next ones' starts, as the observations do.
        """
        return None if self.render_mode is None else tuple(self._pictures.of(self.sim))

    @property
    @override
    def solved(self) -> Mask:
        return self.sim.solved

    @property
    @override
    def solved_now(self) -> Mask:
        return self.sim.solved_now

    @property
    @override
    def divergences(self) -> int:
        return self.sim.divergences

    @override
    def get_state(self) -> SavedState:
        return self.sim.get_state()

    @override
    def set_state(self, state: SavedState) -> None:
        self.sim.set_state(state)

    @override
    def look(self) -> Array:
        """Return the simulations' full states (N, nstate)."""
        rows: Array = self.sim.batch.state.copy()
        return rows

    @override
    def painter(self, width: int = 480, height: int = 480) -> Renderer:
        from clrobot.envs.rendering import open_renderer

        return open_renderer(self.sim.model, width, height)

    def close_extras(self, **kwargs: Any) -> None:
        """Release the renderer."""
        self._pictures.close()
