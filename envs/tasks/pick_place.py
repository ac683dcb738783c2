"""Pick-place: grasp a cube and carry it to a point in the air."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import mujoco
import numpy as np

from clrobot.envs.rewards import Array, distance, tolerance
from clrobot.envs.scene import OBJECT_RED, add_box, add_goal, add_site
from clrobot.envs.sim import Simulation
from clrobot.envs.task import Box, Features, Ids, Mask, Task

CUBE_HALF = 0.02  # m
CUBE_MASS = 0.1  # kg
SUCCESS_DISTANCE = 0.04  # m, between the cube's centre and the goal
NEAR_MARGIN = 0.20  # m
CARRY_MARGIN = 0.25  # m
FIRM_SQUEEZE = 0.012  # m: about 10 N, ten times the cube's weight
LIFTED = 0.04  # m, how far the cube must rise to earn the whole lift term


class PickPlace(Task):
    """Grasp the red cube and hold it in the green ball.

    Goal: a point 0.10 to 0.25 m above the table. Success: the cube's centre within 0.04 m of it. Varies: the
    cube's place (0.16 x 0.28 m) and the goal (0.20 x 0.36 x 0.15 m).
    """

    id: ClassVar = "pick-place"
    varies: ClassVar = {
        "cube": Box((0.42, -0.14), (0.58, 0.14)),
        "goal": Box((0.40, -0.18, 0.10), (0.60, 0.18, 0.25)),
    }
    weights: ClassVar = {"near": 0.15, "grasped": 0.1, "lifted": 0.15, "carried": 0.6}

    def build(self, spec: mujoco.MjSpec) -> None:  # noqa: D102
        cube = spec.worldbody.add_body(name="cube", pos=[0.5, 0.0, CUBE_HALF])
        cube.add_freejoint(name="cube")
        box = add_box(cube, [CUBE_HALF] * 3, [0, 0, 0], OBJECT_RED, mass=CUBE_MASS)
        box.condim = 4
        add_site(cube, "cube")
        add_goal(spec, SUCCESS_DISTANCE)

    def place(self, sim: Simulation, ids: Ids, drawn: Mapping[str, Array]) -> None:  # noqa: D102
        sim.joint_qpos("cube")[ids, :2] = drawn["cube"]
        sim.mocap_pos("goal")[ids] = drawn["goal"]

    def features(self, sim: Simulation) -> Features:  # noqa: D102
        return Features(thing=sim.site("cube"), goal=sim.site("goal"))

    def reward_terms(self, sim: Simulation, features: Features) -> dict[str, Array]:  # noqa: D102
        cube, goal = features.thing, features.goal
        hand_gap = distance(sim.hand, cube)
        around = tolerance(hand_gap, within=0.01, margin=0.03)
        # Fingers that merely stand at the cube's width would drop it: a grasp presses.
        squeezed = np.clip(sim.squeeze / FIRM_SQUEEZE, 0.0, 1.0)
        lifted = np.clip((cube[:, 2] - CUBE_HALF) / LIFTED, 0.0, 1.0)
        return {
            "near": tolerance(hand_gap, within=0.01, margin=NEAR_MARGIN),
            "grasped": around * squeezed,
            "lifted": around * lifted,
            "carried": around * lifted * tolerance(distance(cube, goal), margin=CARRY_MARGIN),
        }

    def success(self, sim: Simulation, features: Features) -> Mask:  # noqa: D102
        return distance(features.thing, features.goal) < SUCCESS_DISTANCE
