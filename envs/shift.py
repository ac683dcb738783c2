"""Domain shift: the same task in another world.

A world is a mapping of names to numbers, such as `{"object.friction": 0.3, "action.delay": 2}`. The physical ones
change the scene before it is compiled; noise and delay stand between the simulation and whoever acts in it.
Rewards and success are those of the true state in every world.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from typing import Any, Final, Literal, NamedTuple

import mujoco
import numpy as np
from numpy.typing import NDArray

from clrobot.envs import arm
from clrobot.envs.rewards import Array
from clrobot.envs.task import Features, Ids, Task

Overrides = Mapping[str, float]


class Override(NamedTuple):
    """What one name changes, and the values that it takes."""

    low: float
    high: float
    of: Literal["object", "joint", "door"]  # freely moving bodies; mechanisms' joints; what passes in and out
    meaning: str
    whole: bool = False


OVERRIDES: Final[Mapping[str, Override]] = {
    "object.friction": Override(0.01, 2.0, "object", "coefficient of sliding in every contact of the objects"),
    "object.mass": Override(0.01, 5.0, "object", "kg, of each object"),
    "object.size": Override(0.5, 1.5, "object", "factor on the objects' lengths; their mass stays"),
    "joint.damping": Override(0.0, 5.0, "joint", "factor on the damping of the mechanism's joints"),
    "joint.friction": Override(0.0, 10.0, "joint", "factor on the dry friction of the mechanism's joints"),
    "sensor.noise": Override(
        0.0, 1.0, "door", "standard deviation of what is added to each number of an observation"
    ),
    "action.delay": Override(0, 10, "door", "control steps until an action takes effect", whole=True),
}

# What waits in the delay at the start of an episode: the hand stays, and the fingers stay open.
IDLE: Final = np.array([0.0, 0.0, 0.0, -1.0])
# The numbers of an observation that show what some tasks have not (see `sim.OBS_LAYOUT`).
OTHER, JOINT = slice(10, 13), 13


# --- which worlds a task has -------------------------------------------------------------------------------------


def checked(task: type[Task], overrides: Overrides) -> dict[str, float]:
    """Return the overrides as plain numbers, in the order of OVERRIDES.

    Raises:
        ValueError: a name is unknown, a value is out of its range, or the task has nothing for it to change.
    """
    for name in overrides:
        if name not in OVERRIDES:
            close = get_close_matches(str(name)[:100], OVERRIDES, n=1)
            hint = f"did you mean {close[0]}?" if close else f"expected one of {', '.join(OVERRIDES)}"
            raise ValueError(f"unknown override {str(name)[:60]!r}; {hint}")
    found = {}
    for name in OVERRIDES:
        if name in overrides:
            found[name] = _number(task, name, overrides[name])
            if (reason := _why_not(task, name)) is not None:
                raise ValueError(f"{name} means nothing for {task.id}: {reason}; leave it out")
    return found


def _number(task: type[Task], name: str, value: Any) -> float:
    kind = OVERRIDES[name]
    low, high = task.bounds.get(name, (kind.low, kind.high))
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or (kind.whole and value != int(value)):
        fits = False
    else:
        fits = low <= value <= high
    if not fits:
        what = "whole number" if kind.whole else "number"
        raise ValueError(f"{name} is {str(value)[:60]}; expected a {what} from {low:g} to {high:g} for {task.id}")
    return int(value) if kind.whole else float(value)


@cache
def _why_not(task: type[Task], name: str) -> str | None:
    """Return why the task has nothing that an override could change, or None."""
    if name in task.refuses:
        return task.refuses[name]
    spec = arm.arm_spec()
    task().build(spec)
    if OVERRIDES[name].of == "object" and not _objects(spec):
        return "it has no object that moves freely"
    if OVERRIDES[name].of == "joint" and not _mechanisms(spec):
        return "it has no mechanism"
    if name == "joint.friction" and not any(joint.frictionloss for joint in _mechanisms(spec)):
        return "its mechanism has no dry friction"
    return None


# --- the physical ones -------------------------------------------------------------------------------------------


def alter(spec: mujoco.MjSpec, task: Task, overrides: Overrides) -> None:
    """Change the built scene of `task`, with values that `checked` has passed."""
    if (size := overrides.get("object.size")) is not None:
        for body in _objects(spec):
            _resize(body, size)
        for name, own in task.fits.items():
            site = spec.site(name)
            site.pos = site.pos + (size - 1.0) * np.array(own)
    if (mass := overrides.get("object.mass")) is not None:
        model = spec.compile()
        for body in _objects(spec):
            factor = mass / model.body(body.name).subtreemass[0]
            for geom in body.find_all("geom"):
                geom.mass, geom.density = geom.mass * factor, geom.density * factor
    if (friction := overrides.get("object.friction")) is not None:
        # A contact takes the coefficient of the geom of the higher priority, else the greater of the two. So what
        # an object does not overrule must have the same one: all but a puck also rub the fingers' pads smooth.
        mine = [geom for body in _objects(spec) for geom in body.find_all("geom")]
        lowest = min(geom.priority for geom in mine)
        for geom in (*mine, *(geom for geom in spec.geoms if geom.priority >= lowest)):
            geom.friction[0] = friction
    for joint in _mechanisms(spec):
        joint.damping = joint.damping * overrides.get("joint.damping", 1.0)
        joint.frictionloss *= overrides.get("joint.friction", 1.0)


def _objects(spec: mujoco.MjSpec) -> list[mujoco.MjsBody]:
    """Return the bodies that move freely."""
    free = int(mujoco.mjtJoint.mjJNT_FREE)
    return [body for body in spec.bodies if any(int(joint.type) == free for joint in body.joints)]


def _mechanisms(spec: mujoco.MjSpec) -> list[mujoco.MjsJoint]:
    """Return the joints that are neither the arm's nor an object's freedom."""
    free, arms = int(mujoco.mjtJoint.mjJNT_FREE), {joint.name for joint in arm.arm_spec().joints}
    return [joint for joint in spec.joints if int(joint.type) != free and joint.name not in arms]


def _resize(body: mujoco.MjsBody, factor: float) -> None:
    """Scale a body about the point of the table under it, on which it so keeps standing."""
    body.pos[2] *= factor
    for geom in body.find_all("geom"):
        geom.size, geom.pos, geom.fromto = geom.size * factor, geom.pos * factor, geom.fromto * factor
    for site in body.find_all("site"):
        site.pos = site.pos * factor


# --- noise and delay ---------------------------------------------------------------------------------------------


class Disturbance:
    """What N simulations' agents see blurred and do late.

    An episode's noise follows from one number, drawn when it starts from the simulation's own generator and after
    the start state: the first episode starts the same in every world, and looking twice shows the same.
    """

    def __init__(self, n: int, overrides: Overrides, episode: tuple[int, int]) -> None:
        """Prepare N simulations, whose episodes show `episode` = (observations, numbers in each)."""
        self._scale = overrides.get("sensor.noise", 0.0)
        self._noise = np.zeros((n if self._scale else 0, *episode), np.float32)
        self._seeds = np.zeros(len(self._noise), np.int64)
        self._pending = np.tile(IDLE, (n, int(overrides.get("action.delay", 0)), 1))
        self._rows = np.arange(n)

    @classmethod
    def of(cls, n: int, overrides: Overrides, episode: tuple[int, int]) -> Disturbance | None:
        """Return the disturbance of a world, or None where all is seen sharply and done at once."""
        disturbs = overrides.get("sensor.noise", 0.0) or overrides.get("action.delay", 0)
        return cls(n, overrides, episode) if disturbs else None

    def reset(self, ids: Ids, rngs: Sequence[np.random.Generator]) -> None:
        """Begin new episodes in the simulations `ids`; `rngs` are all N generators."""
        self._pending[ids] = IDLE
        if self._scale:
            for i in ids:
                self._seeds[i] = rngs[i].integers(2**63)
            self._draw(ids)

    def _draw(self, ids: Ids) -> None:
        for i in ids:
            self._noise[i] = np.random.default_rng(self._seeds[i]).standard_normal(self._noise.shape[1:], np.float32)

    def late(self, actions: Array) -> Array:
        """Return what takes effect now, (N, 4), and keep these actions (N, 4) for later."""
        if not self._pending.shape[1]:
            return actions
        due: Array = self._pending[:, 0].copy()
        self._pending[:, :-1] = self._pending[:, 1:]
        self._pending[:, -1] = actions
        return due

    @property
    def to_come(self) -> Array:
        """The sum of the moves that are held back, (N, 3), in actions' units."""
        moves: Array = self._pending[:, :, :3].sum(axis=1)
        return moves

    def blurred(self, scaled: Array, elapsed: NDArray[np.int64], features: Features) -> Array:
        """Return scaled observations (N, d) with their noise; what the task has not stays zero."""
        if not self._scale:
            return scaled
        noise = self._scale * self._noise[self._rows, elapsed % self._noise.shape[1]]
        if features.other is None:
            noise[:, OTHER] = 0.0
        if features.joint is None:
            noise[:, JOINT] = 0.0
        seen: Array = scaled + noise
        return seen

    def get_state(self) -> dict[str, NDArray[Any]]:
        """Return a copy of all that changes, by name."""
        return {"noise_seeds": self._seeds.copy(), "pending": self._pending.copy()}

    def set_state(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Continue from what `get_state` returned.

        Raises:
            ValueError: it is the state of another world.
        """
        for name, own in (("noise_seeds", self._seeds), ("pending", self._pending)):
            if name not in arrays or arrays[name].shape != own.shape:
                raise ValueError(f"the state has no {name} of shape {own.shape}: it is of another world")
            own[:] = arrays[name]
        if self._scale:
            self._draw(self._rows)
