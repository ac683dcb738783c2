"""The robot: a Panda-like arm of primitive geoms with a parallel gripper, on a table, under impedance control.

Kinematics are the Franka Emika Panda's published ones (modified Denavit-Hartenberg, Craig's convention); joint
and torque limits come from its data sheet. Links are capsules: nothing to download, quick to collide.

The controller is Cartesian impedance (Hogan 1985), the real arm's own default mode, and runs inside the physics:
position actuators act on the hand's site relative to a fixed reference site, so the wrench

    f = Kp (x_target - x) - Kd ẋ          (three translations; three rotations hold the hand's orientation)

reaches the joints through the site's Jacobian, and each joint's torque is clamped to its limit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from clrobot.envs.deferred import mujoco

TIME_STEP = 0.01  # s; doubling it nearly doubles throughput, and grasping is still learned at 10 ms
SUBSTEPS = 4  # physics steps in one control step
CONTROL_STEP = TIME_STEP * SUBSTEPS  # s

FINGER_TRAVEL = 0.04  # m, each finger from closed to open
FINGER_STIFFNESS = 800.0  # N/m
FINGER_SPEED = 0.2  # m/s, of each finger's target: a faster one would sink into what it grasps
FINGER_FORCE = 25.0  # N, the most that each finger presses
# The box that the hand's target may not leave (m, in the arm's base frame). Its floor keeps the fingertips
# 15 mm above the table.
WORKSPACE_LOW = np.array([0.30, -0.32, 0.015])
WORKSPACE_HIGH = np.array([0.75, 0.32, 0.45])
HOME = np.array([0.45, 0.0, 0.22])  # m, the hand at the start of an episode

# Contact bits: the arm touches objects, objects touch objects and the table; the arm never touches itself.
ARM_BIT, OBJECT_BIT = 1, 2
# The gripper's rubber pads: sliding, torsional (m) and rolling (m) friction.
PAD_FRICTION = [1.5, 0.02, 0.001]
# MuJoCo's constraint impedance: at its default of 0.95, the hand's 100 N would press light objects millimetres into
# others and mechanisms beyond their stops.
STIFF = [0.95, 0.99, 0.001, 0.5, 2.0]


class Joint(NamedTuple):
    """One row of the Panda's modified Denavit-Hartenberg table, with its limits."""

    a: float  # m
    d: float  # m
    alpha: float  # rad
    low: float  # rad
    high: float  # rad
    torque: float  # N m
    home: float  # rad
    mass: float  # kg, of the link it moves


_QUARTER = np.pi / 2
JOINTS = (
    Joint(0.0, 0.333, 0.0, -2.8973, 2.8973, 87.0, 0.0, 2.9),
    Joint(0.0, 0.0, -_QUARTER, -1.7628, 1.7628, 87.0, -0.1289, 2.7),
    Joint(0.0, 0.316, _QUARTER, -2.8973, 2.8973, 87.0, 0.0, 2.6),
    Joint(0.0825, 0.0, _QUARTER, -3.0718, -0.0698, 87.0, -2.5263, 2.5),
    Joint(-0.0825, 0.384, -_QUARTER, -2.8973, 2.8973, 12.0, 0.0, 2.4),
    Joint(0.0, 0.0, _QUARTER, -0.0175, 3.7525, 12.0, 2.3974, 1.5),
    Joint(0.088, 0.0, _QUARTER, -2.8973, 2.8973, 12.0, 0.7854, 0.7),
)
STOP_MARGIN = 0.05  # rad, how far before its limit a joint is braked, as the real arm's virtual walls do
FLANGE = 0.107  # m, from the last joint's frame
PINCH = 0.1034  # m, from the flange to the point between the fingertips

# Capsules that draw and collide each link, in its joint's frame: (from, to, radius), m.
_LINK_CAPSULES: tuple[tuple[tuple[tuple[float, ...], tuple[float, ...], float], ...], ...] = (
    (((0, 0, -0.19), (0, 0, -0.02), 0.062), ((0, -0.03, 0), (0, 0.03, 0), 0.062)),
    (((0, -0.06, 0), (0, -0.15, 0), 0.06), ((0, 0, -0.05), (0, 0, 0.05), 0.062)),
    (((0, 0, -0.12), (0, 0, -0.03), 0.058), ((0.0825, 0.02, 0), (0.0825, -0.02, 0), 0.055)),
    (((0, 0, -0.045), (0, 0, 0.045), 0.055), ((-0.0825, 0.03, 0), (-0.0825, 0.11, 0), 0.053)),
    (((0, 0.01, -0.24), (0, 0.07, -0.12), 0.048), ((0, 0.075, -0.1), (0, 0.02, 0), 0.045)),
    (((0, 0, -0.04), (0, 0, 0.03), 0.05), ((0.05, 0, 0), (0.088, 0, 0), 0.045)),
    (((0, 0, -0.02), (0, 0, 0.07), 0.042),),
)
_WHITE = [0.88, 0.89, 0.91, 1.0]
_DARK = [0.20, 0.22, 0.25, 1.0]
_STEEL = [0.62, 0.65, 0.69, 1.0]


def arm_spec() -> mujoco.MjSpec:
    """Return the shared scene: table, light, camera, arm, gripper and its eight actuators.

    Tasks add their objects to it. Actuators 0-2 take the hand's target position (m), 3-5 the orientation error's
    target (rad, always 0) and 6-7 the finger positions (m).
    """
    spec = mujoco.MjSpec()
    _physics_options(spec)
    _surroundings(spec)
    flange = _links(spec)
    _hand(flange)
    _actuators(spec)
    spec.add_sensor(
        name="hand_velocity",
        type=mujoco.mjtSensor.mjSENS_FRAMELINVEL,
        objtype=mujoco.mjtObj.mjOBJ_SITE,
        objname="pinch",
    )
    return spec


def _physics_options(spec: mujoco.MjSpec) -> None:
    spec.option.timestep = TIME_STEP
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.impratio = 10.0  # stiff friction: a grasped cube does not creep out of the fingers
    spec.compiler.degree = False
    spec.compiler.autolimits = True


def _surroundings(spec: mujoco.MjSpec) -> None:
    visual = spec.visual
    visual.headlight.ambient = [0.42, 0.42, 0.44]
    visual.headlight.diffuse = [0.24, 0.24, 0.24]
    visual.headlight.specular = [0.0, 0.0, 0.0]
    visual.map.znear = 0.02
    visual.map.shadowclip = 0.5  # of the scene's extent: sharper shadows
    world = spec.worldbody
    world.add_light(
        pos=[0.11, -0.60, 2.0],
        dir=[0.12, 0.30, -1.0],
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        diffuse=[0.54, 0.53, 0.50],
        specular=[0.1, 0.1, 0.1],
        castshadow=True,
    )
    world.add_geom(
        name="table",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=[0.55, 0.6, 0.02],
        pos=[0.35, 0.0, -0.02],
        rgba=[0.83, 0.77, 0.67, 1.0],
        contype=OBJECT_BIT,
        conaffinity=OBJECT_BIT | ARM_BIT,
        friction=[0.8, 0.005, 0.0001],
    )
    world.add_geom(
        name="floor",
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        size=[3.0, 3.0, 0.1],
        pos=[0.0, 0.0, -0.75],
        rgba=[0.62, 0.67, 0.73, 1.0],
        contype=0,
        conaffinity=0,
    )
    # From the side: an arm on the left that works towards the right, with a drawer's front in view.
    camera_pos, camera_look = np.array([0.16, -1.66, 0.94]), np.array([0.40, 0.0, 0.305])
    world.add_camera(name="film", pos=camera_pos, quat=_look_at(camera_pos, camera_look), fovy=35.0)
    spec.add_texture(
        name="sky",
        type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
        rgb1=[0.88, 0.92, 0.96],
        rgb2=[0.55, 0.64, 0.75],
        width=64,
        height=384,
    )


def _look_at(eye: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the quaternion of a camera at `eye` (3,) whose -z axis points to `target` (3,), z up."""
    back = (eye - target) / np.linalg.norm(eye - target)
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= np.linalg.norm(right)
    quat = np.empty(4)
    mujoco.mju_mat2Quat(quat, np.column_stack([right, np.cross(back, right), back]).flatten())
    return quat


def _links(spec: mujoco.MjSpec) -> mujoco.MjsBody:
    """Add the seven links and return the last one's body."""
    body = spec.worldbody.add_body(name="base")
    body.add_geom(
        type=mujoco.mjtGeom.mjGEOM_CAPSULE, fromto=[-0.07, 0, 0.05, 0.0, 0, 0.06], size=[0.075, 0, 0],
        rgba=_WHITE, contype=0, conaffinity=0,
    )  # fmt: skip
    body.add_geom(
        type=mujoco.mjtGeom.mjGEOM_CYLINDER, fromto=[0, 0, 0.0, 0, 0, 0.16], size=[0.066, 0, 0],
        rgba=_WHITE, contype=0, conaffinity=0,
    )  # fmt: skip
    for number, (joint, capsules) in enumerate(zip(JOINTS, _LINK_CAPSULES, strict=True), start=1):
        half = joint.alpha / 2
        # Modified DH: rotate by alpha about x, then move by a along x and by d along the new z.
        body = body.add_body(
            name=f"link{number}",
            pos=[joint.a, -np.sin(joint.alpha) * joint.d, np.cos(joint.alpha) * joint.d],
            quat=[np.cos(half), np.sin(half), 0.0, 0.0],
            gravcomp=1.0,
        )
        body.add_joint(
            name=f"joint{number}",
            type=mujoco.mjtJoint.mjJNT_HINGE,
            axis=[0, 0, 1],
            range=[joint.low, joint.high],
            actfrclimited=True,
            actfrcrange=[-joint.torque, joint.torque],
            damping=[1.0, 0, 0],
            armature=0.1,
            solimp_limit=STIFF,
            margin=STOP_MARGIN,
            # A weak spring to the home pose settles the elbow, which six task directions leave free.
            stiffness=[0.5, 0, 0],
            springref=joint.home,
            ref=0.0,
        )
        for start, end, radius in capsules:
            body.add_geom(
                type=mujoco.mjtGeom.mjGEOM_CAPSULE,
                fromto=[*start, *end],
                size=[radius, 0, 0],
                mass=joint.mass / len(capsules),
                rgba=_WHITE,
                contype=ARM_BIT if number >= 5 else 0,
                conaffinity=0,
            )
    return body


def _hand(link7: mujoco.MjsBody) -> None:
    hand = link7.add_body(
        name="hand", pos=[0, 0, FLANGE], quat=[np.cos(np.pi / 8), 0, 0, -np.sin(np.pi / 8)], gravcomp=1.0
    )
    hand.add_geom(
        name="palm",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=[0.028, 0.10, 0.03],
        pos=[0, 0, 0.03],
        mass=0.65,
        rgba=_DARK,
        contype=ARM_BIT,
        conaffinity=0,
    )
    hand.add_site(name="pinch", pos=[0, 0, PINCH], size=[0.005, 0, 0], group=5)
    for name, side in (("left", 1.0), ("right", -1.0)):
        finger = hand.add_body(name=f"{name}_finger", pos=[0, 0, 0.0584], gravcomp=1.0)
        finger.add_joint(
            name=f"{name}_finger",
            type=mujoco.mjtJoint.mjJNT_SLIDE,
            axis=[0, side, 0],
            range=[0.0, FINGER_TRAVEL],
            # Contact forces reckon with the inertia alone: damping times the time step must stay well below it.
            damping=[10.0, 0, 0],
            armature=0.2,
        )
        finger.add_geom(
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=[0.008, 0.006, 0.016],
            pos=[0, side * 0.012, 0.012],
            mass=0.03,
            rgba=_STEEL,
            contype=0,
            conaffinity=0,
        )
        finger.add_geom(
            name=f"{name}_pad",
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=[0.010, 0.006, 0.019],
            pos=[0, side * 0.006, 0.038],
            mass=0.04,
            rgba=_DARK,
            contype=ARM_BIT,
            conaffinity=0,
            condim=4,
            friction=PAD_FRICTION,
            solref=[0.02, 1.0],
            solimp=STIFF,
            priority=1,
        )


def _actuators(spec: mujoco.MjSpec) -> None:
    world = spec.worldbody
    world.add_site(name="origin", group=5, size=[0.005, 0, 0])
    # The orientation to hold: fingers down, opening along y.
    world.add_site(name="down", quat=[0, 1, 0, 0], group=5, size=[0.005, 0, 0])
    translation = {"kp": 1200.0, "kv": 120.0}  # N/m, N s/m
    rotation = {"kp": 60.0, "kv": 5.0}  # N m/rad, N m s/rad
    for axis in range(3):
        gear = np.zeros(6)
        gear[axis] = 1.0
        actuator = _position_actuator(spec, f"hand_{'xyz'[axis]}", **translation)
        actuator.trntype = mujoco.mjtTrn.mjTRN_SITE
        actuator.target, actuator.refsite, actuator.gear = "pinch", "origin", gear
    for axis in range(3):
        gear = np.zeros(6)
        gear[3 + axis] = 1.0
        actuator = _position_actuator(spec, f"hand_r{'xyz'[axis]}", **rotation)
        actuator.trntype = mujoco.mjtTrn.mjTRN_SITE
        actuator.target, actuator.refsite, actuator.gear = "pinch", "down", gear
    for side in ("left", "right"):
        actuator = _position_actuator(spec, f"{side}_finger", kp=FINGER_STIFFNESS, kv=0.0)
        actuator.trntype = mujoco.mjtTrn.mjTRN_JOINT
        actuator.target = f"{side}_finger"
        actuator.forcerange = [-FINGER_FORCE, FINGER_FORCE]


def _position_actuator(spec: mujoco.MjSpec, name: str, kp: float, kv: float) -> mujoco.MjsActuator:
    """Add an actuator of the force kp (ctrl - x) - kv ẋ, where x is what it acts on."""
    actuator = spec.add_actuator(name=name)
    actuator.set_to_position(kp=kp, kv=kv)
    return actuator
