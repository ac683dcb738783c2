"""Drawer-open: pull a drawer out by its handle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import mujoco
import numpy as np

from clrobot.envs.arm import STIFF
from clrobot.envs.rewards import Array, distance, tolerance
from clrobot.envs.scene import FIXTURE_BLUE, HANDLE_YELLOW, PANEL_BLUE, add_box, add_fixture, add_site
from clrobot.envs.sim import Simulation
from clrobot.envs.task import Box, Features, Ids, Mask, Task

TRAVEL = 0.18  # m, how far the drawer slides
GOAL_OPENING = 0.14  # m
HANDLE_REACH = 0.064  # m, how far the handle stands off the front: room for a finger and half the palm
SUCCESS_OPENING = 0.9  # of GOAL_OPENING
MARGIN = 0.15  # m, where the reward for nearness has fallen to a tenth


class DrawerOpen(Task):
    """Pull the drawer out of its blue cabinet by the yellow handle, towards the robot.

    Goal: the drawer 0.14 m open. Success: at least 90 % of that. Varies: the cabinet's place, 0.08 x 0.24 m.
    """

    id: ClassVar = "drawer-open"
    varies: ClassVar = {"place": Box((0.70, -0.12), (0.78, 0.12))}
    weights: ClassVar = {"near": 0.4, "open": 0.6}

    def build(self, spec: mujoco.MjSpec) -> None:  # noqa: D102
        cabinet = add_fixture(spec, "cabinet", [0.74, 0.0, 0.0])
        # A shell open to the front: floor, roof, sides, back.
        add_box(cabinet, [0.10, 0.12, 0.006], [0, 0, 0.006], FIXTURE_BLUE)
        add_box(cabinet, [0.10, 0.12, 0.006], [0, 0, 0.134], FIXTURE_BLUE)
        for side in (-1.0, 1.0):
            add_box(cabinet, [0.10, 0.006, 0.064], [0, side * 0.114, 0.07], FIXTURE_BLUE)
        add_box(cabinet, [0.006, 0.12, 0.064], [0.094, 0, 0.07], FIXTURE_BLUE)
        drawer = cabinet.add_body(name="drawer", pos=[-0.10, 0, 0.07], gravcomp=1.0)
        drawer.add_joint(
            name="drawer",
            type=mujoco.mjtJoint.mjJNT_SLIDE,
            axis=[-1, 0, 0],
            range=[0.0, TRAVEL],
            damping=[12.0, 0, 0],
            frictionloss=1.0,
            armature=0.3,
            solimp_limit=STIFF,
        )
        parts = [
            add_box(drawer, [0.006, 0.106, 0.052], [0, 0, 0], PANEL_BLUE, mass=0.2),
            add_box(drawer, [0.085, 0.100, 0.004], [0.09, 0, -0.046], PANEL_BLUE, mass=0.2),
        ]
        # The handle stands off the front, so that the fingers can hook behind it.
        for side in (-1.0, 1.0):
            parts.append(
                add_box(drawer, [0.028, 0.005, 0.006], [-0.034, side * 0.050, 0.0], HANDLE_YELLOW, mass=0.02)
            )
        parts.append(add_box(drawer, [0.006, 0.055, 0.008], [-HANDLE_REACH, 0, 0.0], HANDLE_YELLOW, mass=0.05))
        for part in parts:
            part.contype = 0  # the drawer slides within its cabinet; only the arm touches it
            part.conaffinity = 1
        add_site(drawer, "handle", [-HANDLE_REACH, 0, 0.0])
        add_site(cabinet, "opened", [-0.10 - HANDLE_REACH - GOAL_OPENING, 0, 0.07])

    def place(self, sim: Simulation, ids: Ids, drawn: Mapping[str, Array]) -> None:  # noqa: D102
        sim.mocap_pos("cabinet")[ids, :2] = drawn["place"]

    def features(self, sim: Simulation) -> Features:  # noqa: D102
        opening = sim.joint_qpos("drawer")[:, 0] / GOAL_OPENING
        return Features(thing=sim.site("handle"), goal=sim.site("opened"), joint=opening)

    def reward_terms(self, sim: Simulation, features: Features) -> dict[str, Array]:  # noqa: D102
        assert features.joint is not None
        return {
            "near": tolerance(distance(sim.hand, features.thing), within=0.02, margin=MARGIN),
            "open": np.clip(features.joint, 0.0, 1.0),
        }

    def success(self, sim: Simulation, features: Features) -> Mask:  # noqa: D102
        assert features.joint is not None
        return features.joint >= SUCCESS_OPENING
