"""What was learned, what was kept, what helped: pure functions of a score matrix.

Throughout, N slots are trained in order, slot j during stage j, and ``R`` of shape (N+1, N) holds success
rates in [0, 1]: row i is measured after stage i (row 0 before any training), column j-1 belongs to slot j.
The equations below count stages and slots from 1, as the papers and the files of a run do.

What is undefined is nan, never zero, and nan is ``null`` in JSON. A score that is missing makes the mean that
needs it undefined; a *task* for which a ratio has no meaning (never learned, perfect reference) is left out
of the mean and counted.

Sources:
    Wołczyk et al. 2021, *Continual World: a robotic benchmark for continual reinforcement learning*
    Lopez-Paz and Ranzato 2017, *Gradient episodic memory for continual learning*
    Powers et al. 2022, *CORA: benchmarks, baselines and metrics for continual reinforcement learning agents*
"""

import dataclasses
import json
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clrobot.errors import UserError

Array = NDArray[np.float64]
Reading = Literal["any", "final", "stochastic"]
"""How an episode counts as a success: at any step (the headline), at its final step, or at any step with actions
sampled from the policy rather than its mean."""

LEARNED = 0.5
"""A task counts as learned when R[j, j], its success rate after its own stage, is at least this."""


# The score matrix ------------------------------------------------------------------------------------------


class Forgetting(NamedTuple):
    """Forgetting of every task, and its two means."""

    per_task: Array
    """F_j, shape (N,); the last is zero by definition."""
    mean: float
    """Over j < N: the tasks that a later stage could hurt. The headline."""
    mean_all: float
    """Over all j, as Continual World takes it; smaller by the factor (N-1)/N."""


class Retention(NamedTuple):
    """The share of a skill that is left at the end."""

    per_task: Array
    """R[N, j] / R[j, j], shape (N,); nan for a task that was not learned."""
    mean: float
    """Over the learned tasks among j < N."""
    unlearned_share: float
    """Tasks not learned / tasks, over all j (the last one too)."""


def average_success(R: ArrayLike) -> float:
    """Mean success rate over all slots after the last stage; R has shape (N+1, N)."""
    R = _matrix(R)
    # P = mean_j R[N, j]   (Wołczyk et al. 2021)
    return _mean(R[-1])


def forgetting(R: ArrayLike) -> Forgetting:
    """How far each task fell between the end of its own stage and the end; R has shape (N+1, N)."""
    R = _matrix(R)
    # F_j = R[j, j] - R[N, j]   (Wołczyk et al. 2021)
    per_task = _learned(R) - R[-1]
    return Forgetting(per_task, _mean(per_task[:-1]), _mean(per_task))


def backward_transfer(R: ArrayLike) -> float:
    """How later stages changed earlier tasks, signed: negative is forgetting; R has shape (N+1, N)."""
    R = _matrix(R)
    # BWT = mean_{j<N} (R[N, j] - R[j, j])   (Lopez-Paz and Ranzato 2017)
    return _mean((R[-1] - _learned(R))[:-1])


def zero_shot_transfer(R: ArrayLike) -> float:
    """What earlier stages gave a task before its own stage began; R has shape (N+1, N)."""
    # Z = mean_{j>1} (R[j-1, j] - R[0, j])   (after CORA, Powers et al. 2022)
    return _mean(_zero_shot(_matrix(R))[1:])


def isolated_forgetting(R: ArrayLike) -> Array:
    """Which stage hurt which skill: shape (N, N), row i-1 for stage i; nan where j >= i.

    Args:
        R: Success rates, shape (N+1, N).
    """
    R = _matrix(R)
    # IF[i, j] = R[i-1, j] - R[i, j],  j < i   (CORA, Powers et al. 2022)
    drop: Array = R[:-1] - R[1:]
    drop[~np.tri(R.shape[1], k=-1, dtype=bool)] = np.nan
    return drop


def retention(R: ArrayLike, learned: float = LEARNED) -> Retention:
    """The share of each learned skill that is left at the end, beside the share never learned.

    Args:
        R: Success rates, shape (N+1, N).
        learned: A task is learned when R[j, j] is at least this.
    """
    R = _matrix(R)
    peak = _learned(R)
    was_learned = peak >= learned
    # R[N, j] / R[j, j],  over the j with R[j, j] >= 0.5   (ours)
    per_task = np.divide(R[-1], peak, out=np.full_like(peak, np.nan), where=was_learned)
    earlier = per_task[:-1][was_learned[:-1]]
    share = _mean(np.where(np.isnan(peak), np.nan, ~was_learned))
    return Retention(per_task, _mean(earlier), share)


# Learning curves -------------------------------------------------------------------------------------------


class Curve(NamedTuple):
    """Success of one slot against training steps."""

    steps: Array
    """Environment steps since the start of the run, strictly increasing, shape (P,)."""
    success: Array
    """Success rates, shape (P,)."""


def auc(steps: ArrayLike, success: ArrayLike, start: float, end: float) -> float:
    """Mean of a learning curve over the window from ``start`` to ``end``.

    The curve is linear between its points and constant beyond the first and the last. With fewer than two
    points in the window, or no window, there is no curve: nan.

    Args:
        steps: Strictly increasing environment steps, shape (P,).
        success: Success rates at those steps, shape (P,).
        start: Step at which the window opens.
        end: Step at which it closes.
    """
    t, p = np.asarray(steps, float), np.asarray(success, float)
    if t.shape != p.shape or t.ndim != 1:
        raise ValueError(f"steps and success must have one shape (P,), got {t.shape} and {p.shape}")
    if (np.diff(t) <= 0).any():
        raise ValueError(f"steps must increase strictly, got {t.tolist()}")
    inside = (t >= start) & (t <= end)
    if inside.sum() < 2 or end <= start:
        return math.nan
    # AUC_j = 1 / (t_j - t_{j-1}) ∫ p_j(t) dt over stage j   (Wołczyk et al. 2021)
    grid = np.unique(np.concatenate([[start], t[inside], [end]]))
    return float(np.trapezoid(np.interp(grid, t, p), grid) / (end - start))


def forward_transfer(auc: ArrayLike, reference: ArrayLike) -> Array:
    """Whether what came before helped to learn each task, shape (N,); nan where the reference is perfect.

    Args:
        auc: AUC of each task's own stage, shape (N,).
        reference: AUC of the same task learned from scratch on the same budget, shape (N,).
    """
    a, ref = np.asarray(auc, float), np.asarray(reference, float)
    if a.shape != ref.shape:
        raise ValueError(f"auc and reference must have one shape (N,), got {a.shape} and {ref.shape}")
    # FT_j = (AUC_j - AUC_j^ref) / (1 - AUC_j^ref)   (Wołczyk et al. 2021)
    transfer = np.full_like(a, np.nan)
    np.divide(a - ref, 1 - ref, out=transfer, where=ref < 1)
    return transfer


def plasticity(auc: ArrayLike, reference: ArrayLike) -> Array:
    """How well each task could still be learned in its place, shape (N,); nan where the reference learned nothing.

    A fall over the stages is a loss of plasticity; it is to be read against the stage number.

    Args:
        auc: AUC of each task's own stage, shape (N,).
        reference: AUC of the same task learned from scratch on the same budget, shape (N,).
    """
    a, ref = np.asarray(auc, float), np.asarray(reference, float)
    if a.shape != ref.shape:
        raise ValueError(f"auc and reference must have one shape (N,), got {a.shape} and {ref.shape}")
    # AUC_j / AUC_j^ref   (ours)
    ratio = np.full_like(a, np.nan)
    np.divide(a, ref, out=ratio, where=ref > 0)
    return ratio


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


def read_scores(path: pathlib.Path) -> list[Score]:
    """Read ``scores.jsonl``, in the order of the file.

    A last line that a killed run left half-written is left out; anything else that is not a score is an error
    that names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the scores in {path}: {error}") from None
    scores = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            scores.append(_score(json.loads(line)))
        except (ValueError, RecursionError) as error:
            if number == len(lines) and isinstance(error, json.JSONDecodeError):
                break
            raise UserError(f"{path}, line {number}: not a score: {error}") from None
    return scores


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


def run_metrics(
    scores: Sequence[Score],
    slot_names: Sequence[str],
    stage_ends: Sequence[int],
    *,
    parameters: Mapping[str, int],
    memory_bytes: int,
    seconds: Mapping[str, float],
    gradient_steps: int | None = None,
    reference: ArrayLike | None = None,
) -> dict[str, Any]:
    """The content of ``metrics.json``.

    An interrupted run, of which K < N stages are done, is measured as the run of K stages that it is: every
    headline number and every entry of ``per_task`` comes from rows 0 … K and columns 1 … K of the matrix.
    So ``average_success`` is over the tasks trained so far, and ``stages_done`` beside ``stages`` says that
    it is not yet the whole curriculum's; tasks not trained yet have ``null`` for every number. The matrices
    keep their full shape: rows not reached are ``null``, tasks not trained yet keep their zero-shot scores.
    A run without a finished stage has no headline numbers at all.

    Args:
        scores: In the order of the file.
        slot_names: One for each of the N slots.
        stage_ends: The step at which each finished stage ended, in order.
        parameters: ``trainable`` and ``total``.
        memory_bytes: What the method keeps besides the policy.
        seconds: Wall-clock time of ``train``, ``evaluate`` and ``method``.
        gradient_steps: Optimizer steps so far; None where they were not counted.
        reference: AUC of each slot's task learned from scratch on the same budget, shape (N,), nan where
            there is none; without it forward transfer is undefined.
    """
    slots = len(slot_names)
    any_step, final_step = (_finished(scores, slots, stage_ends, reading) for reading in ("any", "final"))
    done = int(np.isfinite(any_step[1:, 0]).sum()) if slots else 0
    R, R_final = any_step[: done + 1, :done], final_step[: done + 1, :done]
    areas = np.array([_stage_auc(scores, slot, stage_ends) for slot in range(1, done + 1)])
    references = np.full(slots, np.nan) if reference is None else np.asarray(reference, float)
    if references.shape != (slots,):
        raise ValueError(f"reference must have shape ({slots},), got {references.shape}")
    transfer, learnable = forward_transfer(areas, references[:done]), plasticity(areas, references[:done])
    sampled = success_matrix(scores, slots, "stochastic")[done, :done]
    forgot, kept, zero_shot = forgetting(R), retention(R), _zero_shot(R)

    columns = {
        "learned": _learned(R),
        "final": R[-1],
        "learned_final_step": _learned(R_final),
        "final_final_step": R_final[-1],
        "forgetting": forgot.per_task,
        "retention": kept.per_task,
        "zero_shot_transfer": zero_shot,
        "auc": areas,
        "auc_reference": references[:done],
        "forward_transfer": transfer,
        "plasticity": learnable,
        "final_stochastic": sampled,
    }
    per_task = [
        {"slot": j + 1, "task": name} | {key: (v[j] if j < done else None) for key, v in columns.items()}
        for j, name in enumerate(slot_names)
    ]
    metrics = {
        "stages": slots,
        "stages_done": done,
        "stage_ends": [int(end) for end in stage_ends[:done]],
        "success_reading": "any",
        "average_success": average_success(R),
        "average_success_final_step": average_success(R_final),
        "average_success_stochastic": _mean(sampled),
        "forgetting": forgot.mean,
        "forgetting_all_tasks": forgot.mean_all,
        "backward_transfer": backward_transfer(R),
        "forward_transfer": _mean(transfer[np.isfinite(transfer)]),
        "zero_shot_transfer": zero_shot_transfer(R),
        "retention": kept.mean,
        "unlearned_share": kept.unlearned_share,
        "plasticity": _mean(learnable[np.isfinite(learnable)]),
        "per_task": per_task,
        "success_matrix": any_step,
        "success_matrix_final": final_step,
        "isolated_forgetting": isolated_forgetting(any_step),
        "parameters": dict(parameters),
        "memory_bytes": memory_bytes,
        "seconds": dict(seconds),
        "environment_steps": int(stage_ends[done - 1]) if done else 0,
        "gradient_steps": gradient_steps,
    }
    content: dict[str, Any] = to_json(metrics)
    return content


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


# Helpers ---------------------------------------------------------------------------------------------------


def _matrix(R: ArrayLike) -> Array:
    """Check the shape (N+1, N)."""
    R = np.asarray(R, float)
    if R.ndim != 2 or R.shape[0] != R.shape[1] + 1:
        raise ValueError(f"a score matrix has shape (N+1, N), row 0 before any training; got {R.shape}")
    return R


def _learned(R: Array) -> Array:
    """R[j, j]: the success on each task after its own stage, shape (N,)."""
    peak: Array = np.diagonal(R[1:])
    return peak


def _zero_shot(R: Array) -> Array:
    """R[j-1, j] - R[0, j], shape (N,); nan for the first task, which nothing came before."""
    gain: Array = np.diagonal(R[:-1]) - R[0]
    gain[:1] = np.nan
    return gain


def _mean(values: Array) -> float:
    """Mean, nan of nothing (where numpy would also warn)."""
    return float(np.mean(values)) if values.size else math.nan


def _success(score: Score, reading: Reading) -> float:
    if reading == "stochastic":
        return math.nan if score.stochastic_success_any is None else score.stochastic_success_any
    return score.success_any if reading == "any" else score.success_final


def _window(slot: int, stage_ends: Sequence[int]) -> tuple[float, float]:
    """The steps at which a slot's own stage began and ended; infinite while that is still to come."""
    bounds = [0.0, *stage_ends, math.inf, math.inf]
    return (bounds[slot - 1], bounds[slot]) if slot <= len(stage_ends) + 1 else (math.inf, math.inf)


def _stage_auc(scores: Sequence[Score], slot: int, stage_ends: Sequence[int]) -> float:
    return auc(*learning_curve(scores, slot, stage_ends), *_window(slot, stage_ends))


def _finished(scores: Sequence[Score], slots: int, stage_ends: Sequence[int], reading: Reading) -> Array:
    """The score matrix with nan from the first unfinished stage on."""
    R = success_matrix(scores, slots, reading)
    done = 0
    while done < min(len(stage_ends), slots) and np.isfinite(R[done + 1]).all():
        done += 1
    R[done + 1 :] = np.nan
    return R


def _score(line: object) -> Score:
    """Check one line of ``scores.jsonl``; a ValueError says what is wrong."""
    if not isinstance(line, dict):
        raise ValueError(f"expected an object, got {line!r}")
    values: dict[str, Any] = {}
    for field in dataclasses.fields(Score):
        optional = field.default is None
        if field.name not in line and not optional:
            raise ValueError(f"{field.name} is missing")
        value = line.get(field.name)
        if value is None and optional:
            continue
        if field.name == "return_mean" and value is None:
            value = math.nan
        if field.type is int and (isinstance(value, bool) or not isinstance(value, int)):
            raise ValueError(f"{field.name} = {value!r} is not an integer")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{field.name} = {value!r} is not a number")
        values[field.name] = value if field.type is int else float(value)
    for name, least in (("stage", 0), ("step", 0), ("slot", 1), ("episodes", 1)):
        if values[name] < least:
            raise ValueError(f"{name} = {values[name]} is less than {least}")
    for name in ("success_any", "success_final", "stochastic_success_any", "stochastic_success_final"):
        if not 0 <= values.get(name, 0) <= 1:
            raise ValueError(f"{name} = {values[name]} is outside [0, 1]")
    return Score(**values)
