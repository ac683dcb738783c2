"""Nudge: push a cube a little way ahead."""

import clrobot
from clrobot.envs.experts.expert import Expert, above
from clrobot.envs.rewards.tolerance import tolerance
from clrobot.envs.scene.parts import OBJECT_RED, add_cube, add_goal
from clrobot.envs.simulation.actions import CLOSED
from clrobot.envs.simulation.features import Features
from clrobot.envs.simulation.task import Box

HALF = 0.025  # m, half of the cube's edge
AHEAD = 0.08  # m, from where the cube stands to the goal
SUCCESS_DISTANCE = 0.03  # m, between the cube's centre and the goal
MARGIN = 0.15  # m, where a reward has fallen to a tenth


class NudgeExpert(Expert):
    """Closed fingers over the near side of the cube (phase 0), down (1), and ahead with it (2)."""

    def act(self, f):
        """Return the actions (N, 4)."""
        behind = f.object - [0.07, 0.0, 0.0]
        self.advance(1, self.sim.hand[:, 2] < HALF + 0.02)
        self.advance(0, abs(self.sim.hand - above(behind, 0.06)).max(axis=1) < 0.01)
        push = self.sim.hand + f.displacement * [0.5, 0.0, 0.0]
        return self.towards(self.by_phase(above(behind, 0.06), behind, push), CLOSED)


class Nudge(clrobot.Task):
    """Push the red cube ahead into the green ball.

    Goal: 0.08 m beyond the cube. Success: the cube's centre within 0.03 m of it. Varies: the cube's place.
    """

    id = "nudge"
    expert = NudgeExpert
    varies = {"cube": Box((0.44, -0.10), (0.52, 0.10))}
    weights = {"near": 0.3, "pushed": 0.7}

    def build(self, spec):
        """Add the cube and the goal."""
        add_cube(spec, "cube", HALF, OBJECT_RED, mass=0.2)
        add_goal(spec, SUCCESS_DISTANCE)

    def place(self, sim, ids, drawn):
        """Put the cube on the table, and the goal beyond it."""
        sim.joint_qpos("cube")[ids, :2] = drawn["cube"]
        goal = sim.mocap_pos("goal")
        goal[ids, :2] = drawn["cube"] + [AHEAD, 0.0]
        goal[ids, 2] = HALF

    def features(self, sim):
        """Show the cube and the goal."""
        return Features(object=sim.site("cube"), goal=sim.site("goal"))

    def reward_terms(self, sim, features):
        """Reward a hand near the cube, and a cube near the goal."""
        away = ((sim.hand - features.object) ** 2).sum(axis=1) ** 0.5
        return {
            "near": tolerance(away, within=0.05, margin=MARGIN),
            "pushed": tolerance(features.distance, margin=MARGIN),
        }

    def success(self, sim, features):
        """Return where the cube is at the goal."""
        return features.distance < SUCCESS_DISTANCE
