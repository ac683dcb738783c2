"""The algorithms. Adding one is its file and one line here."""

from __future__ import annotations

from clrobot.agents.algorithm import Algorithm
from clrobot.agents.ppo import PPOAlgorithm
from clrobot.agents.sac import SACAlgorithm

ALGORITHMS: tuple[type[Algorithm], ...] = (
    PPOAlgorithm,
    SACAlgorithm,
)
