"""The live state of N simulations: what tasks, rewards and experts read, and what a task's `place` writes."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from clrobot.envs.arrays import Array, length
from clrobot.envs.cores import usable_cores
from clrobot.envs.deferred import mujoco
from clrobot.envs.forks import Inherited
from clrobot.envs.scene import arm
from clrobot.envs.simulation.features import Ids


@cache
def _stage() -> int:
    """Return the stage up to which derived fields are current after each step: those of position and velocity."""
    return int(mujoco.mjtStage.mjSTAGE_VEL)


class SimState:
    """N simulations of one model, stepped together on MuJoCo's native thread pool, and views of their state.

    The views are live: resets, steps and `forward` change what they show.

    `batch.state` (N, nstate) holds the full states.

    Attributes:
        n: the number of simulations.
        model: the compiled scene.
        threads: of the physics; results do not depend on it.
        qpos: the joints' positions, writable, (N, nq), m and rad.
        hand: the position of the point between the fingertips, (N, 3), m.
        target: where the hand is commanded to be, (N, 3), m.
        elapsed: control steps since the last reset, (N,).
        object_size: factor on the lengths of the task's objects, 1 unless it is overridden.
    """

    def __init__(self, model: mujoco.MjModel, n: int, threads: int = 0, object_size: float = 1.0) -> None:
        """Allocate N simulations of `model` on `threads` threads (0: all cores that the process may use)."""
        self.n = n
        self.model = model
        self.threads = min(threads or usable_cores(), n)  # more would have nothing to do
        self.object_size = object_size
        self._sites = np.zeros((model.nsite, n, 3))
        self._allocate()
        self.hand = self.site("pinch")
        self.elapsed = np.zeros(n, np.int64)
        _inherited.add(self)

    @property
    def batch(self) -> Any:
        """The `mujoco.batch.Batch`; in a forked process, which has none of its threads, another in the same state."""
        if self._threads_are_gone:
            lost = self._batch
            self._allocate()
            self._batch.state[:] = lost.state
            self._batch.forward(None, stage=_stage())
        return self._batch

    def _allocate(self) -> None:
        """Make a batch, and the views of it."""
        from mujoco.batch import Batch

        # A persistent batch continues from the stages computed after a step, which therefore cost nothing.
        self._batch: Any = Batch(self.model, self.n, self.threads, persistent=True)
        self._threads_are_gone = False
        self.qpos: Array = self._batch.bind("qpos")
        self._mocap: Array = self._batch.bind("mocap_pos")
        self._ctrl: Array = self._batch.bind("ctrl")
        self.target = self._ctrl[:, :3]
        self._views: dict[str, Array] = {}
        # MuJoCo has all sites of a simulation together; here each site's places lie together, (sites, N, 3).
        self._site_rows: Array = self._batch.bind("site_xpos").transpose(1, 0, 2)
        self._hand_velocity: Array = self._batch.bind("sensordata")[:, :3]
        self._fingers = self.qpos[:, 7:9]

    def site(self, name: str) -> Array:
        """Return the live world positions (N, 3) of the site `name`, m."""
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
        return self._mocap[:, self.model.body(body).mocapid[0]]

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
    def squeeze(self) -> Array:
        """How far an object between the fingers keeps each from where it is commanded to be, (N,), m.

        The grip's force is this times the fingers' stiffness, `arm.FINGER_STIFFNESS`, up to `arm.FINGER_FORCE`.
        """
        kept_back: Array = np.maximum(self.opening - self._ctrl[:, 6], 0.0)
        return kept_back

    @property
    def delayed_target(self) -> Array:
        """Where `target` will be when the actions that a delay holds back have taken effect, (N, 3), m."""
        target: Array = self.target
        return target

    def forward(self, ids: Ids | None = None) -> None:
        """Compute anew what follows from the states of the simulations `ids` (None: all), which were written."""
        self.batch.forward(ids, stage=_stage())
        np.copyto(self._sites, self._site_rows)

    def _advance(self) -> None:
        """Advance the physics by one control step."""
        self.batch.step(nstep=arm.SUBSTEPS, stage=_stage())
        np.copyto(self._sites, self._site_rows)
        self.elapsed += 1


def _note_fork(sim: SimState) -> object:
    sim._threads_are_gone = True
    return sim._batch


_inherited = Inherited(_note_fork)
