"""What an optimizer steps, by its part in the algorithm."""

from __future__ import annotations

from enum import Flag, auto


class Role(Flag):
    """The part of the algorithm whose parameters an optimizer steps.

    It is a flag, since one optimizer may have several: SAC has one optimizer for each role, and PPO a single one for
    actor and critic, whose role is `Role.ACTOR | Role.CRITIC`. A method that acts on the actor asks
    `Role.ACTOR in role`, which is true of one optimizer in either algorithm.
    """

    ACTOR = auto()
    CRITIC = auto()
    TEMPERATURE = auto()
    """SAC's weight of the entropy."""
