"""Door-open: swing a cupboard's door open by its handle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import mujoco

from clrobot.envs.arrays import Array, clip, distance, horizontal_distance
from clrobot.envs.experts.expert import Expert, above
from clrobot.envs.rewards.tolerance import tolerance
from clrobot.envs.scene.mechanisms import add_door, door_handle
from clrobot.envs.scene.parts import add_site
from clrobot.envs.simulation.actions import CLOSED, MAX_STEP
from clrobot.envs.simulation.features import Features, Ids, Mask
from clrobot.envs.simulation.state import SimState
from clrobot.envs.simulation.task import Box, Task

GOAL_ANGLE = 1.0  # rad
SUCCESS_ANGLE = 0.9  # rad
MARGIN = 0.15  # m, where the reward for nearness has fallen to a tenth

BEHIND = (0.026, 0.0, 0.004)  # m, from the handle to where the fingers hook behind it
LEAD = 0.5  # rad, how far ahead of the door the hand pulls
GENTLE = 0.012  # m, a stride that does not sink into the handle


class DoorOpenExpert(Expert):
    """Closed fingers down between handle and door, then round with it. Phases: 0 over, 1 down, 2 pulling, 3 there."""

    def act(self, f: Features) -> Array:  # noqa: D102
        assert f.joint is not None
        hand, hook = self.sim.hand, f.object + BEHIND
        angle = f.joint * GOAL_ANGLE
        ahead = f.object + door_handle(angle + LEAD) - door_handle(angle)
        self.advance(2, f.joint > 1.0)
        self.advance(1, hand[:, 2] - hook[:, 2] < 0.006)
        self.advance(0, horizontal_distance(hand, hook) < 0.008)
        point = self.by_phase(above(hook, 0.06), hook, ahead, self.sim.delayed_target)
        return self.towards(point, CLOSED, self.by_phase(MAX_STEP, 2 * GENTLE, GENTLE))


class DoorOpen(Task):
    """Swing the blue cupboard's door open by its yellow handle, towards the robot.

    Goal: the door open by 1 rad. Success: by at least 0.9 rad. Varies: the cupboard's place, 0.08 x 0.20 m.
    """

    id: ClassVar = "door-open"
    expert: ClassVar = DoorOpenExpert
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
