"""Push: slide a puck over the table to a goal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import mujoco
import numpy as np

from clrobot.envs.rewards import Array, distance, tolerance
from clrobot.envs.scene import GOAL_GREEN, OBJECT_RED, add_box, add_site
from clrobot.envs.sim import Simulation
from clrobot.envs.task import Box, Features, Ids, Mask, Task

RADIUS = 0.045  # m: wider than the open hand, so that it cannot be grasped
HALF_HEIGHT = 0.02  # m
MASS = 0.2  # kg
BEHIND = RADIUS + 0.012  # m from the puck's centre: where the hand pushes from
SUCCESS_DISTANCE = 0.04  # m, between the puck's centre and the goal
NEAR_MARGIN = 0.15  # m
GOAL_MARGIN = 0.15  # m


class Push(Task):
    """Push the red puck onto the green disc.

    Goal: a place on the table, farther away than the puck, which is too wide to be grasped. Success: the puck's
    centre within 0.04 m of it. Varies: the puck's place (0.08 x 0.24 m) and the goal (0.10 x 0.30 m).
    """

    id: ClassVar = "push"
    varies: ClassVar = {"puck": Box((0.42, -0.12), (0.50, 0.12)), "goal": Box((0.60, -0.15), (0.70, 0.15))}
    weights: ClassVar = {"behind": 0.3, "pushed": 0.7}

    def build(self, spec: mujoco.MjSpec) -> None:  # noqa: D102
        puck = spec.worldbody.add_body(name="puck", pos=[0.5, 0.0, HALF_HEIGHT])
        puck.add_freejoint(name="puck")
        disc = add_box(puck, [RADIUS, HALF_HEIGHT, 0], [0, 0, 0], OBJECT_RED, mass=MASS)
        disc.type = mujoco.mjtGeom.mjGEOM_CYLINDER
        add_site(puck, "puck")
        goal = spec.worldbody.add_body(name="goal", mocap=True, pos=[0.6, 0.0, HALF_HEIGHT])
        goal.add_geom(
            type=mujoco.mjtGeom.mjGEOM_CYLINDER,
            size=[RADIUS, 0.001, 0],
            pos=[0, 0, 0.001 - HALF_HEIGHT],
            rgba=GOAL_GREEN,
            contype=0,
            conaffinity=0,
            mass=0.0,
        )
        add_site(goal, "goal")

    def place(self, sim: Simulation, ids: Ids, drawn: Mapping[str, Array]) -> None:  # noqa: D102
        sim.joint_qpos("puck")[ids, :2] = drawn["puck"]
        sim.mocap_pos("goal")[ids, :2] = drawn["goal"]

    def features(self, sim: Simulation) -> Features:  # noqa: D102
        return Features(thing=sim.site("puck"), goal=sim.site("goal"))

    def reward_terms(self, sim: Simulation, features: Features) -> dict[str, Array]:  # noqa: D102
        puck, goal = features.thing, features.goal
        way = distance(puck, goal)
        # Where the hand should stand: on the line from the goal through the puck, just beyond the puck.
        behind = puck - BEHIND * (goal - puck) / np.maximum(way, SUCCESS_DISTANCE)[:, None]
        return {
            "behind": tolerance(distance(sim.hand, behind), within=0.01, margin=NEAR_MARGIN),
            "pushed": tolerance(way, margin=GOAL_MARGIN),
        }

    def success(self, sim: Simulation, features: Features) -> Mask:  # noqa: D102
        return distance(features.thing, features.goal) < SUCCESS_DISTANCE
