"""The reward terms that every task with a grasp shares: come near, close around, press, and (some) let go again."""

from __future__ import annotations

from typing import Final, NamedTuple

from clrobot.envs.arrays import Array, clip, distance
from clrobot.envs.rewards.tolerance import tolerance
from clrobot.envs.simulation.state import SimState

NEAR_MARGIN: Final = 0.20  # m, where the reward for nearness has fallen to a tenth
FIRM_SQUEEZE: Final = 0.012  # m: about 10 N, ten times the weight of a cube of 0.1 kg
FREE_GAP: Final = 0.010  # m between a finger and the object that it held: it has been let go


class Grasp(NamedTuple):
    """How far the hand has come in grasping an object; each (N,) in [0, 1]."""

    near: Array  # the hand is close to it, from afar
    around: Array  # the fingertips' middle is within it
    grasped: Array  # and the fingers press on it


def grasp(sim: SimState, point: Array) -> Grasp:
    """Return the grasp of the object whose place for the fingertips' middle is `point` (N, 3), m."""
    gap = distance(sim.hand, point)
    around = tolerance(gap, within=0.01, margin=0.03)
    # Fingers that merely stand at the object's width would drop it: a grasp presses.
    squeezed = clip(sim.squeeze / FIRM_SQUEEZE, 0.0, 1.0)
    return Grasp(tolerance(gap, within=0.01, margin=NEAR_MARGIN), around, around * squeezed)


def let_go(sim: SimState, half_width: float) -> Array:
    """Return how far (N,) the fingers are commanded to leave an object of `half_width`, m: 1 is FREE_GAP beside it.

    It grows from a full squeeze on, since the first steps of letting go move nothing yet.
    """
    commanded = sim.opening - sim.squeeze
    free: Array = clip(commanded / (half_width + FREE_GAP), 0.0, 1.0)
    return free


def raised(height: Array, start: float, rise: float) -> Array:
    """Return how much (N,) of a `rise` from the height `start` (m) has been made at `height` (N,), in [0, 1]."""
    share: Array = clip((height - start) / rise, 0.0, 1.0)
    return share
