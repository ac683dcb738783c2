"""The scores of a run: one record for each evaluation, as a matrix and as curves."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from clrobot.results.fields import MAX_COUNT, MAX_SLOTS, Count, Positive, Rate, Record, Slot, Stage, own_stage
from clrobot.results.metrics import Array, auc

Mask = NDArray[np.bool_]

# How an episode counts as a success: at any step (the headline), at its final step, or at any step with actions
# sampled from the policy rather than its mean.
Reading = Literal["any", "final", "stochastic"]
# What an evaluation tells of a task: a reading of success, the mean return, or the mean steps to success.
Quantity = Literal[Reading, "return", "steps"]


class Curve(NamedTuple):
    """Success of one slot against training steps.

    Attributes:
        steps: environment steps since the start of the run, strictly increasing, shape (P,).
        success: success rates, shape (P,).
    """

    steps: Array
    success: Array


class Score(Record):
    """One evaluation of one slot: a line of `scores.jsonl`.

    Attributes:
        stage: the stage during or after which the evaluation was made; 0 is the untrained agent.
        step: environment steps trained since the start of the run.
        slot: the slot evaluated, from 0 (in the file from 1).
        episodes: how many, 1 or more.
        success_any: share of the episodes that succeeded at any step; None where nothing in the task's world tells.
        success_final: share of the episodes that were a success at their final step; None as above.
        return_mean: mean sum of rewards; None where it is not finite.
        length_mean: control steps until the first success, a whole episode's where there is none.
        success_by_head: `success_any` through the head of each slot trained so far, in their order; measured of the
            slot that is trained next, after each stage. The newest head's is `success_any` itself.
        stochastic_success_any: the same four with sampled actions, measured after each stage for the slots trained
            so far; None where they were not measured.
        stochastic_success_final: see above.
        stochastic_return_mean: see above.
        stochastic_length_mean: see above.
    """

    stage: Stage
    step: Count
    slot: Slot
    episodes: Annotated[int, Field(ge=1, le=MAX_COUNT)]
    success_any: Rate | None
    success_final: Rate | None
    return_mean: float | None
    length_mean: Positive
    success_by_head: Annotated[tuple[Rate, ...], Field(min_length=1, max_length=MAX_SLOTS)] | None = None
    stochastic_success_any: Rate | None = None
    stochastic_success_final: Rate | None = None
    stochastic_return_mean: float | None = None
    stochastic_length_mean: Positive | None = None

    @model_validator(mode="after")
    def _heads_that_there_were(self) -> Self:
        heads = self.success_by_head
        if heads is not None and (len(heads) > self.slot or heads[-1] != self.success_any):
            # It is measured of the slot that is trained next: before it came as many as its index says.
            raise ValueError(
                f"success_by_head has {len(heads)} heads and ends with {heads[-1]}; expected {self.slot} at most, "
                f"one for each slot before, and {self.success_any}, which is success_any, for the newest"
            )
        return self

    def to_line(self) -> str:
        """Return the line for `scores.jsonl`, without what was not measured."""
        measured = {"success_any", "success_final", "return_mean"}
        if self.stochastic_length_mean is not None:
            measured |= {"stochastic_success_any", "stochastic_success_final", "stochastic_return_mean"}
        values = self.model_dump(mode="json")
        return json.dumps({k: v for k, v in values.items() if v is not None or k in measured}) + "\n"


def success_matrix(scores: Sequence[Score], slots: int, quantity: Quantity = "any") -> Array:
    """Return the score matrix R, shape (N+1, N), of a run; the last line of each (stage, slot) counts.

    A row is there once every slot has been scored at one step of that stage: its end. Until then it is nan,
    since what a stage in progress scores on its own slot is not yet the score after that stage.

    Args:
        scores: in the order of the file.
        slots: N, the number of slots in the curriculum.
        quantity: which reading of success, or what else of an evaluation.

    Raises:
        ValueError: a score is of another curriculum.
    """
    R = np.full((slots + 1, slots), np.nan)
    whole = _whole_rows(scores, slots)
    for score in scores:
        R[score.stage, score.slot] = _of(score, quantity)
    R[~whole] = np.nan
    return R


def _whole_rows(scores: Sequence[Score], slots: int) -> Mask:
    """Return of which stages (N+1,) every slot has been scored at one step, whether or not that tells success.

    Raises:
        ValueError: a score is of another curriculum.
    """
    steps = np.full((slots + 1, slots), np.nan)
    for score in scores:
        if score.slot >= slots or score.stage > slots:
            raise ValueError(f"{score} does not belong to a curriculum of {slots} stages")
        steps[score.stage, score.slot] = score.step
    whole: Mask = (steps == steps[:, :1]).all(axis=1)
    return whole


def stage_ends(scores: Sequence[Score], slots: int) -> list[int]:
    """Return the step at which each finished stage ended, in order; a stage is finished once every slot is scored.

    Args:
        scores: in the order of the file.
        slots: N, the number of slots in the curriculum.
    """
    whole = _whole_rows(scores, slots)
    last = {score.stage: score.step for score in scores}
    ends = []
    for stage in range(1, slots + 1):
        if not whole[stage]:
            break
        ends.append(last[stage])
    return ends


def success_curve(scores: Sequence[Score], slot: int, reading: Reading = "any") -> Curve:
    """Return the success of one slot (from 0) over the whole run; of several scores at one step the last counts."""
    return _curve([score for score in scores if score.slot == slot], reading)


def learning_curve(
    scores: Sequence[Score], slot: int, stage_ends: Sequence[int], reading: Reading = "any", *, trial: int = 0
) -> Curve:
    """Return the success of one slot during its own stage, both ends included.

    Its first point is the learner's own: what the slot's head does before it has learned anything. (What another
    slot's head did on the task, at the end of the stage before, is transfer without learning and no part of it.)
    Where the slot may begin as an earlier one, the next point is what it begins as, where the steps end that it took
    to choose; where it took none, that is the first. While it was chosen nothing acted better: until right before
    that point the curve stays where it began.
    A stage in progress has the points so far, one that has not begun has none.

    Args:
        scores: in the order of the file.
        slot: from 0.
        stage_ends: the step at which each finished stage ended, in order.
        reading: which reading of success.
        trial: control steps at the stage's start that it took to choose what the slot begins as.
    """
    start, end = _window(slot, stage_ends)
    own = [score for score in scores if score.slot == slot and score.stage == own_stage(slot)]
    curve = _curve([score for score in own if start <= score.step <= end], reading)
    if not trial or start + trial not in curve.steps[1:]:
        return curve
    before = np.searchsorted(curve.steps, start + trial)
    return Curve(
        np.insert(curve.steps, before, np.nextafter(start + trial, start)),
        np.insert(curve.success, before, curve.success[0]),
    )


def zero_shot_by_head(scores: Sequence[Score], slots: int) -> Array:
    """Return the best success on each slot before its own stage through any head trained so far, (N,).

    nan for the first slot, and where heads were not measured.
    """
    best = np.full(slots, np.nan)
    for score in scores:
        if score.success_by_head and score.stage == own_stage(score.slot) - 1:
            # max_{i<j} R^i[j-1, j], where R^i is measured through the head of slot i
            best[score.slot] = max(score.success_by_head)
    return best


def _curve(scores: Sequence[Score], reading: Reading) -> Curve:
    points = {score.step: _of(score, reading) for score in scores}
    steps = sorted(points)
    return Curve(np.array(steps, float), np.array([points[step] for step in steps], float))


def _of(score: Score, quantity: Quantity) -> float:
    if quantity == "steps" and score.success_any is None:
        return math.nan  # nobody knows when it is done
    value = {
        "any": score.success_any,
        "final": score.success_final,
        "stochastic": score.stochastic_success_any,
        "return": score.return_mean,
        "steps": score.length_mean,
    }[quantity]
    return math.nan if value is None else value


def _window(slot: int, stage_ends: Sequence[int]) -> tuple[float, float]:
    """Return the steps at which a slot's own stage began and ended; infinite while that is still to come."""
    stage = own_stage(slot)
    bounds = [0.0, *stage_ends, math.inf, math.inf]
    return (bounds[stage - 1], bounds[stage]) if stage <= len(stage_ends) + 1 else (math.inf, math.inf)


def area_until(curve: Curve, steps: int) -> float:
    """Return the area under a curve that begins at 0, up to `steps`; between two points it is a line.

    It is nan where the curve has fewer than two points.
    """
    inside = curve.steps < steps
    if not inside.any() or len(curve.steps) < 2:
        return math.nan
    end = np.interp(steps, curve.steps, curve.success)
    return auc(np.append(curve.steps[inside], steps), np.append(curve.success[inside], end), 0, steps)


def stage_auc(scores: Sequence[Score], slot: int, stage_ends: Sequence[int], trial: int = 0) -> float:
    """Return the area under a slot's learning curve in its own stage, which may begin with a trial's steps.

    Slots count from 0.
    """
    return auc(*learning_curve(scores, slot, stage_ends, trial=trial), *_window(slot, stage_ends))


def finished_rows(scores: Sequence[Score], slots: int, stage_ends: Sequence[int], reading: Reading) -> Array:
    """Return the score matrix, shape (N+1, N), with nan from the first unfinished stage on."""
    R = success_matrix(scores, slots, reading)
    R[finished_stages(scores, slots, stage_ends) + 1 :] = np.nan
    return R


def finished_stages(scores: Sequence[Score], slots: int, stage_ends: Sequence[int]) -> int:
    """Return how many stages have ended, and every slot has been scored after each."""
    whole, done = _whole_rows(scores, slots), 0
    while done < min(len(stage_ends), slots) and whole[done + 1]:
        done += 1
    return done
