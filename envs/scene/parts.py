"""Parts that several tasks' scenes are built from: goal markers, fixtures, and the palette that films share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clrobot.envs.deferred import mujoco
from clrobot.envs.scene.arm import ARM_BIT, OBJECT_BIT

# One colour, one meaning, in every film.
OBJECT_RED = [0.86, 0.27, 0.22, 1.0]  # what is to be moved
HANDLE_YELLOW = [0.96, 0.72, 0.16, 1.0]  # where the hand should take hold
FIXTURE_BLUE = [0.24, 0.38, 0.56, 1.0]  # what stands still
PANEL_BLUE = [0.42, 0.57, 0.74, 1.0]  # a moving part of a fixture
GLASS_BLUE = [0.62, 0.80, 0.90, 0.55]
GOAL_GREEN = [0.16, 0.72, 0.38, 0.45]  # where it should go (translucent, nothing collides with it)

Vec = Sequence[float] | NDArray[np.float64]


def add_goal(spec: mujoco.MjSpec, radius: float) -> None:
    """Add the goal marker: a translucent ball (radius in m) on the mocap body `goal`, with a site of that name."""
    body = spec.worldbody.add_body(name="goal", mocap=True, pos=[0.5, 0.0, 0.2])
    body.add_geom(
        type=mujoco.mjtGeom.mjGEOM_SPHERE,
        size=[radius, 0, 0],
        rgba=GOAL_GREEN,
        contype=0,
        conaffinity=0,
        mass=0.0,
    )
    body.add_site(name="goal", group=5, size=[0.005, 0, 0])


def add_fixture(spec: mujoco.MjSpec, name: str, pos: Vec) -> mujoco.MjsBody:
    """Add a mocap body that carries a mechanism, so that its place is part of the state row and can vary."""
    return spec.worldbody.add_body(name=name, mocap=True, pos=list(pos))


def add_box(body: mujoco.MjsBody, size: Vec, pos: Vec, rgba: Vec, mass: float = 0.1) -> mujoco.MjsGeom:
    """Add a colliding box: half sizes (3,) and centre (3,), m, in the body's frame; mass in kg."""
    return body.add_geom(
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=list(size),
        pos=list(pos),
        rgba=list(rgba),
        mass=mass,
        contype=OBJECT_BIT,
        conaffinity=OBJECT_BIT | ARM_BIT,
    )


def add_cube(spec: mujoco.MjSpec, name: str, half: float, rgba: Vec, mass: float) -> mujoco.MjsBody:
    """Add a cube (half edge in m, mass in kg) that moves freely: body, joint and centre site share the name."""
    cube = spec.worldbody.add_body(name=name, pos=[0.5, 0.0, half])
    cube.add_freejoint(name=name)
    box = add_box(cube, [half] * 3, [0, 0, 0], rgba, mass=mass)
    box.condim = 4  # torsional friction: a grasped object does not turn in the fingers
    add_site(cube, name)
    return cube


def add_site(body: mujoco.MjsBody, name: str, pos: Vec = (0.0, 0.0, 0.0)) -> None:
    """Add an invisible point whose world position tasks read with `Simulation.site`."""
    body.add_site(name=name, pos=list(pos), group=5, size=[0.005, 0, 0])
