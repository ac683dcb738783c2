"""What a training has cost: seconds by what they went into, steps by who took them, divergences, failed films."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from clrobot.agents.methods.shared.gradient_hooks import MethodCost
from clrobot.agents.methods.shared.own_steps import optimizer_steps
from clrobot.envs.worlds.pool import MAKING
from clrobot.results.grown import Grown
from clrobot.results.run_metrics import Costs
from clrobot.results.stage_record import Parameters, Seconds, StageRecord, Steps
from clrobot.results.units import Units

_KINDS = ("train", "evaluate", "method", "record", "save")
_NOT_LEARNING = ("evaluate", "save", "method", "record")


@dataclass
class Ledger:
    """The costs of a run; what is restored from a snapshot goes on from there."""

    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(_KINDS, 0.0))
    """Wall-clock time by kind."""
    gradient_steps: int = 0
    """Of the actor, while it learned the tasks."""
    method_gradient_steps: int = 0
    """Of optimizers of the method's own."""
    method_environment_steps: int = 0
    """Control steps in which the method collected experience, or tried how a slot begins."""
    task_inference_steps: int = 0
    """Control steps from which the agent learned how its tasks look at first."""
    divergences: int = 0
    """Simulations that went to infinity, in finished stages."""
    film_failures: int = 0
    worlds_made: int = 0
    """Pools that were made, of worlds that begin anew in no other way."""
    worlds_seconds: float = 0.0
    """Wall-clock time that it took, which is part of what it was done for."""
    _making: tuple[int, float] = field(default_factory=MAKING.so_far)
    grown: list[Grown] = field(default_factory=list)
    """How slots have begun that may have begun as earlier ones."""
    per_stage: list[StageRecord] = field(default_factory=list)
    """What the agent had become after each finished stage, and what the stage took."""

    def restore(
        self,
        *,
        seconds: Mapping[str, float],
        gradient_steps: int,
        method_gradient_steps: int,
        method_environment_steps: int,
        task_inference_steps: int,
        divergences: int,
        film_failures: int,
        worlds_made: int,
        worlds_seconds: float,
        grown: Sequence[Grown],
        per_stage: Sequence[StageRecord],
    ) -> None:
        """Go on from what was written."""
        self.seconds |= seconds
        self.gradient_steps, self.method_gradient_steps = gradient_steps, method_gradient_steps
        self.method_environment_steps, self.task_inference_steps = method_environment_steps, task_inference_steps
        self.divergences, self.film_failures = divergences, film_failures
        self.worlds_made, self.worlds_seconds = worlds_made, worlds_seconds
        self._making = MAKING.so_far()
        self.grown = list(grown)
        self.per_stage = list(per_stage)

    @contextmanager
    def timed(self, kind: str) -> Iterator[None]:
        """Count the block's seconds; a block that raises is not counted."""
        started = time.perf_counter()
        yield
        self.seconds[kind] += time.perf_counter() - started

    @contextmanager
    def steps_of_method(self) -> Iterator[None]:
        """Count the gradient steps that are taken in the block as the method's own."""
        with optimizer_steps() as taken:
            yield
        self.method_gradient_steps += taken.steps

    def count_worlds(self) -> None:
        """Count the pools that this process has made since the last call."""
        made, seconds = MAKING.so_far()
        self.worlds_made += made - self._making[0]
        self.worlds_seconds += seconds - self._making[1]
        self._making = made, seconds

    def close_stage(self, stage: int, parameters: Parameters, memory_bytes: int, units: Units) -> None:
        """Note what the agent has become after `stage` (from 1), and the seconds since the stage before."""
        before = [record.seconds.by_kind for record in self.per_stage]
        seconds = {
            kind: round(value - sum(earlier[kind] for earlier in before), 3) for kind, value in self.seconds.items()
        }
        self.per_stage.append(
            StageRecord(
                stage=stage,
                parameters=parameters,
                memory_bytes=memory_bytes,
                units=units,
                seconds=Seconds(**seconds),
            )
        )

    def costs(self, parameters: Parameters, memory_bytes: int) -> Costs:
        """Return all of it for `metrics.json`, beside what the agent is now."""
        self.count_worlds()
        return Costs(
            parameters=parameters,
            memory_bytes=memory_bytes,
            seconds=Seconds(**{kind: round(value, 3) for kind, value in self.seconds.items()}),
            gradient_steps=Steps(learning=self.gradient_steps, method=self.method_gradient_steps),
            method_environment_steps=self.method_environment_steps,
            task_inference_steps=self.task_inference_steps,
            grown=tuple(self.grown),
            per_stage=tuple(self.per_stage),
            diverged_simulations=self.divergences,
            failed_recordings=self.film_failures,
            worlds_made=self.worlds_made,
            worlds_seconds=round(self.worlds_seconds, 3),
        )


class LearningClock:
    """Shares out a stage's time while it learns: what went into nothing else was training."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._accounted = dict(ledger.seconds)
        self._began = time.perf_counter()

    def account(self, cost: MethodCost) -> None:
        """Book the time since the last call, and take over what the method's hooks have counted."""
        seconds, before = self._ledger.seconds, self._accounted
        spent = time.perf_counter() - self._began
        self._began += spent
        method, cost.seconds = cost.seconds, 0.0
        self._ledger.gradient_steps += cost.updates
        cost.updates = 0
        elsewhere = sum(seconds[kind] - before[kind] for kind in _NOT_LEARNING)
        seconds["method"] += method
        seconds["train"] += spent - elsewhere - method
        self._accounted = dict(seconds)
