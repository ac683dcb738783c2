"""The parts of mechanisms, and those that more than one task works: a drawer in its cabinet, a door on its cupboard.

Each stands on a mocap body, so that its place can vary, and moves by one joint that is 0 when it is shut. Only the
arm touches the moving parts: they slide within their own fixtures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike

from clrobot.envs.arrays import Array
from clrobot.envs.deferred import mujoco
from clrobot.envs.scene.arm import ARM_BIT, STIFF
from clrobot.envs.scene.parts import FIXTURE_BLUE, HANDLE_YELLOW, PANEL_BLUE, Vec, add_box, add_fixture, add_site

SLIDE: Final = "slide"
HINGE: Final = "hinge"

DRAWER_TRAVEL = 0.18  # m, how far the drawer slides
HANDLE_REACH = 0.064  # m, how far a handle stands off its front: room for a finger and half the palm

DOOR_TRAVEL = 1.4  # rad, how far the door swings
_DOOR_HALF_WIDTH = 0.11  # m
_DOOR_HANDLE = np.array([-HANDLE_REACH, -0.175, 0.0])  # m, from the hinge, in the door's frame
# The handle is near the upper edge: the palm stays above the door when the fingers hook behind it.
_DOOR_HANDLE_HEIGHT = 0.12  # m, above the table


def add_joint(
    body: mujoco.MjsBody,
    name: str,
    kind: Literal["slide", "hinge"],
    axis: Vec,
    travel: float,
    *,
    damping: float,
    armature: float,
    friction: float = 0.0,
    stiffness: float = 0.0,
) -> None:
    """Let a body slide along an axis or turn about it, between stiff stops from 0 to `travel`.

    Args:
        body: what moves.
        name: of the joint.
        kind: SLIDE or HINGE.
        axis: of positive motion, (3,), in the body's frame.
        travel: m or rad.
        damping: N s/m or N m s/rad.
        armature: inertia beside the body's own, kg or kg m².
        friction: dry friction, N or N m.
        stiffness: of a spring back to 0, N/m or N m/rad.
    """
    body.add_joint(
        name=name,
        type=mujoco.mjtJoint.mjJNT_SLIDE if kind == SLIDE else mujoco.mjtJoint.mjJNT_HINGE,
        axis=list(axis),
        range=[0.0, travel],
        stiffness=[stiffness, 0, 0],
        damping=[damping, 0, 0],
        frictionloss=friction,
        armature=armature,
        solimp_limit=STIFF,
    )


def arm_only(parts: Sequence[mujoco.MjsGeom]) -> None:
    """Let nothing but the arm touch these parts."""
    for part in parts:
        part.contype = 0
        part.conaffinity = ARM_BIT


def add_handle(body: mujoco.MjsBody, y: float, half_length: float) -> list[mujoco.MjsGeom]:
    """Add a yellow bar along y, HANDLE_REACH before the body's front, on two posts: fingers can hook behind it.

    Args:
        body: its front is the plane x = 0, towards -x.
        y: the bar's middle, m.
        half_length: of the bar, m.
    """
    posts = [
        add_box(body, [0.028, 0.005, 0.006], [-0.034, y + side * (half_length - 0.005), 0], HANDLE_YELLOW, mass=0.02)
        for side in (-1.0, 1.0)
    ]
    bar = add_box(body, [0.006, half_length, 0.008], [-HANDLE_REACH, y, 0], HANDLE_YELLOW, mass=0.05)
    add_site(body, "handle", [-HANDLE_REACH, y, 0])
    return [*posts, bar]


def add_drawer(spec: mujoco.MjSpec) -> mujoco.MjsBody:
    """Add the mocap body `cabinet` with the slide joint `drawer` (m) and the site `handle`; return the cabinet.

    Shut, the handle's bar is 0.164 m before the cabinet's centre and 0.07 m above the table.
    """
    cabinet = add_fixture(spec, "cabinet", [0.74, 0.0, 0.0])
    # A shell open to the front: floor, roof, sides, back.
    add_box(cabinet, [0.10, 0.12, 0.006], [0, 0, 0.006], FIXTURE_BLUE)
    add_box(cabinet, [0.10, 0.12, 0.006], [0, 0, 0.134], FIXTURE_BLUE)
    for side in (-1.0, 1.0):
        add_box(cabinet, [0.10, 0.006, 0.064], [0, side * 0.114, 0.07], FIXTURE_BLUE)
    add_box(cabinet, [0.006, 0.12, 0.064], [0.094, 0, 0.07], FIXTURE_BLUE)
    drawer = cabinet.add_body(name="drawer", pos=[-0.10, 0, 0.07], gravcomp=1.0)
    add_joint(drawer, "drawer", SLIDE, [-1, 0, 0], DRAWER_TRAVEL, damping=12.0, friction=3.0, armature=0.3)
    front = add_box(drawer, [0.006, 0.106, 0.052], [0, 0, 0], PANEL_BLUE, mass=0.2)
    tray = add_box(drawer, [0.085, 0.100, 0.004], [0.09, 0, -0.046], PANEL_BLUE, mass=0.2)
    arm_only([front, tray, *add_handle(drawer, 0.0, 0.055)])
    return cabinet


def drawer_handle(opening: float) -> list[float]:
    """Return where the handle is when the drawer is `opening` m open, in the cabinet's frame, m."""
    return [-0.10 - HANDLE_REACH - opening, 0.0, 0.07]


def add_door(spec: mujoco.MjSpec) -> mujoco.MjsBody:
    """Add the mocap body `cupboard` with the hinge joint `door` (rad) and the site `handle`; return the cupboard.

    The cupboard's origin is under the middle of its front. Seen from the robot the hinge is on the left, and the door
    swings towards the robot.
    """
    cupboard = add_fixture(spec, "cupboard", [0.64, 0.0, 0.0])
    half = _DOOR_HALF_WIDTH
    # A shell open to the front: floor, roof, sides, back.
    add_box(cupboard, [0.07, half, 0.006], [0.08, 0, 0.006], FIXTURE_BLUE)
    add_box(cupboard, [0.07, half, 0.006], [0.08, 0, 0.154], FIXTURE_BLUE)
    for side in (-1.0, 1.0):
        add_box(cupboard, [0.07, 0.006, 0.08], [0.08, side * (half - 0.006), 0.08], FIXTURE_BLUE)
    add_box(cupboard, [0.006, half, 0.08], [0.144, 0, 0.08], FIXTURE_BLUE)
    door = cupboard.add_body(name="door", pos=[0, half, _DOOR_HANDLE_HEIGHT], gravcomp=1.0)
    add_joint(door, "door", HINGE, [0, 0, -1], DOOR_TRAVEL, damping=0.3, friction=0.05, armature=0.02)
    panel = add_box(door, [0.006, half, 0.07], [0, -half, -0.04], PANEL_BLUE, mass=0.3)
    arm_only([panel, *add_handle(door, _DOOR_HANDLE[1], 0.035)])
    return cupboard


def door_handle(angle: ArrayLike) -> Array:
    """Return where the handle is when the door is open by `angle` (…), rad: (…, 3), m, in the cupboard's frame."""
    c, s = np.cos(angle), np.sin(angle)
    x, y, z = _DOOR_HANDLE
    turned: Array = np.stack([c * x + s * y, c * y - s * x, np.full_like(c, z)], axis=-1)
    turned += np.array([0.0, _DOOR_HALF_WIDTH, _DOOR_HANDLE_HEIGHT])
    return turned
