"""Peg-insert: put an upright peg into a hole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from typing_extensions import override

from clrobot.envs.arrays import Array, horizontal_distance
from clrobot.envs.deferred import mujoco
from clrobot.envs.experts.grasping import PlaceExpert
from clrobot.envs.rewards.grasp import grasp, raised
from clrobot.envs.rewards.tolerance import tolerance
from clrobot.envs.scene.parts import (
    FIXTURE_BLUE,
    HANDLE_YELLOW,
    OBJECT_RED,
    PANEL_BLUE,
    add_box,
    add_fixture,
    add_site,
)
from clrobot.envs.simulation.features import Features, Ids, Mask
from clrobot.envs.simulation.state import SimState
from clrobot.envs.simulation.task import Box, Task

PEG_HALF = 0.015  # m, half the width of the square peg
PEG_LENGTH = 0.10  # m
GRIP = 0.080  # m above its tip: where the hand takes hold, so that the fingers clear the hole's rim
PEG_MASS = 0.1  # kg
HOLE_HALF = 0.019  # m: 4 mm of clearance on each side
OUTER_HALF = 0.043  # m, half the width of the block around the hole
WALL = 0.035  # m, the depth of the straight hole; a funnel stands on it
FUNNEL = 0.010  # m, half the length of its slopes, which rise at 45 degrees
SMOOTH = [0.3, 0.005, 0.0001]  # friction of the block: at its slopes a peg with 1.0 would stick
PLATE = 0.003  # m, half the thickness of its slopes
CLEAR = 0.07  # m, the tip's height that clears the rim
SUCCESS_HEIGHT = 0.012  # m, of the tip above the hole's bottom
MOUTH = 0.010  # m, how far off the axis the tip may be for the funnel to catch it
MOUTH_MARGIN = 0.03  # m
CARRY_MARGIN = 0.40  # m
LEAN, LEAN_MARGIN = 0.01, 0.05  # m, of the grip to the side of the tip: the peg is upright, and how much counts
DEPTH = 0.09  # m, of the tip above the seated one, where `inserted` begins


class PegInsertExpert(PlaceExpert):
    """Into the hole from above."""

    travel: ClassVar = 0.07  # m, above the goal
    width: ClassVar = PEG_HALF


class PegInsert(Task):
    """Take the red peg by its yellow end and put it into the hole of the blue block.

    Goal: the peg upright in the hole, which is 8 mm wider than the peg and opens in a funnel. Success: the peg's
    tip in the hole and within 0.012 m of its bottom. Varies: the peg's place and the block's (0.08 x 0.24 m each).
    """

    id: ClassVar = "peg-insert"
    expert: ClassVar = PegInsertExpert
    varies: ClassVar = {"peg": Box((0.40, -0.12), (0.48, 0.12)), "block": Box((0.58, -0.12), (0.66, 0.12))}
    override_ranges: ClassVar = {"object.size": (0.5, 1.2)}  # which leaves 1 mm of clearance
    size_offsets: ClassVar = {"seated": (0.0, 0.0, GRIP)}
    weights: ClassVar = {"near": 0.1, "grasped": 0.1, "lifted": 0.1, "carried": 0.35, "inserted": 0.35}

    @override
    def build(self, spec: mujoco.MjSpec) -> None:
        block = add_fixture(spec, "block", [0.62, 0.0, 0.0])
        thick = (OUTER_HALF - HOLE_HALF) / 2
        rise, deep = FUNNEL * np.sqrt(0.5), PLATE * np.sqrt(0.5)
        for turn in range(4):  # the four sides of the hole, each a wall with a slope on it
            angle = turn * np.pi / 2
            out = np.array([np.cos(angle), np.sin(angle), 0.0])
            along_x = [thick, OUTER_HALF] if turn % 2 == 0 else [HOLE_HALF, thick]
            centre = out * (HOLE_HALF + thick) + [0, 0, WALL / 2]
            wall = add_box(block, [*along_x, WALL / 2], list(centre), FIXTURE_BLUE)
            # Its upper face meets the hole's edge.
            centre = out * (HOLE_HALF + rise + deep) + [0, 0, WALL + rise - deep]
            slope = add_box(block, [FUNNEL, OUTER_HALF - 0.006, PLATE], list(centre), PANEL_BLUE)
            tilt, spin = np.empty(4), np.empty(4)
            mujoco.mju_axisAngle2Quat(tilt, [0.0, 1.0, 0.0], -np.pi / 4)
            mujoco.mju_axisAngle2Quat(spin, [0.0, 0.0, 1.0], angle)
            mujoco.mju_mulQuat(slope.quat, spin, tilt)
            for part in (wall, slope):
                part.friction, part.priority = SMOOTH, 1
        peg = spec.worldbody.add_body(name="peg", pos=[0.44, 0.0, 0.0])
        peg.add_freejoint(name="peg")
        shaft = add_box(peg, [PEG_HALF, PEG_HALF, PEG_LENGTH / 2], [0, 0, PEG_LENGTH / 2], OBJECT_RED, mass=PEG_MASS)
        shaft.condim = 4
        # Paint, not a second box: a seam between two boxes would catch the fingers.
        paint = add_box(peg, [PEG_HALF + 0.0005] * 2 + [0.015], [0, 0, PEG_LENGTH - 0.0145], HANDLE_YELLOW, mass=0.0)
        paint.contype = paint.conaffinity = 0
        add_site(peg, "tip")
        add_site(peg, "grip", [0, 0, GRIP])
        add_site(block, "bottom")
        add_site(block, "seated", [0, 0, GRIP])

    @override
    def place(self, sim: SimState, ids: Ids, drawn: Mapping[str, Array]) -> None:
        sim.joint_qpos("peg")[ids, :2] = drawn["peg"]
        sim.mocap_pos("block")[ids, :2] = drawn["block"]

    @override
    def features(self, sim: SimState) -> Features:
        return Features(object=sim.site("grip"), goal=sim.site("seated"), other=sim.site("tip"))

    @override
    def reward_terms(self, sim: SimState, features: Features) -> dict[str, Array]:
        hold = grasp(sim, features.object)
        tip, aside = sim.site("tip"), _aside(sim)
        over = tolerance(aside, within=MOUTH, margin=MOUTH_MARGIN)
        upright = tolerance(horizontal_distance(features.object, tip), within=LEAN, margin=LEAN_MARGIN)
        firm = hold.around * upright
        # Of the grip: a peg that is tilted on the table lifts its tip.
        height = raised(features.object[:, 2], GRIP * sim.object_size, CLEAR)
        lifted = firm * np.maximum(height, over)  # over the funnel, sinking again costs nothing
        # How far the tip is from the hole's axis, which is the way in up to the height that clears the rim.
        off = np.hypot(aside, np.maximum(tip[:, 2] - CLEAR, 0.0))
        return {
            "near": hold.near,
            "grasped": hold.grasped * upright,
            "lifted": lifted,
            "carried": lifted * tolerance(off, margin=CARRY_MARGIN),
            "inserted": firm * over * (1.0 - raised(tip[:, 2], 0.5 * SUCCESS_HEIGHT, DEPTH)),
        }

    @override
    def success(self, sim: SimState, features: Features) -> Mask:
        within: Mask = _aside(sim) < HOLE_HALF
        return within & (sim.site("tip")[:, 2] < SUCCESS_HEIGHT)


def _aside(sim: SimState) -> Array:
    """Return how far (N,) the tip is from the hole's axis, m."""
    return horizontal_distance(sim.site("tip"), sim.site("bottom"))
