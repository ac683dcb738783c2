"""Door-open: swing a cupboard's door open by its handle."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from clrobot.envs.arrays import Array
from clrobot.envs.deferred import mujoco
from clrobot.envs.experts.handle import OpeningExpert
from clrobot.envs.scene.mechanisms import add_door, door_handle
from clrobot.envs.scene.parts import add_site
from clrobot.envs.simulation.features import MechanismFeatures
from clrobot.envs.simulation.task import Box
from clrobot.envs.tasks.mechanism_task import OpeningTask

GOAL_ANGLE = 1.0  # rad
SUCCESS_ANGLE = 0.9  # rad

LEAD = 0.5  # rad, how far ahead of the door the hand pulls


class DoorOpenExpert(OpeningExpert):
    """Between handle and door, then round with it."""

    offset: ClassVar = (0.026, 0.0, 0.004)
    clearance: ClassVar = 0.06
    over_within: ClassVar = 0.008
    descent: ClassVar = 0.024
    stride: ClassVar = 0.012

    @override
    def ahead(self, f: MechanismFeatures) -> Array:
        angle = f.joint * GOAL_ANGLE
        return f.object + door_handle(angle + LEAD) - door_handle(angle)


class DoorOpen(OpeningTask):
    """Swing the blue cupboard's door open by its yellow handle, towards the robot.

    Goal: the door open by 1 rad. Success: by at least 0.9 rad. Varies: the cupboard's place, 0.08 x 0.20 m.
    """

    id: ClassVar = "door-open"
    expert: ClassVar = DoorOpenExpert
    varies: ClassVar = {"place": Box((0.60, -0.10), (0.68, 0.10))}
    weights: ClassVar = {"near": 0.4, "moved": 0.6}
    fixture: ClassVar = "cupboard"
    joint: ClassVar = "door"
    handle: ClassVar = "handle"
    goal: ClassVar = "opened"
    full: ClassVar = GOAL_ANGLE
    success_at: ClassVar = SUCCESS_ANGLE
    near_within: ClassVar = 0.02

    @override
    def build(self, spec: mujoco.MjSpec) -> None:
        cupboard = add_door(spec)
        add_site(cupboard, "opened", door_handle(GOAL_ANGLE))
