"""Hammer: drive a nail in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from typing_extensions import override

from clrobot.envs.arrays import Array, clip, distance
from clrobot.envs.deferred import mujoco
from clrobot.envs.experts.expert import above
from clrobot.envs.experts.grasping import FAST, HOLDING, SLOW, UP, GraspExpert
from clrobot.envs.rewards.grasp import grasp, raised
from clrobot.envs.rewards.tolerance import tolerance
from clrobot.envs.scene.arm import ARM_BIT, OBJECT_BIT, STIFF
from clrobot.envs.scene.mechanisms import SLIDE, add_joint
from clrobot.envs.scene.parts import FIXTURE_BLUE, HANDLE_YELLOW, OBJECT_RED, add_box, add_fixture, add_site
from clrobot.envs.simulation.actions import CLOSED
from clrobot.envs.simulation.features import Features, Ids, Mask, MechanismFeatures
from clrobot.envs.simulation.state import SimState
from clrobot.envs.simulation.task import Box, Task

NAIL_BIT = 4  # only the hammer's head touches the nail: it cannot be pressed in by hand
HEAD = (0.020, 0.020, 0.030)  # m, half sizes; it stands on its face
HEAD_MASS, HANDLE_MASS = 0.12, 0.02  # kg
GRIP = -0.042  # m, from the head's middle back along the handle
HANDLE_HEIGHT = 0.008  # m, of the handle above the head's middle
BLOCK_HEIGHT = 0.060  # m
TRAVEL = 0.030  # m, how far the nail sticks out
RESISTANCE = 6.0  # N, of the nail
SUCCESS_DRIVEN = 0.8  # of the travel
CARRY_MARGIN = 0.20  # m
STEEL = [0.45, 0.48, 0.52, 1.0]

SWING = 0.03  # m above the nail, from where the head comes down


class HammerExpert(GraspExpert):
    """Up (phase HOLDING), the head over the nail (+ 1), and down (+ 2)."""

    @override
    def carry(self, f: Features) -> Array:
        over = above(f.goal, TRAVEL + SWING)
        displacement = over - f.object
        self.advance(HOLDING + 1, np.linalg.norm(displacement, axis=1) < 0.012)
        self.advance(HOLDING, displacement[:, 2] < 0.02)
        lead = self.by_phase(FAST, FAST, SLOW, first=HOLDING)
        return self.bring(self.by_phase(displacement * UP, displacement, f.displacement, first=HOLDING), CLOSED, lead)


class Hammer(Task[MechanismFeatures]):
    """Take the hammer by its yellow handle and drive the red nail into the blue block.

    Goal: the nail driven in. Success: at least 80 % of its 30 mm. Only the hammer moves the nail, not the hand.
    Varies: the hammer's place and the block's (0.06 x 0.24 m each).
    """

    id: ClassVar = "hammer"
    expert: ClassVar = HammerExpert
    varies: ClassVar = {"hammer": Box((0.44, -0.12), (0.50, 0.12)), "block": Box((0.62, -0.12), (0.68, 0.12))}
    size_offsets: ClassVar = {"driven": (GRIP, 0.0, HEAD[2] + HANDLE_HEIGHT)}
    weights: ClassVar = {"near": 0.1, "grasped": 0.1, "lifted": 0.1, "carried": 0.2, "driven": 0.5}

    @override
    def build(self, spec: mujoco.MjSpec) -> None:
        block = add_fixture(spec, "block", [0.65, 0.0, 0.0])
        add_box(block, [0.04, 0.04, BLOCK_HEIGHT / 2], [0, 0, BLOCK_HEIGHT / 2], FIXTURE_BLUE)
        nail = block.add_body(name="nail", pos=[0, 0, BLOCK_HEIGHT + TRAVEL], gravcomp=1.0)
        add_joint(nail, "nail", SLIDE, [0, 0, -1], TRAVEL, damping=5.0, friction=RESISTANCE, armature=0.2)
        for radius, half, height, bit in ((0.016, 0.003, 0.003, NAIL_BIT), (0.004, 0.02, -0.018, 0)):
            nail.add_geom(
                type=mujoco.mjtGeom.mjGEOM_CYLINDER,
                size=[radius, half, 0],
                pos=[0, 0, height],
                rgba=OBJECT_RED,
                mass=0.02,
                contype=0,
                conaffinity=bit,
            )
        hammer = spec.worldbody.add_body(name="hammer", pos=[0.47, 0.0, HEAD[2]])
        hammer.add_freejoint(name="hammer")
        head = add_box(hammer, HEAD, [0, 0, 0], STEEL, mass=HEAD_MASS)
        head.contype = OBJECT_BIT | NAIL_BIT
        head.solimp, head.priority = STIFF, 1
        handle = add_box(hammer, [0.055, 0.012, 0.010], [-0.073, 0, HANDLE_HEIGHT], HANDLE_YELLOW, mass=HANDLE_MASS)
        handle.condim = 4
        handle.conaffinity = ARM_BIT | OBJECT_BIT
        add_site(hammer, "face", [0, 0, -HEAD[2]])
        add_site(hammer, "grip", [GRIP, 0, HANDLE_HEIGHT])
        add_site(nail, "nail", [0, 0, 0.006])
        add_site(block, "driven", [GRIP, 0, BLOCK_HEIGHT + 0.006 + HEAD[2] + HANDLE_HEIGHT])

    @override
    def place(self, sim: SimState, ids: Ids, drawn: Mapping[str, Array]) -> None:
        sim.joint_qpos("hammer")[ids, :2] = drawn["hammer"]
        sim.mocap_pos("block")[ids, :2] = drawn["block"]

    @override
    def features(self, sim: SimState) -> MechanismFeatures:
        driven = sim.joint_qpos("nail")[:, 0] / TRAVEL
        grip, goal, face = sim.site("grip"), sim.site("driven"), sim.site("face")
        return MechanismFeatures(object=grip, goal=goal, other=face, joint=driven)

    @override
    def reward_terms(self, sim: SimState, features: MechanismFeatures) -> dict[str, Array]:
        hold = grasp(sim, features.object)
        face, nail = sim.site("face"), sim.site("nail")
        aside = distance(face[:, :2], nail[:, :2])
        lifted = hold.around * raised(face[:, 2], 0.0, BLOCK_HEIGHT)
        return {
            "near": hold.near,
            "grasped": hold.grasped,
            "lifted": lifted,
            "carried": lifted * tolerance(aside, within=0.01, margin=CARRY_MARGIN),
            "driven": clip(features.joint / SUCCESS_DRIVEN, 0.0, 1.0),
        }

    @override
    def success(self, sim: SimState, features: MechanismFeatures) -> Mask:
        return features.joint >= SUCCESS_DRIVEN
