"""Lever-pull: pull a standing lever over."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from typing_extensions import override

from clrobot.envs.arrays import Array
from clrobot.envs.deferred import mujoco
from clrobot.envs.experts.handle import OpeningExpert
from clrobot.envs.scene.mechanisms import HINGE, add_joint, arm_only
from clrobot.envs.scene.parts import FIXTURE_BLUE, HANDLE_YELLOW, PANEL_BLUE, add_box, add_fixture, add_site
from clrobot.envs.simulation.features import MechanismFeatures
from clrobot.envs.simulation.task import Box
from clrobot.envs.tasks.mechanism_task import OpeningTask

TRAVEL = 1.3  # rad, from stop to stop
START_LEAN = 0.35  # rad, how far the lever leans away from the robot at the start
LENGTH = 0.12  # m, from the pivot to the ball's middle
PIVOT_HEIGHT = 0.06  # m
GOAL_ANGLE = 1.1  # rad, from the start
SUCCESS_ANGLE = 1.0  # rad

PULL = (-0.03, 0.0, -0.01)  # m, from the ball to where the hand pulls towards


class LeverPullExpert(OpeningExpert):
    """Behind the ball, then back."""

    offset: ClassVar = (0.040, 0.0, -0.005)
    clearance: ClassVar = 0.07
    descent: ClassVar = 0.02
    stride: ClassVar = 0.01

    @override
    def ahead(self, f: MechanismFeatures) -> Array:
        return f.object + PULL


class LeverPull(OpeningTask):
    """Pull the lever with the yellow ball over, towards the robot.

    Goal: the lever turned by 1.1 rad. Success: by at least 1 rad. Varies: the lever's place, 0.10 x 0.30 m.
    """

    id: ClassVar = "lever-pull"
    expert: ClassVar = LeverPullExpert
    varies: ClassVar = {"place": Box((0.52, -0.15), (0.62, 0.15))}
    weights: ClassVar = {"near": 0.4, "moved": 0.6}
    fixture: ClassVar = "stand"
    joint: ClassVar = "lever"
    handle: ClassVar = "ball"
    goal: ClassVar = "pulled"
    full: ClassVar = GOAL_ANGLE
    success_at: ClassVar = SUCCESS_ANGLE

    @override
    def build(self, spec: mujoco.MjSpec) -> None:
        stand = add_fixture(spec, "stand", [0.57, 0.0, 0.0])
        add_box(stand, [0.06, 0.04, 0.010], [0, 0, 0.010], FIXTURE_BLUE)
        for side in (-1.0, 1.0):
            add_box(stand, [0.014, 0.006, 0.030], [0, side * 0.022, 0.045], FIXTURE_BLUE)
        lean = START_LEAN / 2
        lever = stand.add_body(
            name="lever", pos=[0, 0, PIVOT_HEIGHT], quat=[np.cos(lean), 0, np.sin(lean), 0], gravcomp=1.0
        )
        add_joint(lever, "lever", HINGE, [0, -1, 0], TRAVEL, damping=0.1, friction=0.1, armature=0.01)
        rod = lever.add_geom(
            type=mujoco.mjtGeom.mjGEOM_CAPSULE,
            fromto=[0, 0, 0, 0, 0, LENGTH],
            size=[0.010, 0, 0],
            rgba=PANEL_BLUE,
            mass=0.1,
        )
        ball = lever.add_geom(
            type=mujoco.mjtGeom.mjGEOM_SPHERE,
            size=[0.022, 0, 0],
            pos=[0, 0, LENGTH],
            rgba=HANDLE_YELLOW,
            mass=0.05,
        )
        arm_only([rod, ball])
        add_site(lever, "ball", [0, 0, LENGTH])
        over = GOAL_ANGLE - START_LEAN
        add_site(stand, "pulled", [-LENGTH * np.sin(over), 0, PIVOT_HEIGHT + LENGTH * np.cos(over)])
