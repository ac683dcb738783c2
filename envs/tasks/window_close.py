"""Window-close: slide a pane shut by its knob."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import mujoco
import numpy as np

from clrobot.envs.arrays import Array, clip, distance, horizontal_distance
from clrobot.envs.experts.expert import Expert, above
from clrobot.envs.rewards.tolerance import tolerance
from clrobot.envs.scene.mechanisms import add_slide, arm_only
from clrobot.envs.scene.parts import (
    FIXTURE_BLUE,
    GLASS_BLUE,
    HANDLE_YELLOW,
    PANEL_BLUE,
    add_box,
    add_fixture,
    add_site,
)
from clrobot.envs.simulation.actions import CLOSED, MAX_STEP
from clrobot.envs.simulation.features import Features, Ids, Mask
from clrobot.envs.simulation.state import SimState
from clrobot.envs.simulation.task import Box, Task

TRAVEL = 0.15  # m, from wide open to shut
PANE = np.array([0.085, 0.004, 0.062])  # m, a pane's half sizes
RAIL = np.array([0.075, -0.008, 0.0775])  # m, the moving pane's middle when it is shut
KNOB_HEIGHT = 0.125  # m; above the frame the palm is free
KNOB_REACH = 0.05  # m, how far the knob stands off the pane, towards the camera
SUCCESS_GAP = 0.015  # m, at most
MARGIN = 0.15  # m, where the reward for nearness has fallen to a tenth

BESIDE = (-0.032, -0.005, 0.0)  # m, from the knob to where the fingers go down beside it
PUSH = (0.03, -0.005, 0.0)  # m, from the knob to where the hand pushes towards
GENTLE = 0.008  # m, a stride that does not sink into the knob


class WindowCloseExpert(Expert):
    """Closed fingers down on the robot's side of the knob, then away. Phases: 0 over, 1 down, 2 pushing, 3 there."""

    def act(self, f: Features) -> Array:  # noqa: D102
        assert f.joint is not None
        hand, beside = self.sim.hand, f.object + BESIDE
        self.advance(2, f.joint < 0.02)
        self.advance(1, hand[:, 2] - beside[:, 2] < 0.006)
        self.advance(0, horizontal_distance(hand, beside) < 0.01)
        point = self.by_phase(above(beside, 0.06), beside, f.object + PUSH, self.sim.delayed_target)
        return self.towards(point, CLOSED, self.by_phase(MAX_STEP, 2 * GENTLE, GENTLE))


class WindowClose(Task):
    """Slide the open pane of the window shut by its yellow knob, away from the robot.

    Goal: the pane shut. Success: less than 15 mm open. Varies: the window's place (0.10 x 0.10 m), and how far it is
    open at the start (0.11 to 0.15 m).
    """

    id: ClassVar = "window-close"
    expert: ClassVar = WindowCloseExpert
    varies: ClassVar = {"place": Box((0.50, 0.06), (0.60, 0.16)), "gap": Box((0.11,), (TRAVEL,))}
    weights: ClassVar = {"near": 0.3, "shut": 0.7}

    def build(self, spec: mujoco.MjSpec) -> None:  # noqa: D102
        window = add_fixture(spec, "window", [0.55, 0.1, 0.0])
        for z in (0.008, 0.147):
            add_box(window, [0.176, 0.018, 0.008], [0, 0, z], FIXTURE_BLUE)
        for side in (-1.0, 1.0):
            add_box(window, [0.008, 0.018, 0.062], [side * 0.168, 0, 0.0775], FIXTURE_BLUE)
        add_box(window, PANE, [-0.075, 0.009, 0.0775], GLASS_BLUE)
        pane = window.add_body(name="pane", pos=RAIL, gravcomp=1.0)
        add_slide(pane, "gap", [-1, 0, 0], TRAVEL, damping=10.0, friction=1.0, armature=0.3)
        knob = np.array([-0.06, -KNOB_REACH / 2, KNOB_HEIGHT - RAIL[2]])
        stiles = [
            add_box(pane, [0.007, 0.006, PANE[2]], [side * (PANE[0] - 0.007), 0, 0], PANEL_BLUE) for side in (-1, 1)
        ]
        arm_only(
            [
                add_box(pane, PANE, [0, 0, 0], GLASS_BLUE),
                *stiles,
                add_box(pane, [0.010, KNOB_REACH / 2, 0.012], knob, HANDLE_YELLOW, mass=0.05),
            ]
        )
        handle = knob - [0, 0.01, 0]
        add_site(pane, "knob", handle)
        add_site(window, "shut", handle + RAIL)

    def place(self, sim: SimState, ids: Ids, drawn: Mapping[str, Array]) -> None:  # noqa: D102
        sim.mocap_pos("window")[ids, :2] = drawn["place"]
        sim.joint_qpos("gap")[ids] = drawn["gap"]

    def features(self, sim: SimState) -> Features:  # noqa: D102
        gap = sim.joint_qpos("gap")[:, 0] / TRAVEL
        return Features(object=sim.site("knob"), goal=sim.site("shut"), joint=gap)

    def reward_terms(self, sim: SimState, features: Features) -> dict[str, Array]:  # noqa: D102
        assert features.joint is not None
        return {
            "near": tolerance(distance(sim.hand, features.object), within=0.03, margin=MARGIN),
            "shut": 1.0 - clip(features.joint, 0.0, 1.0),
        }

    def success(self, sim: SimState, features: Features) -> Mask:  # noqa: D102
        assert features.joint is not None
        return features.joint * TRAVEL < SUCCESS_GAP
