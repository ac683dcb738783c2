"""A stage as it is to be trained: its phases, in whole iterations, and what trains in it."""

from __future__ import annotations

from dataclasses import dataclass

from clrobot.agents.algorithms.algorithm import Algorithm
from clrobot.agents.algorithms.learner import Learner
from clrobot.agents.methods.shared.method import Method, Phase
from clrobot.experiment.config import RunConfig, start_of
from clrobot.experiment.warm_start import StartCost


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
    begin: StartCost
    """What comes before the phases, and off the first one's steps: choosing how the slot begins."""

    @property
    def steps(self) -> int:
        """Environment steps of the whole stage."""
        return self.begin.spent + sum(phase.steps for phase in self.phases)

    @property
    def learning_starts(self) -> int:
        """Environment steps of the run when the first phase begins."""
        return self.start + self.begin.spent


def plan_stage(config: RunConfig, learner: Learner, method: Method, stage: int, start: int) -> StagePlan:
    """Return the plan of `stage` (from 1), which begins at step `start` of the run."""
    slot = stage - 1
    begin, phases = plan_phases(config, learner.algorithm, method, slot)
    trained = method.trained_slots(slot, len(config.curriculum.stages))
    return StagePlan(
        stage=stage,
        slot=slot,
        phases=phases,
        start=start,
        trained=trained,
        heads=range(1) if config.curriculum.heads == "one" else trained,
        begin=begin,
    )


def plan_phases(
    config: RunConfig, algorithm: Algorithm, method: Method, slot: int
) -> tuple[StartCost, tuple[Phase, ...]]:
    """Return what it takes to choose how a slot (from 0) begins, and the phases with what is left for them.

    Where nothing is left, the first phase has no step, or fewer than none.
    """
    whole = algorithm.whole_iterations
    planned = method.phases(config.curriculum.stages[slot].steps)
    first, *others = (phase._replace(steps=whole(phase.steps)) for phase in planned)
    total = first.steps + sum(phase.steps for phase in others)
    start = start_of(config, slot)
    race = whole(max(round(start.race_share * total), algorithm.first_update))
    begin = start.cost(slot, race)
    left = (first.steps - begin.spent) // algorithm.iteration * algorithm.iteration
    return begin, (first._replace(steps=left), *others)
