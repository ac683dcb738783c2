"""Drawer-open: pull a drawer out by its handle."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from clrobot.envs.arrays import Array
from clrobot.envs.deferred import mujoco
from clrobot.envs.experts.handle import OpeningExpert
from clrobot.envs.scene.mechanisms import add_drawer, drawer_handle
from clrobot.envs.scene.parts import add_site
from clrobot.envs.simulation.features import MechanismFeatures
from clrobot.envs.simulation.task import Box
from clrobot.envs.tasks.mechanism_task import OpeningTask

GOAL_OPENING = 0.14  # m
SUCCESS_OPENING = 0.9  # of GOAL_OPENING

PULL = (-0.06, 0.0, 0.0)  # m, from where the fingers hook to where the hand pulls towards


class DrawerOpenExpert(OpeningExpert):
    """Between the handle and the front, then back."""

    offset: ClassVar = (0.030, 0.0, 0.010)
    clearance: ClassVar = 0.06
    over_within: ClassVar = 0.006
    down_within: ClassVar = 0.004
    descent: ClassVar = 0.02
    stride: ClassVar = 0.01

    @override
    def ahead(self, f: MechanismFeatures) -> Array:
        return self.beside(f) + PULL


class DrawerOpen(OpeningTask):
    """Pull the drawer out of its blue cabinet by the yellow handle, towards the robot.

    Goal: the drawer 0.14 m open. Success: at least 90 % of that. Varies: the cabinet's place, 0.08 x 0.24 m.
    """

    id: ClassVar = "drawer-open"
    expert: ClassVar = DrawerOpenExpert
    varies: ClassVar = {"place": Box((0.70, -0.12), (0.78, 0.12))}
    weights: ClassVar = {"near": 0.4, "moved": 0.6}
    fixture: ClassVar = "cabinet"
    joint: ClassVar = "drawer"
    handle: ClassVar = "handle"
    goal: ClassVar = "opened"
    full: ClassVar = GOAL_OPENING
    success_at: ClassVar = SUCCESS_OPENING * GOAL_OPENING
    near_within: ClassVar = 0.02

    @override
    def build(self, spec: mujoco.MjSpec) -> None:
        cabinet = add_drawer(spec)
        add_site(cabinet, "opened", drawer_handle(GOAL_OPENING))
