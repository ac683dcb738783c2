"""Drawer-open: pull a drawer out by its handle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import mujoco

from clrobot.envs.arrays import Array, clip, distance, horizontal_distance
from clrobot.envs.experts.expert import Expert, above
from clrobot.envs.rewards.tolerance import tolerance
from clrobot.envs.scene.mechanisms import add_drawer, drawer_handle
from clrobot.envs.scene.parts import add_site
from clrobot.envs.simulation.actions import CLOSED, MAX_STEP
from clrobot.envs.simulation.features import Features, Ids, Mask
from clrobot.envs.simulation.state import SimState
from clrobot.envs.simulation.task import Box, Task

GOAL_OPENING = 0.14  # m
SUCCESS_OPENING = 0.9  # of GOAL_OPENING
MARGIN = 0.15  # m, where the reward for nearness has fallen to a tenth

BEHIND = (0.030, 0.0, 0.010)  # m, from the handle to where the fingers hook behind it
PULL = (-0.06, 0.0, 0.0)  # m, from the hook to where the hand pulls towards
GENTLE = 0.01  # m, a stride that does not sink into the handle


class DrawerOpenExpert(Expert):
    """Closed fingers down between the handle and the front, then back. Phases: 0 over, 1 down, 2 pulling, 3 there."""

    def act(self, f: Features) -> Array:  # noqa: D102
        assert f.joint is not None
        hand, hook = self.sim.hand, f.object + BEHIND
        self.advance(2, f.joint > 1.0)
        self.advance(1, hand[:, 2] - hook[:, 2] < 0.004)
        self.advance(0, horizontal_distance(hand, hook) < 0.006)
        point = self.by_phase(above(hook, 0.06), hook, hook + PULL, self.sim.delayed_target)
        return self.towards(point, CLOSED, self.by_phase(MAX_STEP, 2 * GENTLE, GENTLE))


class DrawerOpen(Task):
    """Pull the drawer out of its blue cabinet by the yellow handle, towards the robot.

    Goal: the drawer 0.14 m open. Success: at least 90 % of that. Varies: the cabinet's place, 0.08 x 0.24 m.
    """

    id: ClassVar = "drawer-open"
    expert: ClassVar = DrawerOpenExpert
    varies: ClassVar = {"place": Box((0.70, -0.12), (0.78, 0.12))}
    weights: ClassVar = {"near": 0.4, "open": 0.6}

    def build(self, spec: mujoco.MjSpec) -> None:  # noqa: D102
        cabinet = add_drawer(spec)
        add_site(cabinet, "opened", drawer_handle(GOAL_OPENING))

    def place(self, sim: SimState, ids: Ids, drawn: Mapping[str, Array]) -> None:  # noqa: D102
        sim.mocap_pos("cabinet")[ids, :2] = drawn["place"]

    def features(self, sim: SimState) -> Features:  # noqa: D102
        opening = sim.joint_qpos("drawer")[:, 0] / GOAL_OPENING
        return Features(object=sim.site("handle"), goal=sim.site("opened"), joint=opening)

    def reward_terms(self, sim: SimState, features: Features) -> dict[str, Array]:  # noqa: D102
        assert features.joint is not None
        return {
            "near": tolerance(distance(sim.hand, features.object), within=0.02, margin=MARGIN),
            "open": clip(features.joint, 0.0, 1.0),
        }

    def success(self, sim: SimState, features: Features) -> Mask:  # noqa: D102
        assert features.joint is not None
        return features.joint >= SUCCESS_OPENING
