"""The batched simulation: N copies of one task, stepped together on MuJoCo's native thread pool.

Everything that changes is in the state rows of `mujoco.batch.Batch` (joint positions and velocities, the hand's
target as control, the goal as a mocap body), in three arrays of counters, and in one random generator for each
simulation. Results do not depend on the number of threads or on N.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import mujoco
import numpy as np
from gymnasium.utils import seeding
from mujoco.batch import Batch
from numpy.typing import NDArray

from clrobot.envs.arrays import Array, clip, length
from clrobot.envs.scene import arm
from clrobot.envs.simulation.disturbance import Disturbance
from clrobot.envs.simulation.features import Features, Ids, Mask
from clrobot.envs.simulation.observation import OBS_LAYOUT, OBS_LIMIT, OBS_SIZE
from clrobot.envs.simulation.overrides import Overrides, alter, checked
from clrobot.envs.simulation.task import Task

HORIZON: Final = 100  # control steps in an episode (4 s)
MAX_STEP: Final = 0.03  # m, the farthest one action moves the hand's target
FINGER_STEP: Final = arm.FINGER_SPEED * arm.CONTROL_STEP  # m, the farthest one action moves a finger's target
LEASH: Final = 0.08  # m, the farthest the target may lead the hand, along each axis
ACTION_SIZE: Final = 4

_HOME_JOINTS = np.array([joint.home for joint in arm.JOINTS] + [arm.FINGER_TRAVEL] * 2)
_STAGE = int(mujoco.mjtStage.mjSTAGE_VEL)  # derived fields current in position and velocity after each step


# s, what a simulation's clock shows at a start. Where MuJoCo finds a simulation gone to infinity, it takes it back to
# the model's defaults, its clock to zero: a clock that shows less than at the start tells of that.
_START_TIME: Final = 1.0


class SimulationState(NamedTuple):
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


class Simulation:
    """N simulations of one task, from start states to rewards.

    Attributes:
        n: the number of simulations.
        batch: the `mujoco.batch.Batch`; `batch.state` (N, nstate) holds the full states.
        hand: the position of the point between the fingertips, (N, 3), m, kept up to date as `site` says.
        target: where the hand is told to be, live, (N, 3), m.
        elapsed: control steps since the last reset, (N,).
        solved: whether the episode has been solved at any step so far, (N,).
        solved_now: whether it is solved at this step, (N,).
        diverged: whether the simulation has gone to infinity since its reset, (N,): trust nothing of it; it earns
            nothing and solves nothing until it is reset.
        divergences: how many times any has.
        overrides: what is different in these simulations' world (see `shift`).
        object_size: factor on the lengths of the task's objects, 1 unless it is overridden.
    """

    def __init__(self, task: Task, n: int, threads: int = 0, overrides: Overrides | None = None) -> None:
        """Compile the task's model and allocate N simulations on `threads` threads (0: all cores).

        Raises:
            ValueError: an override is unknown, out of range, or nothing that this task has.
        """
        self.task = task
        self.n = n
        self.overrides = checked(type(task), overrides or {})
        self.object_size = self.overrides.get("object.size", 1.0)
        self._disturbance = Disturbance.of(n, self.overrides, (HORIZON + 1, OBS_SIZE))
        self.model = build_model(task, self.overrides)
        # A persistent batch continues from the stages computed after a step, which therefore cost nothing.
        self.batch: Any = Batch(self.model, n, threads, persistent=True)
        self.qpos: Array = self.batch.bind("qpos")
        self.mocap: Array = self.batch.bind("mocap_pos")
        self._ctrl: Array = self.batch.bind("ctrl")
        self.target = self._ctrl[:, :3]
        self._views: dict[str, Array] = {}
        # MuJoCo has all sites of a simulation together; here each site's places lie together, (sites, N, 3).
        self._site_rows: Array = self.batch.bind("site_xpos").transpose(1, 0, 2)
        self._sites = np.zeros(self._site_rows.shape)
        self.hand = self.site("pinch")
        self._hand_velocity: Array = self.batch.bind("sensordata")[:, :3]
        self._fingers = self.qpos[:, 7:9]
        self.elapsed = np.zeros(n, np.int64)
        self.solved = np.zeros(n, np.bool_)
        self.solved_now = np.zeros(n, np.bool_)
        self.diverged = np.zeros(n, np.bool_)
        self.divergences = 0
        self._clock: Array = self.batch.bind("time")
        self._start_row = self._make_start_row()
        self.batch.state[:] = self._start_row
        self._rngs: list[np.random.Generator] = [seeding.np_random()[0] for _ in range(n)]
        self._draw_low = np.concatenate([np.asarray(box.low) for box in task.varies.values()])
        self._draw_high = np.concatenate([np.asarray(box.high) for box in task.varies.values()])
        # Written out for every simulation: numpy is slow where it repeats a short row.
        self._low, self._high = (np.tile(bound, (n, 1)) for bound in (arm.WORKSPACE_LOW, arm.WORKSPACE_HIGH))
        offset = np.concatenate([np.broadcast_to(o, size) for _, size, o, _ in OBS_LAYOUT])
        scale = np.concatenate([np.broadcast_to(s, size) for _, size, _, s in OBS_LAYOUT])
        self._obs_offset, self._obs_scale = np.tile(offset, (n, 1)), np.tile(scale, (n, 1))
        self._raw_obs = self._obs_offset.copy()  # before scaling: what a task lacks stays at its offset

    # --- live views, for tasks -------------------------------------------------------------------------------

    def site(self, name: str) -> Array:
        """Return the world positions (N, 3) of the site `name`, m: kept up to date by resets, steps and `forward`."""
        if name not in self._views:
            self._views[name] = self._sites[self.model.site(name).id]
        return self._views[name]

    def joint_qpos(self, name: str) -> Array:
        """Return the live, writable positions of the joint `name`: (N, 1) for a slide or hinge, (N, 7) if free."""
        key = f"joint {name}"
        if key not in self._views:
            start = self.model.joint(name).qposadr[0]
            free = self.model.joint(name).type[0] == int(mujoco.mjtJoint.mjJNT_FREE)
            self._views[key] = self.qpos[:, start : start + (7 if free else 1)]
        return self._views[key]

    def mocap_pos(self, body: str) -> Array:
        """Return the live, writable positions (N, 3) of the mocap body `body`, m."""
        return self.mocap[:, self.model.body(body).mocapid[0]]

    @property
    def opening(self) -> Array:
        """Half the gap between the fingertips, (N,), from 0 to `arm.FINGER_TRAVEL`, m."""
        opening: Array = 0.5 * (self._fingers[:, 0] + self._fingers[:, 1])
        return opening

    @property
    def hand_speed(self) -> Array:
        """The hand's speed, (N,), m/s."""
        return length(self._hand_velocity)

    @property
    def promised(self) -> Array:
        """Where `target` will be when the actions that a delay holds back have taken effect, (N, 3), m."""
        target: Array = self.target
        return target if self._disturbance is None else target + MAX_STEP * self._disturbance.to_come

    @property
    def squeeze(self) -> Array:
        """How far something between the fingers holds each back from where it is told to be, (N,), m.

        The grip's force is this times the fingers' stiffness, `arm.FINGER_STIFFNESS`, up to `arm.FINGER_FORCE`.
        """
        held_back: Array = np.maximum(self.opening - self._ctrl[:, 6], 0.0)
        return held_back

    def _make_start_row(self) -> Array:
        """Return the state row (nstate,) of the model's defaults with the arm at home and its fingers open."""
        self._clock[0] = _START_TIME
        self.qpos[0, :9] = _HOME_JOINTS
        self.target[0] = arm.HOME
        self._ctrl[0, 6:8] = arm.FINGER_TRAVEL
        row: Array = self.batch.state[0].copy()
        return row

    # --- episodes --------------------------------------------------------------------------------------------

    def seed(self, seeds: Sequence[int | None] | None) -> None:
        """Give each simulation a generator of its own: seeds (N,), with fresh entropy for None.

        Raises:
            ValueError: there are not N seeds.
        """
        chosen: Sequence[int | None] = [None] * self.n if seeds is None else seeds
        if len(chosen) != self.n:
            raise ValueError(f"{len(chosen)} seeds; expected {self.n}, one for each simulation")
        self._rngs = [seeding.np_random(seed)[0] for seed in chosen]

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

    def forward(self, ids: Ids | None = None) -> None:
        """Compute anew what follows from the states of the simulations `ids` (None: all), which were written."""
        self.batch.forward(ids, stage=_STAGE)
        np.copyto(self._sites, self._site_rows)

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
        a = np.asarray(actions, np.float64)
        if a.shape != (self.n, ACTION_SIZE):
            raise ValueError(f"actions of shape {a.shape}; expected {(self.n, ACTION_SIZE)}")
        if not np.isfinite(a).all():
            bad = int(np.flatnonzero(~np.isfinite(a).all(axis=1))[0])
            raise ValueError(
                f"action {a[bad].tolist()} of simulation {bad} is not finite; "
                f"expected {ACTION_SIZE} numbers in [-1, 1]"
            )
        a = clip(a, -1.0, 1.0)
        if self._disturbance is not None:
            a = self._disturbance.late(a)
        target = clip(self.target + MAX_STEP * a[:, :3], self.hand - LEASH, self.hand + LEASH)
        self.target[:] = clip(target, self._low, self._high)
        told, before = (0.5 * arm.FINGER_TRAVEL) * (1.0 - a[:, 3]), self._ctrl[:, 6]
        self._ctrl[:, 6:8] = clip(told, before - FINGER_STEP, before + FINGER_STEP)[:, None]
        self.batch.step(nstep=arm.SUBSTEPS, stage=_STAGE)
        np.copyto(self._sites, self._site_rows)
        self.elapsed += 1
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

    def get_state(self) -> SimulationState:
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
        return SimulationState(arrays, [dict(rng.bit_generator.state) for rng in self._rngs])

    def set_state(self, state: SimulationState) -> None:
        """Continue from what `get_state` returned.

        Raises:
            ValueError: it is the state of other simulations.
        """
        rows = state.arrays["rows"]
        if rows.shape != self.batch.state.shape or len(state.generators) != self.n:
            raise ValueError(f"state rows {rows.shape}; expected {self.batch.state.shape}")
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

    def observe(self, features: Features | None = None) -> NDArray[np.float32]:
        """Return the observations (N, OBS_SIZE), laid out and scaled as OBS_LAYOUT says."""
        f = self.task.features(self) if features is None else features
        raw, hand = self._raw_obs, self.hand
        raw[:, 0:3] = hand
        np.subtract(self.target, hand, out=raw[:, 3:6])
        raw[:, 6] = self.opening
        raw[:, 7:10] = f.thing
        if f.other is not None:
            raw[:, 10:13] = f.other
        if f.joint is not None:
            raw[:, 13] = f.joint
        raw[:, 14:17] = f.goal
        np.subtract(f.thing, hand, out=raw[:, 17:20])
        raw[:, 20:23] = f.way
        scaled = raw - self._obs_offset
        scaled /= self._obs_scale
        if self._disturbance is not None:
            scaled = self._disturbance.blurred(scaled, self.elapsed, f)
        obs: NDArray[np.float32] = clip(scaled, -OBS_LIMIT, OBS_LIMIT).astype(np.float32)
        return obs

    @property
    def finished(self) -> Mask:
        """Whether each simulation's episode has run its full length, (N,)."""
        return self.elapsed >= HORIZON
