"""Dial-turn: turn a dial by its knob."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike
from typing_extensions import override

from clrobot.envs.arrays import Array, horizontal_distance
from clrobot.envs.deferred import mujoco
from clrobot.envs.experts.expert import Expert, above
from clrobot.envs.scene.mechanisms import HINGE, add_joint, arm_only
from clrobot.envs.scene.parts import (
    FIXTURE_BLUE,
    GOAL_GREEN,
    HANDLE_YELLOW,
    OBJECT_RED,
    PANEL_BLUE,
    add_box,
    add_fixture,
    add_site,
)
from clrobot.envs.simulation.actions import MAX_STEP, OPEN
from clrobot.envs.simulation.features import MechanismFeatures
from clrobot.envs.simulation.task import Box
from clrobot.envs.tasks.mechanism_task import OpeningTask

TRAVEL = 2.4  # rad, from stop to stop
RADIUS = 0.075  # m, of the disk
KNOB_RADIUS = 0.058  # m, from the axis to the knob
KNOB_HEIGHT = 0.10  # m, of the knob's middle above the table
GOAL_ANGLE = 1.8  # rad
SUCCESS_ANGLE = 1.6  # rad


def knob_at(angle: ArrayLike) -> Array:
    """Return where the knob is when the dial is turned by `angle` (…), rad: (…, 3), m, in the stand's frame."""
    c, s = np.cos(angle), np.sin(angle)
    place: Array = np.stack([KNOB_RADIUS * c, -KNOB_RADIUS * s, np.full_like(c, KNOB_HEIGHT)], axis=-1)
    return place


LEAD = 0.5  # rad, how far ahead of the dial the hand is
GENTLE = 0.012  # m, the stride of a hand that holds the knob
GRIP = 0.5  # what the fingers are commanded: 20 mm, round a knob of 26
GRASPING = 10  # control steps in which the fingers close, gently


class DialTurnExpert(Expert[MechanismFeatures]):
    """Grasp the knob from above and go round with it. Phases: 0 over, 1 down, then steps since closing."""

    @override
    def act(self, f: MechanismFeatures) -> Array:
        hand, angle = self.sim.hand, f.joint * GOAL_ANGLE
        self.phase[self.phase >= 2] += 1
        self.advance(1, hand[:, 2] - f.object[:, 2] < 0.006)
        self.advance(0, horizontal_distance(hand, f.object) < 0.008)
        round_ = knob_at(np.minimum(angle + LEAD, 1.15 * GOAL_ANGLE)) - knob_at(angle)
        holding = self.phase[:, None] > 2 + GRASPING
        point = np.where(holding, f.object + round_, self.by_phase(above(f.object, 0.06), f.object))
        fingers = np.clip(OPEN + (GRIP - OPEN) * (self.phase - 1) / GRASPING, OPEN, GRIP)
        stride = np.where(holding, GENTLE, self.by_phase(MAX_STEP, 0.02))
        return self.towards(point, fingers, stride)


class DialTurn(OpeningTask):
    """Turn the dial by its yellow knob, clockwise from above, to the green mark.

    Goal: the dial turned by 1.8 rad. Success: by at least 1.6 rad. Varies: the dial's place, 0.14 x 0.28 m.
    """

    id: ClassVar = "dial-turn"
    expert: ClassVar = DialTurnExpert
    varies: ClassVar = {"place": Box((0.46, -0.14), (0.60, 0.14))}
    weights: ClassVar = {"near": 0.3, "moved": 0.7}
    fixture: ClassVar = "stand"
    joint: ClassVar = "dial"
    handle: ClassVar = "knob"
    goal: ClassVar = "turned"
    full: ClassVar = GOAL_ANGLE
    success_at: ClassVar = SUCCESS_ANGLE

    @override
    def build(self, spec: mujoco.MjSpec) -> None:
        stand = add_fixture(spec, "stand", [0.5, 0.0, 0.0])
        add_box(stand, [0.10, 0.10, 0.030], [0, 0, 0.030], FIXTURE_BLUE)
        # The knob starts on the far side of the dial and is brought round to the near one, past the camera's side.
        dial = stand.add_body(name="dial", pos=[0, 0, 0.060], gravcomp=1.0)
        add_joint(dial, "dial", HINGE, [0, 0, -1], TRAVEL, damping=0.05, friction=0.05, armature=0.01)
        disk = dial.add_geom(
            type=mujoco.mjtGeom.mjGEOM_CYLINDER,
            size=[RADIUS, 0.006, 0],
            pos=[0, 0, 0.006],
            rgba=PANEL_BLUE,
            mass=0.2,
        )
        knob = dial.add_geom(
            type=mujoco.mjtGeom.mjGEOM_CYLINDER,
            size=[0.013, 0.022, 0],
            pos=[KNOB_RADIUS, 0, KNOB_HEIGHT - 0.066],
            rgba=HANDLE_YELLOW,
            mass=0.05,
        )
        pointer = add_box(dial, [KNOB_RADIUS / 2, 0.006, 0.002], [KNOB_RADIUS / 2, 0, 0.0125], OBJECT_RED, mass=0.01)
        arm_only([disk, knob, pointer])
        add_site(dial, "knob", [KNOB_RADIUS, 0, KNOB_HEIGHT - 0.060])
        goal = knob_at(GOAL_ANGLE)
        add_site(stand, "turned", goal)
        mark = stand.add_geom(
            type=mujoco.mjtGeom.mjGEOM_CYLINDER,
            size=[0.013, 0.022, 0],
            pos=goal - [0, 0, 0.006],
            rgba=GOAL_GREEN,
            mass=0.0,
        )
        mark.contype = mark.conaffinity = 0
