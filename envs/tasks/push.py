"""Push: slide a puck over the table to a goal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from typing_extensions import override

from clrobot.envs.arrays import Array, distance, horizontal_distance, length
from clrobot.envs.deferred import mujoco
from clrobot.envs.experts.expert import Expert, above
from clrobot.envs.rewards.tolerance import tolerance
from clrobot.envs.scene.arm import STIFF
from clrobot.envs.scene.parts import GOAL_GREEN, OBJECT_RED, add_box, add_site
from clrobot.envs.simulation.actions import OPEN
from clrobot.envs.simulation.features import Features, Ids, Mask
from clrobot.envs.simulation.state import SimState
from clrobot.envs.simulation.task import Box, Task

RADIUS = 0.045  # m: wider than the open hand (0.04), which can cradle it but not grasp it
HALF_HEIGHT = 0.02  # m
MASS = 0.3  # kg
FRICTION = [0.6, 0.005, 0.0001]  # smooth, with the table and with the fingers, whose rubber would else tip it
CRADLE = [0.030, 0.0, 0.0]  # m, from the hand to the puck's centre when it lies between the tips of the open fingers
SUCCESS_DISTANCE = 0.05  # m, between the puck's centre and the goal
SIDEWAYS = 2.5  # weight of the sideways part of the puck's displacement
NEAR_MARGIN = 0.10  # m
GOAL_MARGIN = 0.15  # m

STANDOFF = [0.03, 0.0, 0.0]  # m, from where the fingers touch the puck
STEER = [0.0, 3.0, 2.0]  # of the hand's displacement to where the puck lies between both fingers
LEAD = 2.0  # of the displacement to the goal
ASIDE = 0.01  # m: farther from the line to the goal, the hand goes sideways more than ahead
LOW = [0.0, 0.0, 0.005]  # m, below the middle of its height, so that it does not tip
SLOW, FAST, MOST = 0.015, 0.025, 0.035  # m, how far the hand's target leads it while it pushes


class PushExpert(Expert):
    """Open fingers over the near side of the puck (phase 0), down (1), and with the puck between them to the goal."""

    @override
    def act(self, f: Features) -> Array:
        hand, cradle = self.sim.hand, f.object - CRADLE - LOW
        start = cradle - STANDOFF
        self.advance(1, hand[:, 2] < f.object[:, 2] + 0.01)
        self.advance(0, horizontal_distance(hand, start) < 0.01)
        # Sideways first: the puck lies between the fingers only while it is pushed ahead, too.
        ahead = np.clip(LEAD * f.displacement, -FAST, FAST)
        most_ahead = np.where(np.abs(f.displacement[:, 1]) > ASIDE, SLOW, FAST)
        ahead[:, 0] = np.clip(LEAD * f.displacement[:, 0], -FAST, most_ahead)
        ahead[:, 2] = 0.0
        push = hand + np.clip(ahead + STEER * (cradle - hand), -MOST, MOST)
        return self.towards(self.by_phase(above(start, 0.06), start, push), OPEN)


class Push(Task):
    """Push the red puck onto the green disc.

    Goal: a place on the table, farther away than the puck, which is too wide to be grasped. Success: the puck's
    centre within 0.05 m of it. Varies: the puck's place (0.06 x 0.12 m) and the goal (0.08 x 0.14 m).
    """

    id: ClassVar = "push"
    expert: ClassVar = PushExpert
    varies: ClassVar = {"puck": Box((0.40, -0.06), (0.46, 0.06)), "goal": Box((0.64, -0.07), (0.72, 0.07))}
    override_ranges: ClassVar = {"object.size": (0.9, 1.5)}  # a smaller puck lies between the fingers
    size_offsets: ClassVar = {"goal": (0.0, 0.0, HALF_HEIGHT)}
    weights: ClassVar = {"behind": 0.3, "pushed": 0.7}

    @override
    def build(self, spec: mujoco.MjSpec) -> None:
        puck = spec.worldbody.add_body(name="puck", pos=[0.5, 0.0, HALF_HEIGHT])
        puck.add_freejoint(name="puck")
        disc = add_box(puck, [RADIUS, HALF_HEIGHT, 0], [0, 0, 0], OBJECT_RED, mass=MASS)
        disc.type = mujoco.mjtGeom.mjGEOM_CYLINDER
        disc.solimp, disc.friction, disc.priority = STIFF, FRICTION, 2
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

    @override
    def place(self, sim: SimState, ids: Ids, drawn: Mapping[str, Array]) -> None:
        sim.joint_qpos("puck")[ids, :2] = drawn["puck"]
        sim.mocap_pos("goal")[ids, :2] = drawn["goal"]

    @override
    def features(self, sim: SimState) -> Features:
        return Features(object=sim.site("puck"), goal=sim.site("goal"))

    @override
    def reward_terms(self, sim: SimState, features: Features) -> dict[str, Array]:
        # Sideways counts more: once the puck is as far ahead as the goal, it can no longer be pushed aside.
        displacement = features.displacement[:, :2] * [1.0, SIDEWAYS]
        return {
            "behind": tolerance(distance(sim.hand, features.object - CRADLE), within=0.015, margin=NEAR_MARGIN),
            "pushed": tolerance(length(displacement), margin=GOAL_MARGIN),
        }

    @override
    def success(self, sim: SimState, features: Features) -> Mask:
        return features.distance < SUCCESS_DISTANCE
