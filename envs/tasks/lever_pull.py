"""Lever-pull: pull a standing lever over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import mujoco
import numpy as np

from clrobot.envs.arrays import Array, clip, distance, horizontal_distance
from clrobot.envs.experts.expert import Expert, above
from clrobot.envs.rewards.tolerance import tolerance
from clrobot.envs.scene.mechanisms import add_hinge, arm_only
from clrobot.envs.scene.parts import FIXTURE_BLUE, HANDLE_YELLOW, PANEL_BLUE, add_box, add_fixture, add_site
from clrobot.envs.simulation.actions import CLOSED, MAX_STEP
from clrobot.envs.simulation.features import Features, Ids, Mask
from clrobot.envs.simulation.state import SimState
from clrobot.envs.simulation.task import Box, Task

TRAVEL = 1.3  # rad, from stop to stop
START_LEAN = 0.35  # rad, how far the lever leans away from the robot at the start
LENGTH = 0.12  # m, from the pivot to the ball's middle
PIVOT_HEIGHT = 0.06  # m
GOAL_ANGLE = 1.1  # rad, from the start
SUCCESS_ANGLE = 1.0  # rad
MARGIN = 0.15  # m, where the reward for nearness has fallen to a tenth

BEHIND = (0.040, 0.0, -0.005)  # m, from the ball to where the fingers go down behind it
PULL = (-0.03, 0.0, -0.01)  # m, from the ball to where the hand pulls towards
GENTLE = 0.01  # m, a stride that does not sink into the ball


class LeverPullExpert(Expert):
    """Closed fingers down behind the ball, then back. Phases: 0 over, 1 down, 2 pulling, 3 there."""

    def act(self, f: Features) -> Array:  # noqa: D102
        assert f.joint is not None
        hand, behind = self.sim.hand, f.object + BEHIND
        self.advance(2, f.joint > 1.0)
        self.advance(1, hand[:, 2] - behind[:, 2] < 0.006)
        self.advance(0, horizontal_distance(hand, behind) < 0.01)
        point = self.by_phase(above(behind, 0.07), behind, f.object + PULL, self.sim.delayed_target)
        return self.towards(point, CLOSED, self.by_phase(MAX_STEP, 2 * GENTLE, GENTLE))


class LeverPull(Task):
    """Pull the lever with the yellow ball over, towards the robot.

    Goal: the lever turned by 1.1 rad. Success: by at least 1 rad. Varies: the lever's place, 0.10 x 0.30 m.
    """

    id: ClassVar = "lever-pull"
    expert: ClassVar = LeverPullExpert
    varies: ClassVar = {"place": Box((0.52, -0.15), (0.62, 0.15))}
    weights: ClassVar = {"near": 0.4, "pulled": 0.6}

    def build(self, spec: mujoco.MjSpec) -> None:  # noqa: D102
        stand = add_fixture(spec, "stand", [0.57, 0.0, 0.0])
        add_box(stand, [0.06, 0.04, 0.010], [0, 0, 0.010], FIXTURE_BLUE)
        for side in (-1.0, 1.0):
            add_box(stand, [0.014, 0.006, 0.030], [0, side * 0.022, 0.045], FIXTURE_BLUE)
        lean = START_LEAN / 2
        lever = stand.add_body(
            name="lever", pos=[0, 0, PIVOT_HEIGHT], quat=[np.cos(lean), 0, np.sin(lean), 0], gravcomp=1.0
        )
        add_hinge(lever, "lever", [0, -1, 0], TRAVEL, damping=0.1, friction=0.1, armature=0.01)
        rod = lever.add_geom(
            type=mujoco.mjtGeom.mjGEOM_CAPSULE,
            fromto=[0, 0, 0, 0, 0, LENGTH],
            size=[0.010, 0, 0],
            rgba=PANEL_BLUE,
            mass=0.1,
        )
        ball = lever.add_geom(
            type=mujoco.mjtGeom.mjGEOM_SPHERE,
            size=[0.022, 0, 0],
            pos=[0, 0, LENGTH],
            rgba=HANDLE_YELLOW,
            mass=0.05,
        )
        arm_only([rod, ball])
        add_site(lever, "ball", [0, 0, LENGTH])
        over = GOAL_ANGLE - START_LEAN
        add_site(stand, "pulled", [-LENGTH * np.sin(over), 0, PIVOT_HEIGHT + LENGTH * np.cos(over)])

    def place(self, sim: SimState, ids: Ids, drawn: Mapping[str, Array]) -> None:  # noqa: D102
        sim.mocap_pos("stand")[ids, :2] = drawn["place"]

    def features(self, sim: SimState) -> Features:  # noqa: D102
        angle = sim.joint_qpos("lever")[:, 0] / GOAL_ANGLE
        return Features(object=sim.site("ball"), goal=sim.site("pulled"), joint=angle)

    def reward_terms(self, sim: SimState, features: Features) -> dict[str, Array]:  # noqa: D102
        assert features.joint is not None
        return {
            "near": tolerance(distance(sim.hand, features.object), within=0.03, margin=MARGIN),
            "pulled": clip(features.joint, 0.0, 1.0),
        }

    def success(self, sim: SimState, features: Features) -> Mask:  # noqa: D102
        assert features.joint is not None
        return features.joint * GOAL_ANGLE >= SUCCESS_ANGLE
