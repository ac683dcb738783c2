"""The batched simulation: N copies of one task, stepped together on MuJoCo's native thread pool.

Everything that changes is in the state rows of `mujoco.batch.Batch` (joint positions and velocities, the hand's
target as control, the goal as a mocap body), in a few arrays of counters, in what noise and delay hold, and in one
random generator for each simulation: `Simulation.get_state` returns all of it. Results do not depend on the number of
threads or on N.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from gymnasium.utils import seeding
from numpy.typing import NDArray
from typing_extensions import override

from clrobot.envs.arrays import Array, clip
from clrobot.envs.deferred import mujoco
from clrobot.envs.scene import arm
from clrobot.envs.simulation.actions import FINGER_STEP, LEASH, MAX_STEP, checked_actions
from clrobot.envs.simulation.disturbance import Disturbance
from clrobot.envs.simulation.features import Features, Ids, Mask
from clrobot.envs.simulation.observation import OBS_LIMIT, OBS_SIZE, Observation
from clrobot.envs.simulation.overrides import Overrides, alter, checked
from clrobot.envs.simulation.state import SimState
from clrobot.envs.simulation.task import Task

HORIZON: Final = 100  # control steps in an episode (4 s)

_HOME_JOINTS = np.array([joint.home for joint in arm.JOINTS] + [arm.FINGER_TRAVEL] * 2)
# s, what a simulation's clock shows at a start. Where MuJoCo finds a simulation gone to infinity, it takes it back to
# the model's defaults, its clock to zero: a clock that shows less than at the start tells of that.
_START_TIME: Final = 1.0


class SavedState(NamedTuple):
    """All that changes in a simulation: restoring it continues with the same bits."""

    arrays: dict[str, NDArray[Any]]  # by name, each (N, …)
    generators: list[dict[str, Any]]  # of start states, one for each simulation


def build_model(task: Task, overrides: Overrides | None = None) -> mujoco.MjModel:
    """Compile the scene of `task`: the arm, its table and the task's objects, changed as the overrides say."""
    spec = arm.arm_spec()
    task.build(spec)
    if overrides:
        alter(spec, task, overrides)
    return spec.compile()


class Simulation(SimState):
    """N simulations of one task, from start states to rewards.

    Attributes:
        task: what is simulated.
        overrides: what is different in these simulations' world (see `overrides.OVERRIDES`).
        solved: whether the episode has been solved at any step so far, (N,).
        solved_now: whether it is solved at this step, (N,).
        diverged: whether the simulation has gone to infinity since its reset, (N,): trust nothing of it; it earns
            nothing and solves nothing until it is reset.
        divergences: how many times any has.
    """

    def __init__(self, task: Task, n: int, threads: int = 0, overrides: Overrides | None = None) -> None:
        """Compile the task's model and allocate N simulations on `threads` threads (0: all that may be used).

        Raises:
            ValueError: an override is unknown, out of range, or nothing that this task has.
        """
        own = checked(type(task), overrides or {})
        self._begin(task, n, threads, own, build_model(task, own))

    def _begin(self, task: Task, n: int, threads: int, overrides: Overrides, model: mujoco.MjModel) -> None:
        self.task = task
        self.overrides = dict(overrides)
        super().__init__(model, n, threads, self.overrides.get("object.size", 1.0))
        self._observation = Observation(n)
        self._disturbance = Disturbance.of(n, self.overrides, (HORIZON + 1, OBS_SIZE))
        self.solved = np.zeros(n, np.bool_)
        self.solved_now = np.zeros(n, np.bool_)
        self.diverged = np.zeros(n, np.bool_)
        self.divergences = 0
        self._start_row = self._make_start_row()
        self.batch.state[:] = self._start_row
        self._rngs: list[np.random.Generator] = [seeding.np_random()[0] for _ in range(n)]
        self._draw_low = np.concatenate([np.asarray(box.low) for box in task.varies.values()])
        self._draw_high = np.concatenate([np.asarray(box.high) for box in task.varies.values()])
        # Written out for every simulation: numpy is slow where it repeats a short row.
        self._low, self._high = (np.tile(bound, (n, 1)) for bound in (arm.WORKSPACE_LOW, arm.WORKSPACE_HIGH))

    @override
    def _allocate(self) -> None:
        super()._allocate()
        self._clock: Array = self._batch.bind("time")

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy (`copy.deepcopy`, `pickle`) continues from with the same bits."""
        return {
            "begin": (self.task, self.n, self.threads, self.overrides, self.model),
            "arrays": self.get_state().arrays,
            "generators": self._rngs,  # as objects: whoever shares one with this simulation shares it in the copy
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Continue from what `__getstate__` returned."""
        self._begin(*state["begin"])
        self._rngs = state["generators"]
        self.set_state(SavedState(state["arrays"], [dict(rng.bit_generator.state) for rng in self._rngs]))

    @property
    @override
    def delayed_target(self) -> Array:
        target: Array = self.target
        return target if self._disturbance is None else target + MAX_STEP * self._disturbance.pending_displacement

    def _make_start_row(self) -> Array:
        """Return the state row (nstate,) of the model's defaults with the arm at home and its fingers open."""
        self._clock[0] = _START_TIME
        self.qpos[0, :9] = _HOME_JOINTS
        self.target[0] = arm.HOME
        self._ctrl[0, 6:8] = arm.FINGER_TRAVEL
        row: Array = self.batch.state[0].copy()
        return row

    # --- episodes --------------------------------------------------------------------------------------------

    def seed(self, seeds: Sequence[int | None] | None, ids: Ids | None = None) -> None:
        """Give the simulations `ids` (None: all) generators of their own: seeds (N,), with fresh entropy for None.

        Raises:
            ValueError: there are not N seeds.
        """
        chosen: Sequence[int | None] = [None] * self.n if seeds is None else seeds
        if len(chosen) != self.n:
            raise ValueError(f"{len(chosen)} seeds; expected {self.n}, one for each simulation")
        for i in range(self.n) if ids is None else ids:
            self._rngs[i] = seeding.np_random(chosen[i])[0]

    def use_generators(self, rngs: list[np.random.Generator]) -> None:
        """Draw start states from these generators (N of them) from now on."""
        self._rngs = rngs

    def reset(self, ids: Ids | None = None) -> None:
        """Put the simulations `ids` (None: all) at new start states drawn from their generators."""
        if ids is None:
            ids = np.arange(self.n)
        self.batch.state[ids] = self._start_row  # quicker than the batch's reset
        uniform = np.empty((len(ids), len(self._draw_low)))
        for i, row in zip(ids, uniform, strict=True):
            self._rngs[i].random(out=row)
        values = self._draw_low + uniform * (self._draw_high - self._draw_low)
        drawn, start = {}, 0
        for name, box in self.task.varies.items():
            drawn[name] = values[:, start : start + len(box.low)]
            start += len(box.low)
        if self._disturbance is not None:
            self._disturbance.reset(ids, self._rngs)
        self.task.place(self, ids, drawn)
        self.forward(ids)
        self.elapsed[ids] = 0
        self.solved[ids] = False
        self.solved_now[ids] = False
        self.diverged = self._clock < _START_TIME

    def step(self, actions: NDArray[Any]) -> tuple[Features, Array]:
        """Advance every simulation by one control step (40 ms).

        Args:
            actions: (N, 4) in [-1, 1], clipped to it. The first three move the hand's target by up to MAX_STEP
                along x, y and z; the last sets the fingers, from -1 (open) to 1 (closed).

        Returns:
            The features after the step, and the rewards (N,) in [0, 1].

        Raises:
            ValueError: the actions have another shape, or one is NaN or infinite.
        """
        a = checked_actions(actions, self.n)
        if self._disturbance is not None:
            a = self._disturbance.delayed(a)
        target = clip(self.target + MAX_STEP * a[:, :3], self.hand - LEASH, self.hand + LEASH)
        self.target[:] = clip(target, self._low, self._high)
        commanded, before = (0.5 * arm.FINGER_TRAVEL) * (1.0 - a[:, 3]), self._ctrl[:, 6]
        self._ctrl[:, 6:8] = clip(commanded, before - FINGER_STEP, before + FINGER_STEP)[:, None]
        self._advance()
        known, self.diverged = self.diverged, self._clock < _START_TIME
        lost = bool(self.diverged.any())
        if lost:
            self.divergences += int(np.count_nonzero(self.diverged & ~known))
            self._clock[self.diverged] = 0.0  # until it is reset
        features = self.task.features(self)
        self.solved_now = self.task.success(self, features)
        rewards = self.task.reward(self, features)
        if lost:
            self.solved_now[self.diverged] = False
            rewards[self.diverged] = 0.0
        self.solved |= self.solved_now
        return features, rewards

    def get_state(self) -> SavedState:
        """Return a copy of all that changes."""
        arrays = {
            "rows": self.batch.state.copy(),
            "elapsed": self.elapsed.copy(),
            "solved": self.solved.copy(),
            "solved_now": self.solved_now.copy(),
            "divergences": np.array([self.divergences]),
        }
        if self._disturbance is not None:
            arrays |= self._disturbance.get_state()
        return SavedState(arrays, [dict(rng.bit_generator.state) for rng in self._rngs])

    def set_state(self, state: SavedState) -> None:
        """Continue from what `get_state` returned.

        Raises:
            KeyError, ValueError: it is the state of other simulations, or no state at all.
        """
        rows = state.arrays["rows"]
        if rows.shape != self.batch.state.shape or len(state.generators) != self.n or not np.isfinite(rows).all():
            raise ValueError(f"state rows {rows.shape}; expected {self.batch.state.shape}, finite")
        for name in ("elapsed", "solved", "solved_now"):
            own: NDArray[Any] = getattr(self, name)
            if (state.arrays[name].shape, state.arrays[name].dtype) != (own.shape, own.dtype):
                raise ValueError(f"{name} of shape {state.arrays[name].shape}; expected {own.shape} of {own.dtype}")
        if self._disturbance is not None:
            self._disturbance.set_state(state.arrays)
        self.batch.state[:] = rows
        self.forward()
        self.elapsed[:] = state.arrays["elapsed"]
        self.solved[:] = state.arrays["solved"]
        self.solved_now = state.arrays["solved_now"].copy()
        self.diverged = self._clock < _START_TIME
        self.divergences = int(state.arrays["divergences"][0])
        for rng, saved in zip(self._rngs, state.generators, strict=True):
            rng.bit_generator.state = saved

    def features(self) -> Features:
        """Return what the task shows of the simulations as they are."""
        features: Features = self.task.features(self)
        return features

    def observe(self, features: Features | None = None) -> NDArray[np.float32]:
        """Return the observations (N, OBS_SIZE), laid out and scaled as OBS_LAYOUT says; `features` are these."""
        f = self.features() if features is None else features
        scaled = self._observation.scaled(self, f)
        if self._disturbance is not None:
            scaled = self._disturbance.with_noise(scaled, self.elapsed, f)
        obs: NDArray[np.float32] = clip(scaled, -OBS_LIMIT, OBS_LIMIT).astype(np.float32)
        return obs

    @property
    def finished(self) -> Mask:
        """Whether each simulation's episode has run its full length, (N,)."""
        return self.elapsed >= HORIZON
