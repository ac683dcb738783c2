"""Measuring skills: all episodes of a task at once, deterministic actions, fixed start states."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clrobot.agent import append_slot
from clrobot.agents.policies import SlotPolicy
from clrobot.curriculum import Curriculum
from clrobot.envs.make import make_vector_env
from clrobot.envs.vector_env import TaskVectorEnv
from clrobot.metrics import Score

RECOGNITION_STEPS = 5  # of an episode, after which an agent without a label keeps to the slot that it recognised


class Episodes(NamedTuple):
    """The outcomes of E episodes, each array (E,)."""

    success_any: NDArray[np.bool_]  # solved at any step
    success_final: NDArray[np.bool_]  # solved at the last step
    returns: NDArray[np.float64]  # sums of rewards


class Evaluator:
    """Evaluates policies on a curriculum's slots; keeps the simulations it has built.

    Episode e of a task always starts from the same state: simulation e is seeded with ``seed + e``.
    """

    def __init__(self, curriculum: Curriculum, seed: int) -> None:
        self.curriculum = curriculum
        self.seed = seed
        self._envs: dict[tuple[str, int], TaskVectorEnv] = {}

    def episodes(self, policy: SlotPolicy, slot: int, episodes: int) -> Episodes:
        """Run `episodes` episodes of slot index `slot` (from 0) with the policy's mean actions."""
        task = self.curriculum.stages[slot].task
        key = (task, episodes)
        if key not in self._envs:
            self._envs[key] = make_vector_env(task, episodes)
        env = self._envs[key]
        obs, _ = env.reset(seed=self.seed)
        returns = np.zeros(episodes)
        while True:
            actions, _ = policy.predict(append_slot(obs, slot), deterministic=True)
            obs, rewards, _, done, info = env.step(actions)
            returns += rewards
            if done.all():
                final = info["final_info"]
                return Episodes(final["is_success"], final["success_final"], returns)

    def score(self, policy: SlotPolicy, slot: int, episodes: int, *, stage: int, step: int) -> Score:
        """Return one line of `scores.jsonl` for slot index `slot`: stages and slots count from 1 there."""
        outcome = self.episodes(policy, slot, episodes)
        return Score(
            stage=stage,
            step=step,
            slot=slot + 1,
            episodes=episodes,
            success_any=float(outcome.success_any.mean()),
            success_final=float(outcome.success_final.mean()),
            return_mean=float(outcome.returns.mean()),
        )
