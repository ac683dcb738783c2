"""Drawer-close: push an open drawer shut."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from clrobot.envs.arrays import Array
from clrobot.envs.deferred import mujoco
from clrobot.envs.experts.handle import ClosingExpert
from clrobot.envs.scene.mechanisms import add_drawer, drawer_handle
from clrobot.envs.scene.parts import add_site
from clrobot.envs.simulation.features import MechanismFeatures
from clrobot.envs.simulation.task import Box
from clrobot.envs.tasks.mechanism_task import ClosingTask

FULL_OPENING = 0.14  # m, what the agent is shown as 1
SUCCESS_OPENING = 0.01  # m, at most

PUSH = (0.03, 0.0, 0.0)  # m, from the handle to where the hand pushes towards


class DrawerCloseExpert(ClosingExpert):
    """Before the handle, then forward."""

    offset: ClassVar = (-0.030, 0.0, 0.0)
    clearance: ClassVar = 0.08
    descent: ClassVar = 0.016
    stride: ClassVar = 0.008

    @override
    def ahead(self, f: MechanismFeatures) -> Array:
        return f.object + PUSH


class DrawerClose(ClosingTask):
    """Push the open drawer into its blue cabinet.

    Goal: the drawer shut. Success: less than 10 mm open. Varies: the cabinet's place (0.08 x 0.24 m), and how far the
    drawer is open at the start (0.12 to 0.16 m).
    """

    id: ClassVar = "drawer-close"
    expert: ClassVar = DrawerCloseExpert
    varies: ClassVar = {"place": Box((0.70, -0.12), (0.78, 0.12)), "start": Box((0.12,), (0.16,))}
    weights: ClassVar = {"near": 0.3, "moved": 0.7}
    fixture: ClassVar = "cabinet"
    joint: ClassVar = "drawer"
    handle: ClassVar = "handle"
    goal: ClassVar = "closed"
    full: ClassVar = FULL_OPENING
    success_at: ClassVar = SUCCESS_OPENING

    @override
    def build(self, spec: mujoco.MjSpec) -> None:
        cabinet = add_drawer(spec)
        add_site(cabinet, "closed", drawer_handle(0.0))
