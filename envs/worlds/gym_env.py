"""One simulation of a task as a Gymnasium environment, with pictures."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from clrobot.envs.deferred import mujoco
from clrobot.envs.gl import has_screen
from clrobot.envs.simulation.overrides import Overrides
from clrobot.envs.simulation.simulation import Simulation
from clrobot.envs.simulation.task import Task
from clrobot.envs.worlds.pictures import Pictures
from clrobot.envs.worlds.vector_env import FPS, action_space, observation_space


class TaskEnv(gym.Env[NDArray[np.float32], NDArray[np.float32]]):
    """One robot arm with one task (`clrobot/Reach-v0` and so on); the task's docstring is the manual page.

    Action, 4 numbers in [-1, 1]: the displacement of the hand's target along x (away from the base), y (left) and
    z (up), times 0.03 m; and the fingers, from -1 (open) to 1 (closed).

    Observation: 23 numbers in [-5, 5], laid out as `clrobot.envs.simulation.observation.OBS_LAYOUT` says.

    Reward: in [0, 1]. Episode: 100 steps of 40 ms, truncated; terminated only where the simulation diverged.
    `info["success"]` is whether the task is solved at this step, and `info["is_success"]` whether it has been at any
    step so far; at an episode's end `info["success_final"]` is the former.

    `render_mode="rgb_array"` works without OpenGL; `"human"` opens MuJoCo's viewer and needs a screen.

    For planning, `copy.deepcopy(env)` goes on from the same state with the same bits; so does what `pickle` loads.
    """

    # "human" is declared where it can work: Gymnasium's checker opens every declared mode.
    metadata = {  # noqa: RUF012
        "render_modes": ["rgb_array", "human"] if has_screen() else ["rgb_array"],
        "render_fps": FPS,
    }

    def __init__(
        self,
        task: Task,
        render_mode: str | None = None,
        width: int = 480,
        height: int = 480,
        overrides: Overrides | None = None,
    ) -> None:
        """Build one simulation; pictures are `width` x `height` pixels; overrides as `overrides.OVERRIDES` says."""
        if render_mode == "human" and not has_screen():
            raise ValueError("render_mode 'human' opens a window, and there is no screen; use 'rgb_array'")
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode {render_mode!r}; expected 'rgb_array', 'human' or None")
        self.render_mode = render_mode
        self.observation_space = observation_space()
        self.action_space = action_space()
        self.sim = Simulation(task, 1, threads=1, overrides=overrides)
        self._pictures = Pictures(width, height)
        self._viewer: Any = None
        self._viewer_data: Any = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start a new episode; the same seed gives the same start."""
        super().reset(seed=seed)
        self.sim.use_generators([self.np_random])
        self.sim.reset()
        self._show()
        return self.sim.observe()[0], {}

    def step(self, action: NDArray[np.float32]) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Advance by one control step."""
        features, rewards = self.sim.step(np.asarray(action)[None])
        self._show()
        info = {"success": bool(self.sim.solved_now[0]), "is_success": bool(self.sim.solved[0])}
        terminated = bool(self.sim.diverged[0])
        truncated = bool(self.sim.finished[0]) and not terminated
        if terminated or truncated:
            info["success_final"] = info["success"]
        return self.sim.observe(features)[0], float(rewards[0]), terminated, truncated, info

    def render(self) -> NDArray[np.uint8] | None:
        """Return the picture (height, width, 3) in `rgb_array` mode."""
        if self.render_mode != "rgb_array":
            return None
        return next(self._pictures.of(self.sim))

    def _show(self) -> None:
        """Bring MuJoCo's viewer up to date in `human` mode."""
        if self.render_mode != "human":
            return
        if self._viewer is None:
            from mujoco import viewer

            self._viewer_data = mujoco.MjData(self.sim.model)
            self._viewer = viewer.launch_passive(self.sim.model, self._viewer_data)
        self.sim.batch.get_data(0, self._viewer_data)
        mujoco.mj_forward(self.sim.model, self._viewer_data)
        self._viewer.sync()

    def close(self) -> None:
        """Release the renderer and the viewer."""
        self._pictures.close()
        if self._viewer is not None:
            self._viewer.close()
        self._viewer = None

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy (`copy.deepcopy`, `pickle`) goes on with, with the same bits: all but the window."""
        return self.__dict__ | {"_viewer": None, "_viewer_data": None}
