"""The scores of a run, as a matrix and as curves."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from clrobot.results.metrics import Array, auc

Reading = Literal["any", "final", "stochastic"]
"""How an episode counts as a success: at any step (the headline), at its final step, or at any step with actions
sampled from the policy rather than its mean."""


# Learning curves -------------------------------------------------------------------------------------------


class Curve(NamedTuple):
    """Success of one slot against training steps."""

    steps: Array
    """Environment steps since the start of the run, strictly increasing, shape (P,)."""
    success: Array
    """Success rates, shape (P,)."""


# The scores of a run ---------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Score:
    """One evaluation of one slot: a line of ``scores.jsonl``."""

    stage: int
    """The stage during or after which the evaluation was made; 0 is the untrained agent."""
    step: int
    """Environment steps trained since the start of the run."""
    slot: int
    """The slot evaluated, from 1."""
    episodes: int
    success_any: float
    """Share of the episodes that succeeded at any step."""
    success_final: float
    """Share of the episodes that were a success at their final step."""
    return_mean: float
    length_mean: float | None = None
    """Control steps until the first success, the whole episode's where there is none; older runs do not have it."""
    stochastic_success_any: float | None = None
    """The same four with sampled actions, measured after each stage for the slots trained so far."""
    stochastic_success_final: float | None = None
    stochastic_return_mean: float | None = None
    stochastic_length_mean: float | None = None

    def to_line(self) -> str:
        """Return the line for ``scores.jsonl``, without what was not measured."""
        values = dataclasses.asdict(self)
        return json.dumps({k: to_json(v) for k, v in values.items() if v is not None or k == "return_mean"}) + "\n"


def success_matrix(scores: Sequence[Score], slots: int, reading: Reading = "any") -> Array:
    """The score matrix R, shape (N+1, N), of a run; the last line of each (stage, slot) counts.

    A row is there once every slot has been scored at one step of that stage: its end. Until then it is nan,
    since what a stage in progress scores on its own slot is not yet the score after that stage.

    Args:
        scores: In the order of the file.
        slots: N, the number of slots in the curriculum.
        reading: Which reading of success.
    """
    R = np.full((slots + 1, slots), np.nan)
    steps = np.full_like(R, np.nan)
    for score in scores:
        if score.slot > slots or score.stage > slots:
            raise ValueError(f"{score} does not belong to a curriculum of {slots} stages")
        R[score.stage, score.slot - 1] = _success(score, reading)
        steps[score.stage, score.slot - 1] = score.step
    R[(steps != steps[:, :1]).any(axis=1)] = np.nan
    return R


def stage_ends(scores: Sequence[Score], slots: int) -> list[int]:
    """The step at which each finished stage ended, in order; a stage is finished once every slot is scored.

    Args:
        scores: In the order of the file.
        slots: N, the number of slots in the curriculum.
    """
    R = success_matrix(scores, slots)
    last = {score.stage: score.step for score in scores}
    ends = []
    for stage in range(1, slots + 1):
        if not np.isfinite(R[stage]).all():
            break
        ends.append(last[stage])
    return ends


def success_curve(scores: Sequence[Score], slot: int, reading: Reading = "any") -> Curve:
    """Success of one slot over the whole run; of several scores at one step the last counts."""
    points = {score.step: _success(score, reading) for score in scores if score.slot == slot}
    steps = sorted(points)
    return Curve(np.array(steps, float), np.array([points[step] for step in steps], float))


def learning_curve(scores: Sequence[Score], slot: int, stage_ends: Sequence[int], reading: Reading = "any") -> Curve:
    """Success of one slot during its own stage, both ends included.

    Its first point is the end-of-stage score of the stage before (for slot 1 that of the untrained agent).
    A stage in progress has the points so far, one that has not begun has none.

    Args:
        scores: In the order of the file.
        slot: From 1.
        stage_ends: The step at which each finished stage ended, in order.
        reading: Which reading of success.
    """
    start, end = _window(slot, stage_ends)
    curve = success_curve(scores, slot, reading)
    inside = (curve.steps >= start) & (curve.steps <= end)
    return Curve(curve.steps[inside], curve.success[inside])


def to_json(value: Any) -> Any:
    """The same value in JSON's own types: arrays become lists, and what is not finite becomes None."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _success(score: Score, reading: Reading) -> float:
    if reading == "stochastic":
        return math.nan if score.stochastic_success_any is None else score.stochastic_success_any
    return score.success_any if reading == "any" else score.success_final


def _window(slot: int, stage_ends: Sequence[int]) -> tuple[float, float]:
    """The steps at which a slot's own stage began and ended; infinite while that is still to come."""
    bounds = [0.0, *stage_ends, math.inf, math.inf]
    return (bounds[slot - 1], bounds[slot]) if slot <= len(stage_ends) + 1 else (math.inf, math.inf)


def stage_auc(scores: Sequence[Score], slot: int, stage_ends: Sequence[int]) -> float:
    """Return the area under a slot's learning curve in its own stage; slots count from 1."""
    return auc(*learning_curve(scores, slot, stage_ends), *_window(slot, stage_ends))


def finished_rows(scores: Sequence[Score], slots: int, stage_ends: Sequence[int], reading: Reading) -> Array:
    """The score matrix with nan from the first unfinished stage on."""
    R = success_matrix(scores, slots, reading)
    done = 0
    while done < min(len(stage_ends), slots) and np.isfinite(R[done + 1]).all():
        done += 1
    R[done + 1 :] = np.nan
    return R
