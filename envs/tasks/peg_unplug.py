"""Peg-unplug: pull a plug out of its socket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from typing_extensions import override

from clrobot.envs.arrays import Array, clip
from clrobot.envs.deferred import mujoco
from clrobot.envs.experts.grasping import GraspExpert
from clrobot.envs.rewards.grasp import grasp
from clrobot.envs.scene.parts import FIXTURE_BLUE, HANDLE_YELLOW, OBJECT_RED, add_box, add_fixture, add_site
from clrobot.envs.simulation.actions import CLOSED
from clrobot.envs.simulation.features import Features, Ids, Mask, MechanismFeatures
from clrobot.envs.simulation.state import SimState
from clrobot.envs.simulation.task import Box, Task

BODY = (0.028, 0.018, 0.025)  # m, half sizes of the plug's body, which the hand takes hold of
PIN_LENGTH, PIN_RADIUS = 0.055, 0.008  # m
HOLE_HALF = 0.011  # m, half the width of the square hole: 3 mm of clearance around the pin
AXIS = 0.030  # m, the pin's height above the table
SOCKET = (0.040, 0.060, 0.035)  # m, half sizes of the socket's block
MASS = 0.15  # kg
GOAL_PULL = 0.10  # m, out of the socket
SUCCESS_PULL = 0.06  # m: longer than the pin, which is then in the open


class PegUnplugExpert(GraspExpert):
    """Straight out of the socket."""

    @override
    def carry(self, f: Features) -> Array:
        return self.move([-0.01, 0.0, 0.0], CLOSED)


class PegUnplug(Task[MechanismFeatures]):
    """Pull the red plug out of its blue socket, towards the robot.

    Goal: the plug 0.10 m out of its seat. Success: at least 0.06 m out, more than its pin is long. Varies: the
    socket's place on the table (0.08 x 0.28 m).
    """

    id: ClassVar = "peg-unplug"
    expert: ClassVar = PegUnplugExpert
    varies: ClassVar = {"place": Box((0.64, -0.14), (0.72, 0.14))}
    weights: ClassVar = {"near": 0.2, "grasped": 0.2, "pulled": 0.6}
    refuses: ClassVar = {"object.size": "its plug fits its socket at one size alone"}

    @override
    def build(self, spec: mujoco.MjSpec) -> None:
        socket = add_fixture(spec, "socket", [0.68, 0.0, 0.0])
        x, y, z = SOCKET
        # Four walls around the hole, and a back.
        low, high = (AXIS - HOLE_HALF) / 2, (2 * z - AXIS - HOLE_HALF) / 2
        side = (y - HOLE_HALF) / 2
        add_box(socket, [x, y, low], [0, 0, low], FIXTURE_BLUE)
        add_box(socket, [x, y, high], [0, 0, 2 * z - high], FIXTURE_BLUE)
        for sign in (-1.0, 1.0):
            add_box(socket, [x, side, HOLE_HALF], [0, sign * (HOLE_HALF + side), AXIS], FIXTURE_BLUE)
        plug = spec.worldbody.add_body(name="plug", pos=[0.6, 0.0, BODY[2]])
        plug.add_freejoint(name="plug")
        body = add_box(plug, BODY, [0, 0, 0], OBJECT_RED, mass=MASS)
        body.condim = 4
        pin = add_box(plug, [PIN_RADIUS, 0, 0], [0, 0, 0], HANDLE_YELLOW, mass=0.01)
        pin.type = mujoco.mjtGeom.mjGEOM_CAPSULE
        height = AXIS - BODY[2]
        pin.fromto = [0.0, 0.0, height, BODY[0] + PIN_LENGTH - PIN_RADIUS, 0.0, height]
        add_site(plug, "plug")
        add_site(socket, "seat", [-x - BODY[0] - 0.001, 0, BODY[2]])
        add_site(socket, "out", [-x - BODY[0] - 0.001 - GOAL_PULL, 0, BODY[2]])

    @override
    def place(self, sim: SimState, ids: Ids, drawn: Mapping[str, Array]) -> None:
        sim.mocap_pos("socket")[ids, :2] = drawn["place"]
        sim.joint_qpos("plug")[ids, :2] = drawn["place"]
        sim.joint_qpos("plug")[ids, 0] -= SOCKET[0] + BODY[0] + 0.001

    @override
    def features(self, sim: SimState) -> MechanismFeatures:
        plug, seat = sim.site("plug"), sim.site("seat")
        return MechanismFeatures(object=plug, goal=sim.site("out"), joint=(seat - plug)[:, 0] / GOAL_PULL)

    @override
    def reward_terms(self, sim: SimState, features: MechanismFeatures) -> dict[str, Array]:
        hold = grasp(sim, features.object)
        return {
            "near": hold.near,
            "grasped": hold.grasped,
            "pulled": clip(features.joint, 0.0, 1.0),
        }

    @override
    def success(self, sim: SimState, features: MechanismFeatures) -> Mask:
        return features.joint * GOAL_PULL > SUCCESS_PULL
