"""What the agent sees: one layout for every task, at fixed scales."""

from __future__ import annotations

from typing import Final

from clrobot.envs.scene import arm

# The observation: (name, size, offset, scale); the value shown is (x - offset) / scale, clipped to ±OBS_LIMIT.
CENTRE: Final = (0.5, 0.0, 0.15)  # m
OBS_LIMIT: Final = 5.0
OBS_LAYOUT: Final = (
    ("hand position", 3, CENTRE, 0.2),
    ("hand target - hand", 3, 0.0, 0.05),
    ("finger opening", 1, arm.FINGER_TRAVEL / 2, arm.FINGER_TRAVEL / 2),
    ("thing position", 3, CENTRE, 0.2),
    ("other object position", 3, CENTRE, 0.2),
    ("mechanism position", 1, 0.0, 1.0),
    ("goal position", 3, CENTRE, 0.2),
    ("thing - hand", 3, 0.0, 0.1),
    ("goal - thing", 3, 0.0, 0.1),
)
OBS_SIZE: Final = sum(size for _, size, _, _ in OBS_LAYOUT)
