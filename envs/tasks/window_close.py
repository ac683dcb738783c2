"""Window-close: slide a pane shut by its knob."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from typing_extensions import override

from clrobot.envs.arrays import Array
from clrobot.envs.deferred import mujoco
from clrobot.envs.experts.handle import ClosingExpert
from clrobot.envs.scene.mechanisms import SLIDE, add_joint, arm_only
from clrobot.envs.scene.parts import (
    FIXTURE_BLUE,
    GLASS_BLUE,
    HANDLE_YELLOW,
    PANEL_BLUE,
    add_box,
    add_fixture,
    add_site,
)
from clrobot.envs.simulation.features import MechanismFeatures
from clrobot.envs.simulation.task import Box
from clrobot.envs.tasks.mechanism_task import ClosingTask

TRAVEL = 0.15  # m, from wide open to shut
PANE = np.array([0.085, 0.004, 0.062])  # m, a pane's half sizes
RAIL = np.array([0.075, -0.008, 0.0775])  # m, the moving pane's middle when it is shut
KNOB_HEIGHT = 0.125  # m; above the frame the palm is free
KNOB_REACH = 0.05  # m, how far the knob stands off the pane, towards the camera
SUCCESS_GAP = 0.015  # m, at most

PUSH = (0.03, -0.005, 0.0)  # m, from the knob to where the hand pushes towards


class WindowCloseExpert(ClosingExpert):
    """On the robot's side of the knob, then away from the robot."""

    offset: ClassVar = (-0.032, -0.005, 0.0)
    clearance: ClassVar = 0.06
    descent: ClassVar = 0.016
    stride: ClassVar = 0.008

    @override
    def ahead(self, f: MechanismFeatures) -> Array:
        return f.object + PUSH


class WindowClose(ClosingTask):
    """Slide the open pane of the window shut by its yellow knob, away from the robot.

    Goal: the pane shut. Success: less than 15 mm open. Varies: the window's place (0.10 x 0.10 m), and how far it is
    open at the start (0.11 to 0.15 m).
    """

    id: ClassVar = "window-close"
    expert: ClassVar = WindowCloseExpert
    varies: ClassVar = {"place": Box((0.50, 0.06), (0.60, 0.16)), "start": Box((0.11,), (TRAVEL,))}
    weights: ClassVar = {"near": 0.3, "moved": 0.7}
    fixture: ClassVar = "window"
    joint: ClassVar = "gap"
    handle: ClassVar = "knob"
    goal: ClassVar = "shut"
    full: ClassVar = TRAVEL
    success_at: ClassVar = SUCCESS_GAP

    @override
    def build(self, spec: mujoco.MjSpec) -> None:
        window = add_fixture(spec, "window", [0.55, 0.1, 0.0])
        for z in (0.008, 0.147):
            add_box(window, [0.176, 0.018, 0.008], [0, 0, z], FIXTURE_BLUE)
        for side in (-1.0, 1.0):
            add_box(window, [0.008, 0.018, 0.062], [side * 0.168, 0, 0.0775], FIXTURE_BLUE)
        add_box(window, PANE, [-0.075, 0.009, 0.0775], GLASS_BLUE)
        pane = window.add_body(name="pane", pos=RAIL, gravcomp=1.0)
        add_joint(pane, "gap", SLIDE, [-1, 0, 0], TRAVEL, damping=10.0, friction=1.0, armature=0.3)
        knob = np.array([-0.06, -KNOB_REACH / 2, KNOB_HEIGHT - RAIL[2]])
        stiles = [
            add_box(pane, [0.007, 0.006, PANE[2]], [side * (PANE[0] - 0.007), 0, 0], PANEL_BLUE) for side in (-1, 1)
        ]
        arm_only(
            [
                add_box(pane, PANE, [0, 0, 0], GLASS_BLUE),
                *stiles,
                add_box(pane, [0.010, KNOB_REACH / 2, 0.012], knob, HANDLE_YELLOW, mass=0.05),
            ]
        )
        handle = knob - [0, 0.01, 0]
        add_site(pane, "knob", handle)
        add_site(window, "shut", handle + RAIL)
