"""The scale of what Meta-World shows: one for all fifty tasks, since their 39 numbers have one meaning.

Random steps move no drawer and lift no puck, so that their spread would be a scale at which the skill itself leaves
the bounds; and what one task teaches of the hand's place is of use in the next where both see it alike.

    0 to 2    the hand's place, m: x (to the right), y (away from the robot), z (up)
    3         how far the fingers are open, 0 to 1
    4 to 10   the first object's place, m, and its quaternion
    11 to 17  the second object's
    18 to 35  all of this one step before
    36 to 38  the goal's place, m
"""

from __future__ import annotations

from typing import Final

from clrobot.envs.worlds.spec import Measured

ACTIONS: Final = 4

# Offsets and scales: of places in the arm's reach (x ±0.4 m, y 0.4 to 0.9 m, z 0 to 0.4 m), fingers, quaternions.
_PLACE: Final = ((0.0, 0.6, 0.2), (0.2, 0.2, 0.2))
_FINGERS: Final = ((0.5,), (0.5,))
_QUATERNION: Final = ((0.0, 0.0, 0.0, 0.0), (1.0, 1.0, 1.0, 1.0))
_STEP: Final = (_PLACE, _FINGERS, _PLACE, _QUATERNION, _PLACE, _QUATERNION)


def metaworld_scale(success: str | None) -> Measured:
    """Return the scale, with the key of `info` that tells success."""
    offset, scale = (tuple(x for part in (*_STEP, *_STEP, _PLACE) for x in part[which]) for which in (0, 1))
    return Measured(offset, scale, ACTIONS, success)
