"""Reach: bring the hand to a point in the air."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from typing_extensions import override

from clrobot.envs.arrays import Array
from clrobot.envs.deferred import mujoco
from clrobot.envs.experts.expert import Expert
from clrobot.envs.rewards.tolerance import tolerance
from clrobot.envs.scene.parts import add_goal
from clrobot.envs.simulation.actions import OPEN
from clrobot.envs.simulation.features import Features, Ids, Mask
from clrobot.envs.simulation.state import SimState
from clrobot.envs.simulation.task import Box, Task

SUCCESS_DISTANCE = 0.03  # m, between the fingertips' middle and the goal
SUCCESS_SPEED = 0.1  # m/s, at most: arrived, not flying past
MARGIN = 0.20  # m, where the reward for nearness has fallen to a tenth


class ReachExpert(Expert):
    """Straight to the goal."""

    @override
    def act(self, f: Features) -> Array:
        return self.towards(f.goal, OPEN)


class Reach(Task):
    """Move the fingertips to the green ball.

    Goal: a point in the air. Success: the fingertips' middle within 0.03 m of it, and slower than 0.1 m/s.
    Varies: the goal, in a box of 0.30 x 0.44 x 0.25 m above the table.
    """

    id: ClassVar = "reach"
    expert: ClassVar = ReachExpert
    varies: ClassVar = {"goal": Box((0.36, -0.22, 0.08), (0.66, 0.22, 0.33))}
    weights: ClassVar = {"near": 0.7, "there": 0.3}

    @override
    def build(self, spec: mujoco.MjSpec) -> None:
        add_goal(spec, SUCCESS_DISTANCE)

    @override
    def place(self, sim: SimState, ids: Ids, drawn: Mapping[str, Array]) -> None:
        sim.mocap_pos("goal")[ids] = drawn["goal"]

    @override
    def features(self, sim: SimState) -> Features:
        return Features(object=sim.hand, goal=sim.site("goal"))

    @override
    def reward_terms(self, sim: SimState, features: Features) -> dict[str, Array]:
        d = features.distance
        return {"near": tolerance(d, margin=MARGIN), "there": tolerance(d, margin=SUCCESS_DISTANCE)}

    @override
    def success(self, sim: SimState, features: Features) -> Mask:
        near: Mask = features.distance < SUCCESS_DISTANCE
        return near & (sim.hand_speed < SUCCESS_SPEED)
