"""A trained agent: the policy of one stage and the names of its slots."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrobot.agents.policies.policy import SlotPolicy
from clrobot.errors import UserError, nearest
from clrobot.evaluation.evaluator import Episodes, Evaluator
from clrobot.evaluation.observations import append_slot
from clrobot.experiment.config import RunConfig
from clrobot.experiment.curriculum import Curriculum
from clrobot.experiment.method import make_method
from clrobot.notebook import html_table
from clrobot.results.numbers import grouped


@dataclass(frozen=True)
class Agent:
    """What `clrobot.load` returns.

    Attributes:
        policy: the Stable-Baselines3 policy; its observations end with the slot's index.
        curriculum: of the run; each of its stages has a slot, trained or not.
        stage: the stage after which the weights were saved; 0 is untrained.
        seed: of the start states that the run is measured from.
        known: how many of the slots it was trained on: the first ones.
    """

    policy: SlotPolicy
    curriculum: Curriculum
    stage: int
    seed: int
    known: int

    @classmethod
    def of(cls, config: RunConfig, policy: SlotPolicy, stage: int) -> Agent:
        """Return the agent of a run with these settings."""
        slots = len(config.curriculum.stages)
        known = make_method(config).heads(stage - 1, slots) if stage else 0
        return cls(policy, config.curriculum, stage, config.evaluation.seed, known)

    @property
    def slots(self) -> tuple[str, ...]:
        """The names of the curriculum's slots, trained or not."""
        return self.curriculum.slots

    def slot_index(self, task: str) -> int:
        """Return the index (from 0) of the slot named `task`.

        Raises:
            UserError: the curriculum has no such slot.
        """
        if task not in self.slots:
            raise UserError(f"unknown task {task!r} in this run{nearest(task, self.slots)}")
        return self.slots.index(task)

    def predict(self, obs: NDArray[Any], task: str, *, deterministic: bool = True) -> NDArray[np.float32]:
        """Return the action (4,) for an observation (d,), or actions (B, 4) for observations (B, d).

        Args:
            obs: as the environments give them, without the slot's index.
            task: the slot's name; one without a head yet acts through the newest.
            deterministic: the mean action, rather than a sample.

        Raises:
            UserError: the curriculum has no such slot, or the observations are none of this agent's.
        """
        slot, given = self.slot_index(task), np.asarray(obs, np.float32)
        assert self.policy.observation_space.shape is not None
        size = self.policy.observation_space.shape[0] - 1  # the slot's index is appended here
        if given.ndim not in (1, 2) or given.shape[-1] != size or not len(given):
            raise UserError(f"observations of shape {given.shape}; expected ({size},), or (B, {size}) of one or more")
        with_slot = append_slot(given, slot)
        action, _ = self.policy.predict(with_slot, deterministic=deterministic)
        return np.asarray(action, np.float32)

    def evaluate(self, task: str, episodes: int = 50, *, seed: int | None = None) -> Episodes:
        """Return the outcomes of episodes of a slot, in its own world, with mean actions.

        Args:
            task: the slot's name; one without a head yet acts through the newest.
            episodes: how many.
            seed: of the start states; None: those of the training's own evaluations.

        Raises:
            UserError: the curriculum has no such slot, or a number is too small.
        """
        slot = self.slot_index(task)
        if episodes < 1:
            raise UserError(f"{episodes} episodes; expected 1 or more")
        if seed is not None and seed < 0:
            raise UserError(f"seed {seed}; expected 0 or more")
        evaluator = self._evaluator if seed is None else Evaluator(self.curriculum, seed)
        return evaluator.episodes(self.policy, slot, episodes)

    def _repr_html_(self) -> str:
        """Return what a notebook shows: which tasks it was trained on."""
        parameters = sum(p.numel() for p in self.policy.parameters())
        told = f"agent after stage {self.stage} of {self.curriculum.name}, {grouped(parameters)} parameters"
        rows = [(name, "yes" if n < self.known else "no") for n, name in enumerate(self.slots)]
        return html_table(told, ("task", "trained"), rows)

    @cached_property
    def _evaluator(self) -> Evaluator:
        return Evaluator(self.curriculum, self.seed)
