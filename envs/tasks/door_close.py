"""Door-close: push an open cupboard door shut."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import mujoco
import numpy as np

from clrobot.envs.arrays import Array, clip, distance, horizontal_distance
from clrobot.envs.experts.expert import Expert, above
from clrobot.envs.rewards.tolerance import tolerance
from clrobot.envs.scene.mechanisms import add_door, door_handle
from clrobot.envs.scene.parts import add_site
from clrobot.envs.simulation.actions import CLOSED, MAX_STEP
from clrobot.envs.simulation.features import Features, Ids, Mask
from clrobot.envs.simulation.state import SimState
from clrobot.envs.simulation.task import Box, Task

FULL_ANGLE = 1.0  # rad, what the agent is shown as 1
SUCCESS_ANGLE = 0.08  # rad, at most
MARGIN = 0.15  # m, where the reward for nearness has fallen to a tenth

STANDOFF = 0.035  # m, from the handle to where the fingers go down before it
LEAD = 0.15  # rad, how far ahead of the door the hand pushes
GENTLE = 0.008  # m, a stride that does not sink into the handle


class DoorCloseExpert(Expert):
    """Closed fingers down before the handle, then round with it. Phases: 0 over, 1 down, 2 pushing, 3 there."""

    def act(self, f: Features) -> Array:  # noqa: D102
        assert f.joint is not None
        hand, angle = self.sim.hand, f.joint * FULL_ANGLE
        # The door's outward normal: from the door to its handle, and on to the hand.
        normal = np.column_stack([-np.cos(angle), np.sin(angle), np.zeros(self.sim.n)])
        before = f.object + STANDOFF * normal
        ahead = f.object + door_handle(angle - LEAD) - door_handle(angle)
        self.advance(2, f.joint < 0.02)
        self.advance(1, hand[:, 2] - before[:, 2] < 0.01)
        self.advance(0, horizontal_distance(hand, before) < 0.012)
        point = self.by_phase(above(before, 0.08), before, ahead, self.sim.delayed_target)
        return self.towards(point, CLOSED, self.by_phase(MAX_STEP, 0.012, GENTLE))


class DoorClose(Task):
    """Push the blue cupboard's open door shut.

    Goal: the door shut. Success: open by less than 0.08 rad. Varies: the cupboard's place (0.08 x 0.20 m), and how
    far the door is open at the start (0.8 to 1.2 rad).
    """

    id: ClassVar = "door-close"
    expert: ClassVar = DoorCloseExpert
    varies: ClassVar = {"place": Box((0.60, -0.10), (0.68, 0.10)), "angle": Box((0.8,), (1.2,))}
    weights: ClassVar = {"near": 0.3, "shut": 0.7}

    def build(self, spec: mujoco.MjSpec) -> None:  # noqa: D102
        cupboard = add_door(spec)
        add_site(cupboard, "closed", door_handle(0.0))

    def place(self, sim: SimState, ids: Ids, drawn: Mapping[str, Array]) -> None:  # noqa: D102
        sim.mocap_pos("cupboard")[ids, :2] = drawn["place"]
        sim.joint_qpos("door")[ids] = drawn["angle"]

    def features(self, sim: SimState) -> Features:  # noqa: D102
        angle = sim.joint_qpos("door")[:, 0] / FULL_ANGLE
        return Features(object=sim.site("handle"), goal=sim.site("closed"), joint=angle)

    def reward_terms(self, sim: SimState, features: Features) -> dict[str, Array]:  # noqa: D102
        assert features.joint is not None
        return {
            "near": tolerance(distance(sim.hand, features.object), within=0.03, margin=MARGIN),
            "shut": 1.0 - clip(features.joint, 0.0, 1.0),
        }

    def success(self, sim: SimState, features: Features) -> Mask:  # noqa: D102
        assert features.joint is not None
        return features.joint * FULL_ANGLE < SUCCESS_ANGLE
