"""Domain shift: the same task with another physics, noise or delay.

A world is a mapping of names to numbers, such as `{"object.friction": 0.3, "action.delay": 2}`. The physical ones
change the scene before it is compiled; noise and delay stand between the simulation and whoever acts in it.
Rewards and success are those of the true state in every world.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from clrobot.envs.deferred import mujoco
from clrobot.envs.scene import arm
from clrobot.envs.simulation.task import Task

Overrides = Mapping[str, float]


class Override(NamedTuple):
    """What one name changes, and the values that it takes."""

    low: float
    high: float
    # Freely moving bodies; mechanisms' joints; what passes between the simulation and whoever acts in it.
    changes: Literal["object", "joint", "interface"]
    meaning: str
    whole: bool = False


OVERRIDES: Final[Mapping[str, Override]] = {
    "object.friction": Override(0.01, 2.0, "object", "coefficient of sliding in every contact of the objects"),
    "object.mass": Override(0.01, 5.0, "object", "kg, of each object"),
    "object.size": Override(0.5, 1.5, "object", "factor on the objects' lengths; their mass stays"),
    "joint.damping": Override(0.0, 5.0, "joint", "factor on the damping of the mechanism's joints"),
    "joint.friction": Override(0.0, 10.0, "joint", "factor on the dry friction of the mechanism's joints"),
    "sensor.noise": Override(
        0.0, 1.0, "interface", "standard deviation of what is added to each number of an observation"
    ),
    "action.delay": Override(0, 10, "interface", "control steps until an action takes effect", whole=True),
}


# --- which overrides a task takes --------------------------------------------------------------------------------


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
    low, high = task.override_ranges.get(name, (kind.low, kind.high))
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
    if OVERRIDES[name].changes == "object" and not _objects(spec):
        return "it has no object that moves freely"
    if name == "object.size" and any(geom.meshname for body in _objects(spec) for geom in body.find_all("geom")):
        return "an object of its is a mesh, whose lengths are its file's"
    if OVERRIDES[name].changes == "joint" and not _mechanisms(spec):
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
        for name, lengths in task.size_offsets.items():
            site = spec.site(name)
            site.pos = site.pos + (size - 1.0) * np.array(lengths)
    if (mass := overrides.get("object.mass")) is not None:
        model = spec.compile()
        for body in _objects(spec):
            factor = mass / model.body(body.name).subtreemass[0]
            for geom in body.find_all("geom"):
                geom.mass, geom.density = geom.mass * factor, geom.density * factor
    if (friction := overrides.get("object.friction")) is not None:
        # A contact takes the coefficient of the geom of the higher priority, else the greater of the two. So what
        # an object does not overrule must have the same one: all but a puck also rub the fingers' pads smooth.
        own = [geom for body in _objects(spec) for geom in body.find_all("geom")]
        lowest = min(geom.priority for geom in own)
        for geom in (*own, *(geom for geom in spec.geoms if geom.priority >= lowest)):
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
        geom.density /= factor**3  # which counts where the geom has no mass of its own
    for kind in ("site", "body", "joint"):
        for part in body.find_all(kind):
            part.pos = part.pos * factor
