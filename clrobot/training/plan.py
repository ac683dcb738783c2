"""A stage as it is to be trained: its phases, in whole iterations, and what trains in it."""

from __future__ import annotations

from dataclasses import dataclass

from clrobot.agents.algorithms.learner import Learner
from clrobot.agents.methods.shared.method import Method, Phase
from clrobot.experiment.config import RunConfig


@dataclass(frozen=True)
class StagePlan:
    """A stage as it is to be trained."""

    stage: int
    """From 1, as papers and files count: stage 0 is the untrained agent."""
    slot: int
    """The index (from 0) of the stage's own slot."""
    phases: tuple[Phase, ...]
    """In whole iterations of the algorithm."""
    start: int
    """Environment steps of the run at the stage's start."""
    trained: range
    """The indices of the slots that it trains."""
    heads: range
    """The indices of the heads that it trains: those of the slots, or one for all."""

    @property
    def steps(self) -> int:
        """Environment steps of the whole stage."""
        return sum(phase.steps for phase in self.phases)


def plan_stage(config: RunConfig, learner: Learner, method: Method, stage: int, start: int) -> StagePlan:
    """Return the plan of `stage` (from 1), which begins at step `start` of the run."""
    whole, stages = learner.algorithm.whole_iterations, config.curriculum.stages
    slot = stage - 1
    phases = method.phases(stages[slot].steps)
    trained = method.trained_slots(slot, len(stages))
    return StagePlan(
        stage=stage,
        slot=slot,
        phases=tuple(phase._replace(steps=whole(phase.steps)) for phase in phases),
        start=start,
        trained=trained,
        heads=range(1) if config.curriculum.heads == "one" else trained,
    )
