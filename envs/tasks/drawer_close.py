"""Drawer-close: push an open drawer shut."""

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

FULL_OPENING = 0.14  # m, what the agent is shown as 1
SUCCESS_OPENING = 0.01  # m, at most
MARGIN = 0.15  # m, where the reward for nearness has fallen to a tenth

BEFORE = (-0.030, 0.0, 0.0)  # m, from the handle to where the fingers go down before it
PUSH = (0.03, 0.0, 0.0)  # m, how far ahead of the hand its target is
GENTLE = 0.008  # m, a stride that does not sink into the handle


class DrawerCloseExpert(Expert):
    """Closed fingers down before the handle, then forward. Phases: 0 over, 1 down, 2 pushing, 3 there."""

    def act(self, f: Features) -> Array:  # noqa: D102
        assert f.joint is not None
        hand, before = self.sim.hand, f.object + BEFORE
        self.advance(2, f.joint < 0.02)
        self.advance(1, hand[:, 2] - before[:, 2] < 0.006)
        self.advance(0, horizontal_distance(hand, before) < 0.01)
        point = self.by_phase(above(before, 0.08), before, f.object + PUSH, self.sim.delayed_target)
        return self.towards(point, CLOSED, self.by_phase(MAX_STEP, 2 * GENTLE, GENTLE))


class DrawerClose(Task):
    """Push the open drawer into its blue cabinet.

    Goal: the drawer shut. Success: less than 10 mm open. Varies: the cabinet's place (0.08 x 0.24 m), and how far the
    drawer is open at the start (0.12 to 0.16 m).
    """

    id: ClassVar = "drawer-close"
    expert: ClassVar = DrawerCloseExpert
    varies: ClassVar = {"place": Box((0.70, -0.12), (0.78, 0.12)), "opening": Box((0.12,), (0.16,))}
    weights: ClassVar = {"near": 0.3, "shut": 0.7}

    def build(self, spec: mujoco.MjSpec) -> None:  # noqa: D102
        cabinet = add_drawer(spec)
        add_site(cabinet, "closed", drawer_handle(0.0))

    def place(self, sim: SimState, ids: Ids, drawn: Mapping[str, Array]) -> None:  # noqa: D102
        sim.mocap_pos("cabinet")[ids, :2] = drawn["place"]
        sim.joint_qpos("drawer")[ids] = drawn["opening"]

    def features(self, sim: SimState) -> Features:  # noqa: D102
        opening = sim.joint_qpos("drawer")[:, 0] / FULL_OPENING
        return Features(object=sim.site("handle"), goal=sim.site("closed"), joint=opening)

    def reward_terms(self, sim: SimState, features: Features) -> dict[str, Array]:  # noqa: D102
        assert features.joint is not None
        return {
            "near": tolerance(distance(sim.hand, features.object), within=0.03, margin=MARGIN),
            "shut": 1.0 - clip(features.joint, 0.0, 1.0),
        }

    def success(self, sim: SimState, features: Features) -> Mask:  # noqa: D102
        assert features.joint is not None
        return features.joint * FULL_OPENING < SUCCESS_OPENING
