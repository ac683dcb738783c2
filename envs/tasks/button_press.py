"""Button-press: push a spring-loaded button down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import mujoco

from clrobot.envs.arrays import Array, clip, distance, horizontal_distance
from clrobot.envs.experts.expert import Expert, above
from clrobot.envs.rewards.tolerance import tolerance
from clrobot.envs.scene.arm import ARM_BIT
from clrobot.envs.scene.mechanisms import add_slide
from clrobot.envs.scene.parts import FIXTURE_BLUE, OBJECT_RED, add_box, add_fixture, add_site
from clrobot.envs.simulation.actions import CLOSED, MAX_STEP
from clrobot.envs.simulation.features import Features, Ids, Mask
from clrobot.envs.simulation.state import SimState
from clrobot.envs.simulation.task import Box, Task

TRAVEL = 0.030  # m, from released to fully pressed
SUCCESS_PRESS = 0.8  # of the travel
SPRING = 400.0  # N/m: about 10 N to press it
CAP_HEIGHT = 0.095  # m, the released cap's top above the table
CAP_RADIUS = 0.036  # m
MARGIN = 0.10  # m, where the reward for nearness has fallen to a tenth

PRESS = 0.01  # m, the stride that does not sink into the cap


class ButtonPressExpert(Expert):
    """Over the cap, then down. Phases: 0 over it, 1 pressing."""

    def act(self, f: Features) -> Array:  # noqa: D102
        self.advance(0, horizontal_distance(self.sim.hand, f.object) < 0.012)
        point = self.by_phase(above(f.object, 0.05), above(f.goal, -0.03))
        return self.towards(point, CLOSED, self.by_phase(MAX_STEP, PRESS))


class ButtonPress(Task):
    """Push the red button down into its blue box.

    Goal: the button pressed. Success: at least 80 % of its 30 mm travel. Varies: the box's place on the table, in
    0.24 x 0.40 m.
    """

    id: ClassVar = "button-press"
    expert: ClassVar = ButtonPressExpert
    varies: ClassVar = {"place": Box((0.40, -0.20), (0.64, 0.20))}
    weights: ClassVar = {"near": 0.4, "pressed": 0.6}

    def build(self, spec: mujoco.MjSpec) -> None:  # noqa: D102
        box = add_fixture(spec, "box", [0.5, 0.0, 0.0])
        add_box(box, [0.055, 0.055, 0.025], [0, 0, 0.025], FIXTURE_BLUE)
        button = box.add_body(name="button", pos=[0, 0, CAP_HEIGHT], gravcomp=1.0)
        add_slide(button, "button", [0, 0, -1], TRAVEL, stiffness=SPRING, damping=4.0, armature=0.2)
        button.add_geom(
            type=mujoco.mjtGeom.mjGEOM_CYLINDER,
            size=[CAP_RADIUS, 0.021, 0],
            pos=[0, 0, -0.021],
            rgba=OBJECT_RED,
            mass=0.05,
            # Touched by the arm only: the cap sinks into its box.
            contype=0,
            conaffinity=ARM_BIT,
        )
        add_site(button, "cap")
        add_site(box, "pressed", [0, 0, CAP_HEIGHT - TRAVEL])

    def place(self, sim: SimState, ids: Ids, drawn: Mapping[str, Array]) -> None:  # noqa: D102
        sim.mocap_pos("box")[ids, :2] = drawn["place"]

    def features(self, sim: SimState) -> Features:  # noqa: D102
        pressed = sim.joint_qpos("button")[:, 0] / TRAVEL
        return Features(object=sim.site("cap"), goal=sim.site("pressed"), joint=pressed)

    def reward_terms(self, sim: SimState, features: Features) -> dict[str, Array]:  # noqa: D102
        assert features.joint is not None
        return {
            "near": tolerance(distance(sim.hand, features.object), within=0.01, margin=MARGIN),
            "pressed": clip(features.joint / SUCCESS_PRESS, 0.0, 1.0),
        }

    def success(self, sim: SimState, features: Features) -> Mask:  # noqa: D102
        assert features.joint is not None
        return features.joint >= SUCCESS_PRESS
