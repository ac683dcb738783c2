"""Door-open: swing a cupboard's door open by its handle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import mujoco

from clrobot.envs.arrays import Array, clip, distance
from clrobot.envs.rewards.tolerance import tolerance
from clrobot.envs.scene.mechanisms import add_door, door_handle
from clrobot.envs.scene.parts import add_site
from clrobot.envs.simulation.features import Features, Ids, Mask
from clrobot.envs.simulation.state import SimState
from clrobot.envs.simulation.task import Box, Task

GOAL_ANGLE = 1.0  # rad
SUCCESS_ANGLE = 0.9  # rad
MARGIN = 0.15  # m, where the reward for nearness has fallen to a tenth


class DoorOpen(Task):
    """Swing the blue cupboard's door open by its yellow handle, towards the robot.

    Goal: the door open by 1 rad. Success: by at least 0.9 rad. Varies: the cupboard's place, 0.08 x 0.20 m.
    """

    id: ClassVar = "door-open"
    varies: ClassVar = {"place": Box((0.60, -0.10), (0.68, 0.10))}
    weights: ClassVar = {"near": 0.4, "open": 0.6}

    def build(self, spec: mujoco.MjSpec) -> None:  # noqa: D102
        cupboard = add_door(spec)
        add_site(cupboard, "opened", door_handle(GOAL_ANGLE))

    def place(self, sim: SimState, ids: Ids, drawn: Mapping[str, Array]) -> None:  # noqa: D102
        sim.mocap_pos("cupboard")[ids, :2] = drawn["place"]

    def features(self, sim: SimState) -> Features:  # noqa: D102
        angle = sim.joint_qpos("door")[:, 0] / GOAL_ANGLE
        return Features(object=sim.site("handle"), goal=sim.site("opened"), joint=angle)

    def reward_terms(self, sim: SimState, features: Features) -> dict[str, Array]:  # noqa: D102
        assert features.joint is not None
        return {
            "near": tolerance(distance(sim.hand, features.object), within=0.02, margin=MARGIN),
            "open": clip(features.joint, 0.0, 1.0),
        }

    def success(self, sim: SimState, features: Features) -> Mask:  # noqa: D102
        assert features.joint is not None
        return features.joint * GOAL_ANGLE >= SUCCESS_ANGLE
