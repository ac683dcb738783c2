"""Button-press: push a spring-loaded button down."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from clrobot.envs.arrays import Array, clip, horizontal_distance
from clrobot.envs.deferred import mujoco
from clrobot.envs.experts.expert import Expert, above
from clrobot.envs.scene.arm import ARM_BIT
from clrobot.envs.scene.mechanisms import SLIDE, add_joint
from clrobot.envs.scene.parts import FIXTURE_BLUE, OBJECT_RED, add_box, add_fixture, add_site
from clrobot.envs.simulation.actions import CLOSED, MAX_STEP
from clrobot.envs.simulation.features import Features
from clrobot.envs.simulation.task import Box
from clrobot.envs.tasks.mechanism_task import OpeningTask

TRAVEL = 0.030  # m, from released to fully pressed
SUCCESS_PRESS = 0.8  # of the travel
SPRING = 400.0  # N/m: about 10 N to press it
CAP_HEIGHT = 0.095  # m, the released cap's top above the table
CAP_RADIUS = 0.036  # m

PRESS = 0.01  # m, the stride that does not sink into the cap


class ButtonPressExpert(Expert):
    """Over the cap, then down. Phases: 0 over it, 1 pressing."""

    @override
    def act(self, f: Features) -> Array:
        self.advance(0, horizontal_distance(self.sim.hand, f.object) < 0.012)
        point = self.by_phase(above(f.object, 0.05), above(f.goal, -0.03))
        return self.towards(point, CLOSED, self.by_phase(MAX_STEP, PRESS))


class ButtonPress(OpeningTask):
    """Push the red button down into its blue box.

    Goal: the button pressed. Success: at least 80 % of its 30 mm travel. Varies: the box's place on the table, in
    0.24 x 0.40 m.
    """

    id: ClassVar = "button-press"
    expert: ClassVar = ButtonPressExpert
    varies: ClassVar = {"place": Box((0.40, -0.20), (0.64, 0.20))}
    weights: ClassVar = {"near": 0.4, "moved": 0.6}
    fixture: ClassVar = "box"
    joint: ClassVar = "button"
    handle: ClassVar = "cap"
    goal: ClassVar = "pressed"
    full: ClassVar = TRAVEL
    success_at: ClassVar = SUCCESS_PRESS * TRAVEL
    near_within: ClassVar = 0.01
    near_margin: ClassVar = 0.10

    @override
    def build(self, spec: mujoco.MjSpec) -> None:
        box = add_fixture(spec, "box", [0.5, 0.0, 0.0])
        add_box(box, [0.055, 0.055, 0.025], [0, 0, 0.025], FIXTURE_BLUE)
        button = box.add_body(name="button", pos=[0, 0, CAP_HEIGHT], gravcomp=1.0)
        add_joint(button, "button", SLIDE, [0, 0, -1], TRAVEL, stiffness=SPRING, damping=4.0, armature=0.2)
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

    @override
    def moved(self, joint: Array) -> Array:
        return clip(joint / SUCCESS_PRESS, 0.0, 1.0)
