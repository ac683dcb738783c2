"""Door-close: push an open cupboard door shut."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from typing_extensions import override

from clrobot.envs.arrays import Array
from clrobot.envs.deferred import mujoco
from clrobot.envs.experts.handle import ClosingExpert
from clrobot.envs.scene.mechanisms import add_door, door_handle
from clrobot.envs.scene.parts import add_site
from clrobot.envs.simulation.features import MechanismFeatures
from clrobot.envs.simulation.task import Box
from clrobot.envs.tasks.mechanism_task import ClosingTask

FULL_ANGLE = 1.0  # rad, what the agent is shown as 1
SUCCESS_ANGLE = 0.08  # rad, at most

STANDOFF = 0.035  # m, from the handle to where the fingers go down before it
LEAD = 0.15  # rad, how far ahead of the door the hand pushes


class DoorCloseExpert(ClosingExpert):
    """Before the handle, then round with it."""

    clearance: ClassVar = 0.08
    over_within: ClassVar = 0.012
    down_within: ClassVar = 0.01
    descent: ClassVar = 0.012
    stride: ClassVar = 0.008

    @override
    def beside(self, f: MechanismFeatures) -> Array:
        # The door's outward normal: from the door to its handle, and on to the hand.
        angle = f.joint * FULL_ANGLE
        normal = np.column_stack([-np.cos(angle), np.sin(angle), np.zeros(self.sim.n)])
        return f.object + STANDOFF * normal

    @override
    def ahead(self, f: MechanismFeatures) -> Array:
        angle = f.joint * FULL_ANGLE
        return f.object + door_handle(angle - LEAD) - door_handle(angle)


class DoorClose(ClosingTask):
    """Push the blue cupboard's open door shut.

    Goal: the door shut. Success: open by less than 0.08 rad. Varies: the cupboard's place (0.08 x 0.20 m), and how
    far the door is open at the start (0.8 to 1.2 rad).
    """

    id: ClassVar = "door-close"
    expert: ClassVar = DoorCloseExpert
    varies: ClassVar = {"place": Box((0.60, -0.10), (0.68, 0.10)), "start": Box((0.8,), (1.2,))}
    weights: ClassVar = {"near": 0.3, "moved": 0.7}
    fixture: ClassVar = "cupboard"
    joint: ClassVar = "door"
    handle: ClassVar = "handle"
    goal: ClassVar = "closed"
    full: ClassVar = FULL_ANGLE
    success_at: ClassVar = SUCCESS_ANGLE

    @override
    def build(self, spec: mujoco.MjSpec) -> None:
        cupboard = add_door(spec)
        add_site(cupboard, "closed", door_handle(0.0))
