"""The algorithms: stock Stable-Baselines3 learners, how each is made, and how it moves to the next slot."""

from __future__ import annotations

from clrobot.agents.algorithms.algorithm import Algorithm
from clrobot.agents.algorithms.ppo import PPOAlgorithm
from clrobot.agents.algorithms.sac import SACAlgorithm

ALGORITHMS: tuple[type[Algorithm], ...] = (
    PPOAlgorithm,
    SACAlgorithm,
)
