"""Pick-place: grasp a cube and carry it to a point in the air."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from typing_extensions import override

from clrobot.envs.arrays import Array, horizontal_distance
from clrobot.envs.deferred import mujoco
from clrobot.envs.experts.expert import Expert, above
from clrobot.envs.rewards.grasp import grasp, raised
from clrobot.envs.rewards.tolerance import tolerance
from clrobot.envs.scene.parts import OBJECT_RED, add_cube, add_goal
from clrobot.envs.simulation.actions import CLOSED, MAX_STEP, OPEN
from clrobot.envs.simulation.features import Features, Ids, Mask
from clrobot.envs.simulation.state import SimState
from clrobot.envs.simulation.task import Box, Task

CUBE_HALF = 0.02  # m
CUBE_MASS = 0.1  # kg
SUCCESS_DISTANCE = 0.04  # m, between the cube's centre and the goal
CARRY_MARGIN = 0.25  # m
LIFTED = 0.04  # m, how far the cube must rise to earn the whole lift term

SQUEEZING = 5  # control steps until the fingers hold
DESCENT = 0.015  # m, a stride that stops at the cube without swinging through


class PickPlaceExpert(Expert):
    """Over the cube, down, close, then to the goal at full speed. Phases: 0 approaching, then steps since closing."""

    @override
    def act(self, f: Features) -> Array:
        over = horizontal_distance(self.sim.hand, f.object) < 0.01
        around = over & (np.abs(self.sim.hand[:, 2] - f.object[:, 2]) < 0.012)
        self.phase[(self.phase > 0) | around] += 1
        closing, holding = self.phase[:, None] > 0, self.phase[:, None] > SQUEEZING
        approach = np.where(over[:, None], f.object, above(f.object, 0.10))
        point = np.where(holding, f.goal, np.where(closing, f.object, approach))
        stride = np.where(over[:, None] & ~holding, DESCENT, MAX_STEP)
        return self.towards(point, np.where(closing[:, 0], CLOSED, OPEN), stride)


class PickPlace(Task):
    """Grasp the red cube and hold it in the green ball.

    Goal: a point 0.10 to 0.25 m above the table. Success: the cube's centre within 0.04 m of it. Varies: the
    cube's place (0.16 x 0.28 m) and the goal (0.20 x 0.36 x 0.15 m).
    """

    id: ClassVar = "pick-place"
    expert: ClassVar = PickPlaceExpert
    varies: ClassVar = {
        "cube": Box((0.42, -0.14), (0.58, 0.14)),
        "goal": Box((0.40, -0.18, 0.10), (0.60, 0.18, 0.25)),
    }
    weights: ClassVar = {"near": 0.15, "grasped": 0.1, "lifted": 0.15, "carried": 0.6}

    @override
    def build(self, spec: mujoco.MjSpec) -> None:
        add_cube(spec, "cube", CUBE_HALF, OBJECT_RED, CUBE_MASS)
        add_goal(spec, SUCCESS_DISTANCE)

    @override
    def place(self, sim: SimState, ids: Ids, drawn: Mapping[str, Array]) -> None:
        sim.joint_qpos("cube")[ids, :2] = drawn["cube"]
        sim.mocap_pos("goal")[ids] = drawn["goal"]

    @override
    def features(self, sim: SimState) -> Features:
        return Features(object=sim.site("cube"), goal=sim.site("goal"))

    @override
    def reward_terms(self, sim: SimState, features: Features) -> dict[str, Array]:
        hold = grasp(sim, features.object)
        lifted = raised(features.object[:, 2], CUBE_HALF * sim.object_size, LIFTED)
        return {
            "near": hold.near,
            "grasped": hold.grasped,
            "lifted": hold.around * lifted,
            "carried": hold.around * lifted * tolerance(features.distance, margin=CARRY_MARGIN),
        }

    @override
    def success(self, sim: SimState, features: Features) -> Mask:
        return features.distance < SUCCESS_DISTANCE
