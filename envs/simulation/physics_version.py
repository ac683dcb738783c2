"""The version of the physics: what was measured in one is not set beside what was measured in another."""

from __future__ import annotations

from typing import Final

# Raise it when a native task gives other observations, rewards or successes for the same actions: another arm, scene,
# controller, reward or start state. Published results and references are then those of the older version.
PHYSICS_VERSION: Final = 1

FIRST: Final = 1  # of a run that noted none: it was trained before the version was noted
