"""Stack: put one cube onto another and let go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from typing_extensions import override

from clrobot.envs.arrays import Array
from clrobot.envs.deferred import mujoco
from clrobot.envs.experts.grasping import PlaceExpert
from clrobot.envs.rewards.grasp import grasp, let_go, raised
from clrobot.envs.rewards.tolerance import tolerance
from clrobot.envs.scene.parts import OBJECT_RED, PANEL_BLUE, add_cube, add_site
from clrobot.envs.simulation.features import Features, Ids, Mask
from clrobot.envs.simulation.state import SimState
from clrobot.envs.simulation.task import Box, Task

CUBE_HALF, CUBE_MASS = 0.02, 0.1  # m, kg: the red cube, to be moved
BASE_HALF, BASE_MASS = 0.025, 0.4  # m, kg: the blue cube under it
SUCCESS_DISTANCE = 0.02  # m, between the red cube's centre and its place on top
SUCCESS_GAP = 0.005  # m, between each finger and where it held the cube
CARRY_MARGIN = 0.40  # m
PLACE_MARGIN = 0.03  # m


class StackExpert(PlaceExpert):
    """Onto the blue cube from above."""

    travel: ClassVar = 0.04  # m, above the goal
    width: ClassVar = CUBE_HALF


class Stack(Task):
    """Put the red cube onto the blue one and let go of it.

    Goal: the red cube's place on top of the blue cube. Success: the red cube's centre within 0.02 m of it, and
    each finger at least 5 mm farther out than where it held the cube. Varies: both cubes' places (0.08 x 0.24 m
    each).
    """

    id: ClassVar = "stack"
    expert: ClassVar = StackExpert
    varies: ClassVar = {"cube": Box((0.40, -0.12), (0.48, 0.12)), "under": Box((0.56, -0.12), (0.64, 0.12))}
    weights: ClassVar = {"near": 0.1, "grasped": 0.1, "lifted": 0.1, "carried": 0.3, "placed": 0.1, "released": 0.3}

    @override
    def build(self, spec: mujoco.MjSpec) -> None:
        add_cube(spec, "cube", CUBE_HALF, OBJECT_RED, CUBE_MASS)
        under = add_cube(spec, "under", BASE_HALF, PANEL_BLUE, BASE_MASS)
        add_site(under, "top", [0, 0, BASE_HALF + CUBE_HALF])

    @override
    def place(self, sim: SimState, ids: Ids, drawn: Mapping[str, Array]) -> None:
        sim.joint_qpos("cube")[ids, :2] = drawn["cube"]
        sim.joint_qpos("under")[ids, :2] = drawn["under"]

    @override
    def features(self, sim: SimState) -> Features:
        return Features(object=sim.site("cube"), goal=sim.site("top"), other=sim.site("under"))

    @override
    def reward_terms(self, sim: SimState, features: Features) -> dict[str, Array]:
        cube, gap = features.object, features.distance
        hold = grasp(sim, cube)
        lifted = raised(cube[:, 2], CUBE_HALF * sim.object_size, 2 * BASE_HALF * sim.object_size)
        placed = tolerance(gap, within=0.5 * SUCCESS_DISTANCE, margin=PLACE_MARGIN)
        released = placed * lifted * let_go(sim, CUBE_HALF * sim.object_size)
        return {
            "near": hold.near,
            "grasped": np.maximum(hold.grasped, released),  # who lets go at the right place loses nothing
            "lifted": lifted,
            "carried": lifted * tolerance(gap, margin=CARRY_MARGIN),
            "placed": lifted * placed,
            "released": released,
        }

    @override
    def success(self, sim: SimState, features: Features) -> Mask:
        on_top: Mask = features.distance < SUCCESS_DISTANCE
        return on_top & (sim.opening > CUBE_HALF * sim.object_size + SUCCESS_GAP)
