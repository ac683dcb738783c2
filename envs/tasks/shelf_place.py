"""Shelf-place: put a cube onto a shelf and let go."""

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
from clrobot.envs.scene.parts import (
    FIXTURE_BLUE,
    GOAL_GREEN,
    OBJECT_RED,
    PANEL_BLUE,
    add_box,
    add_cube,
    add_fixture,
    add_site,
)
from clrobot.envs.simulation.features import Features, Ids, Mask
from clrobot.envs.simulation.state import SimState
from clrobot.envs.simulation.task import Box, Task

CUBE_HALF, CUBE_MASS = 0.02, 0.1  # m, kg
BOARD = (0.055, 0.11, 0.007)  # m, half sizes of the shelf's boards
BOARD_HEIGHTS = (0.007, 0.075, 0.143)  # m, of their middles; the cube belongs onto the highest
TOP = BOARD_HEIGHTS[-1] + BOARD[2]  # m
SUCCESS_DISTANCE = 0.04  # m, between the cube's centre and its place on the shelf
SUCCESS_GAP = 0.005  # m, between each finger and where it held the cube
CARRY_MARGIN = 0.40  # m
PLACE_MARGIN = 0.04  # m


class ShelfPlaceExpert(PlaceExpert):
    """Onto the shelf from above."""

    travel: ClassVar = 0.04  # m, above the goal
    width: ClassVar = CUBE_HALF


class ShelfPlace(Task):
    """Put the red cube onto the green mark on top of the blue shelf, and let go of it.

    Goal: the middle of the highest board, 0.15 m above the table. Success: the cube's centre within 0.04 m of its
    place there, and each finger at least 5 mm farther out than where it held the cube. Varies: the cube's place
    (0.08 x 0.28 m) and the shelf's (0.06 x 0.20 m).
    """

    id: ClassVar = "shelf-place"
    expert: ClassVar = ShelfPlaceExpert
    varies: ClassVar = {"cube": Box((0.40, -0.14), (0.48, 0.14)), "shelf": Box((0.61, -0.10), (0.67, 0.10))}
    size_offsets: ClassVar = {"top": (0.0, 0.0, CUBE_HALF)}
    weights: ClassVar = {"near": 0.1, "grasped": 0.1, "lifted": 0.1, "carried": 0.3, "placed": 0.1, "released": 0.3}

    @override
    def build(self, spec: mujoco.MjSpec) -> None:
        add_cube(spec, "cube", CUBE_HALF, OBJECT_RED, CUBE_MASS)
        shelf = add_fixture(spec, "shelf", [0.64, 0.0, 0.0])
        for height in BOARD_HEIGHTS:
            add_box(shelf, BOARD, [0, 0, height], PANEL_BLUE)
        for side in (-1.0, 1.0):
            add_box(shelf, [BOARD[0], 0.006, TOP / 2], [0, side * (BOARD[1] + 0.006), TOP / 2], FIXTURE_BLUE)
        add_box(shelf, [0.006, BOARD[1] + 0.012, TOP / 2], [BOARD[0] + 0.006, 0, TOP / 2], FIXTURE_BLUE)
        mark = add_box(shelf, [0.03, 0.03, 0.001], [0, 0, TOP + 0.001], GOAL_GREEN, mass=0.0)
        mark.contype = mark.conaffinity = 0
        add_site(shelf, "top", [0, 0, TOP + CUBE_HALF])

    @override
    def place(self, sim: SimState, ids: Ids, drawn: Mapping[str, Array]) -> None:
        sim.joint_qpos("cube")[ids, :2] = drawn["cube"]
        sim.mocap_pos("shelf")[ids, :2] = drawn["shelf"]

    @override
    def features(self, sim: SimState) -> Features:
        return Features(object=sim.site("cube"), goal=sim.site("top"))

    @override
    def reward_terms(self, sim: SimState, features: Features) -> dict[str, Array]:
        cube, gap = features.object, features.distance
        hold = grasp(sim, cube)
        lifted = raised(cube[:, 2], CUBE_HALF * sim.object_size, TOP)
        placed = tolerance(gap, within=0.5 * SUCCESS_DISTANCE, margin=PLACE_MARGIN)
        released = placed * let_go(sim, CUBE_HALF * sim.object_size)
        return {
            "near": hold.near,
            "grasped": np.maximum(hold.grasped, released),  # who lets go at the right place loses nothing
            "lifted": lifted,
            "carried": lifted * tolerance(gap, margin=CARRY_MARGIN),
            "placed": placed,
            "released": released,
        }

    @override
    def success(self, sim: SimState, features: Features) -> Mask:
        there: Mask = features.distance < SUCCESS_DISTANCE
        return there & (sim.opening > CUBE_HALF * sim.object_size + SUCCESS_GAP)
