"""What is measured of a run: the content of `metrics.json`, as it is written, read, shown and compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field, model_validator

from clrobot.results.fields import (
    MAX_NUMBER,
    MAX_SLOTS,
    Change,
    Changes,
    Count,
    Matrix,
    Number,
    Positive,
    Rate,
    Record,
    Slot,
    Stage,
)
from clrobot.results.grown import Grown, begun, grown_of
from clrobot.results.measure import measure
from clrobot.results.metrics import Array, isolated_forgetting
from clrobot.results.scores import Score, finished_rows, finished_stages
from clrobot.results.stage_record import Parameters, Seconds, StageRecord, Steps

# Where a reference's area comes from: a run of one's own beside the run, or the curves that come with clrobot.
ReferenceKind = Literal["own", "shipped"]


class TaskMetrics(Record):
    """What is measured of one slot; None where it is undefined, or not yet measured."""

    slot: Slot
    task: Annotated[str, Field(max_length=1_000)]
    learned: Rate | None
    final: Rate | None
    learned_final_step: Rate | None
    final_final_step: Rate | None
    forgetting: Change | None
    retention: Positive | None
    zero_shot_transfer: Change | None
    zero_shot_transfer_best: Change | None
    steps_to_success: Positive | None
    forgetting_steps: Number | None
    relative_return: Number | None
    forgetting_return: Number | None
    auc: Positive | None
    auc_reference: Positive | None
    reference: ReferenceKind | None = None
    forward_transfer: Number | None
    plasticity: Positive | None
    final_stochastic: Rate | None
    grown_from: Annotated[str, Field(max_length=1_000)] | None = None
    """The earlier slot from which it grew, by name: it began as a copy of that, or learned from it as a teacher, as
    `warm_start` has it; None: it began anew."""
    trial_steps: Count | None = None
    """Control steps that it took to choose that, which come off the stage's and are the method's; None: no choice."""


class RunMetrics(Record):
    """The content of `metrics.json`; None where a number is undefined.

    N slots are to be trained. What stands here alone is explained here, what is shown in `clrobot.results.catalogue`.

    Attributes:
        diverged_simulations: how often a simulation went to infinity and was reset.
        failed_recordings: the films that could not be made.
        worlds_made: how many pools were made of worlds that begin anew in no other way, as EnvPool's.
        worlds_seconds: that it took, which are part of `seconds`.
        per_stage: one for each finished stage, in order.
        environment_steps: control steps; the algorithm's are those of the finished stages, the method's those in
            which it collects experience, and those that it took to choose how a slot begins.
        gradient_steps: of the actor; the method's are those of optimizers of its own.
        task_inference_steps: control steps from which the agent learned how its tasks look at first; they are neither
            the algorithm's nor the method's.
        stages: N.
        stages_done: how many of them are finished.
        stage_ends: the step at which each finished stage ended.
        success_reading: which episodes count as a success in `success_matrix` and what is made from it.
        forgetting_all_tasks: `forgetting` as Continual World takes it, the last task's zero included.
        per_task: one for each slot, in order.
        success_matrix: R, shape (N+1, N); rows of unfinished stages are None.
        success_matrix_final: the same of success at an episode's final step.
        isolated_forgetting: shape (N, N), see `clrobot.results.metrics.isolated_forgetting`.
    """

    diverged_simulations: Count
    failed_recordings: Count
    worlds_made: Count = 0
    worlds_seconds: Number = 0.0
    per_stage: Annotated[tuple[StageRecord, ...], Field(max_length=MAX_SLOTS)]
    stages: Stage
    stages_done: Stage
    stage_ends: Annotated[tuple[Count, ...], Field(max_length=MAX_SLOTS)]
    success_reading: Literal["any"]
    average_success: Rate | None
    average_success_final_step: Rate | None
    average_success_stochastic: Rate | None
    forgetting: Change | None
    forgetting_all_tasks: Change | None
    backward_transfer: Change | None
    forward_transfer: Number | None
    forward_transfer_from_2: Number | None
    zero_shot_transfer: Change | None
    zero_shot_transfer_best: Change | None
    steps_to_success: Positive | None
    forgetting_steps: Number | None
    relative_return: Number | None
    forgetting_return: Number | None
    retention: Positive | None
    unlearned_share: Rate | None
    plasticity: Positive | None
    per_task: Annotated[tuple[TaskMetrics, ...], Field(min_length=1, max_length=MAX_SLOTS)]
    success_matrix: Matrix
    success_matrix_final: Matrix
    isolated_forgetting: Changes
    parameters: Parameters
    memory_bytes: Count
    seconds: Seconds
    environment_steps: Steps
    gradient_steps: Steps
    task_inference_steps: Count

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        slots, done = len(self.per_task), self.stages_done
        if self.stages != slots or [task.slot for task in self.per_task] != list(range(slots)):
            raise ValueError(f"stages = {self.stages} does not fit the slots in per_task")
        for name, rows in (
            ("success_matrix", slots + 1),
            ("success_matrix_final", slots + 1),
            ("isolated_forgetting", slots),
        ):
            widths = [len(row) for row in getattr(self, name)]
            if widths != [slots] * rows:
                raise ValueError(f"{name} must have {rows} rows of {slots}, got rows of {widths}")
        if len(self.stage_ends) != done or done > slots:
            raise ValueError(f"stages_done = {done} does not fit stage_ends = {list(self.stage_ends)}")
        if (numbers := [record.stage for record in self.per_stage]) != list(range(1, done + 1)):
            raise ValueError(f"per_stage has the stages {numbers}, and stages_done = {done}")
        names = self.slot_names
        for task in self.per_task:
            if task.grown_from is not None and task.grown_from not in names[: task.slot]:
                raise ValueError(f"{task.task} has grown from {task.grown_from}, which is no earlier slot")
        return self

    @property
    def slot_names(self) -> list[str]:
        """One for each of the N slots."""
        return [task.task for task in self.per_task]

    @property
    def grown(self) -> tuple[Grown, ...]:
        """How the slots have begun that may have begun as earlier ones."""
        return grown_of((task.slot, task.task, task.grown_from, task.trial_steps) for task in self.per_task)

    def value(self, name: str) -> float | None:
        """Return a metric by its dotted name, as `clrobot.results.catalogue` has it; None where it is undefined."""
        found: Any = self
        for part in name.split("."):
            found = getattr(found, part)
        return None if found is None else float(found)

    def task_value(self, slot: int, name: str) -> float | None:
        """Return a metric of a slot (from 0) by its name; None where it is undefined."""
        found = getattr(self.per_task[slot], name)
        return None if found is None else float(found)

    def reference(self, slot: int) -> str | None:
        """Return what forward transfer to a slot's task is measured against: `own`, `shipped`, or None."""
        return self.per_task[slot].reference

    @property
    def references(self) -> frozenset[str]:
        """Where the references of forward transfer come from: `own`, `shipped`, both or none."""
        return frozenset(task.reference for task in self.per_task if task.reference is not None)


@dataclass(frozen=True)
class Costs:
    """What the scores of a run do not tell.

    Attributes:
        parameters: of the policy, at the end.
        memory_bytes: what is kept beside one actor and critic, see `clrobot.agents.methods.shared.kept`.
        seconds: wall-clock time.
        gradient_steps: of the actor, and of the method's own optimizers.
        method_environment_steps: control steps in which the method collected experience, or tried how a slot begins.
        task_inference_steps: control steps from which the agent learned how its tasks look at first.
        per_stage: one for each finished stage.
        grown: how slots have begun that may have begun as earlier ones.
        diverged_simulations: how often a simulation went to infinity and was reset.
        failed_recordings: the films that could not be made.
        worlds_made: how many pools were made of worlds that begin anew in no other way.
        worlds_seconds: that it took.
    """

    parameters: Parameters
    memory_bytes: int
    seconds: Seconds
    gradient_steps: Steps
    method_environment_steps: int
    task_inference_steps: int
    per_stage: tuple[StageRecord, ...]
    grown: tuple[Grown, ...] = ()
    diverged_simulations: int = 0
    failed_recordings: int = 0
    worlds_made: int = 0
    worlds_seconds: float = 0.0

    @classmethod
    def of(cls, metrics: RunMetrics) -> Costs:
        """Return those that metrics have."""
        return cls(
            parameters=metrics.parameters,
            memory_bytes=metrics.memory_bytes,
            seconds=metrics.seconds,
            gradient_steps=metrics.gradient_steps,
            method_environment_steps=metrics.environment_steps.method,
            task_inference_steps=metrics.task_inference_steps,
            per_stage=metrics.per_stage,
            grown=metrics.grown,
            diverged_simulations=metrics.diverged_simulations,
            failed_recordings=metrics.failed_recordings,
            worlds_made=metrics.worlds_made,
            worlds_seconds=metrics.worlds_seconds,
        )


def run_metrics(
    scores: Sequence[Score],
    slot_names: Sequence[str],
    ends: Sequence[int],
    costs: Costs,
    reference: ArrayLike | None = None,
    *,
    shipped: Sequence[bool] = (),
    in_sequence: bool = True,
    trained: int | None = None,
) -> RunMetrics:
    """Measure a run by its scores.

    An interrupted run, of which K < N stages are done, is measured as the run of K stages that it is: every
    headline number and every entry of `per_task` comes from rows 0 … K and columns 1 … K of the matrix.
    So `average_success` is over the tasks trained so far, and `stages_done` beside `stages` says that
    it is not yet the whole curriculum's; tasks not trained yet have None for every number. The matrices
    keep their full shape: rows not reached are None, tasks not trained yet keep their zero-shot scores.
    A run without a finished stage has no headline numbers at all.

    Of tasks that were trained all at once only what they are at the end is defined: there is no stage of their own
    after which something could be forgotten, and nothing that was learned before.

    Args:
        scores: in the order of the file.
        slot_names: one for each of the N slots.
        ends: the step at which each finished stage ended, in order.
        costs: what the scores do not tell.
        reference: area under the learning curve of each slot's task learned from scratch on the same budget,
            shape (N,), nan where there is none; without it forward transfer is undefined.
        shipped: which of these areas are of the references that come with clrobot, N of them; none: no one is.
        in_sequence: whether each stage trained its own slot alone.
        trained: how many slots were trained by then, the first ones; None: as many as stages are done.

    Raises:
        ValueError: the scores are of another curriculum, or the reference has another shape.
    """
    slots = len(slot_names)
    any_step, final_step = (finished_rows(scores, slots, ends, reading) for reading in ("any", "final"))
    done = finished_stages(scores, slots, ends)
    references = np.full(slots, np.nan) if reference is None else np.asarray(reference, float)
    if references.shape != (slots,):
        raise ValueError(f"reference must have shape ({slots},), got {references.shape}")
    grown = {entry.slot: entry for entry in costs.grown if entry.slot < done}
    trials = {slot: entry.trial_steps for slot, entry in grown.items()}
    measured = measure(scores, slots, ends[:done], references[:done], trials, trained if done else 0)
    if not in_sequence:
        measured = measured.at_the_end()
    tried = sum(trials.values())

    def numbers(j: int) -> dict[str, Any]:
        return {key: _defined(values[j]) if j < len(values) else None for key, values in measured.per_task.items()}

    drops = isolated_forgetting(any_step) if in_sequence else np.full((slots, slots), np.nan)
    return RunMetrics(
        diverged_simulations=costs.diverged_simulations,
        failed_recordings=costs.failed_recordings,
        worlds_made=costs.worlds_made,
        worlds_seconds=costs.worlds_seconds,
        per_stage=costs.per_stage,
        stages=slots,
        stages_done=done,
        stage_ends=tuple(int(end) for end in ends[:done]),
        success_reading="any",
        **{name: _defined(value) for name, value in measured.means.items()},
        per_task=tuple(
            TaskMetrics(
                slot=j,
                task=name,
                reference=_kind(measured.per_task["auc_reference"], j, shipped) if j < done else None,
                **numbers(j),
                **begun(grown.get(j), slot_names),
            )
            for j, name in enumerate(slot_names)
        ),
        success_matrix=_rows(any_step),
        success_matrix_final=_rows(final_step),
        isolated_forgetting=_rows(drops),
        parameters=costs.parameters,
        memory_bytes=costs.memory_bytes,
        seconds=costs.seconds,
        environment_steps=Steps(
            learning=int(ends[done - 1]) - tried if done else 0, method=costs.method_environment_steps
        ),
        gradient_steps=costs.gradient_steps,
        task_inference_steps=costs.task_inference_steps,
    )


def _kind(references: Array, slot: int, shipped: Sequence[bool]) -> ReferenceKind | None:
    if not np.isfinite(references[slot]):
        return None
    return "shipped" if shipped and shipped[slot] else "own"


def _defined(value: float) -> float | None:
    """Return a number as Python has it; None for nan, and for a quotient by next to nothing."""
    return float(value) if abs(value) <= MAX_NUMBER else None


def _rows(values: Array) -> tuple[tuple[float | None, ...], ...]:
    return tuple(tuple(map(_defined, row)) for row in values)
