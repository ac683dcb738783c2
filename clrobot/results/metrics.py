"""What was learned, what was kept, what helped: pure functions of a score matrix.

Throughout, N slots are trained in order, slot j during stage j, and `R` of shape (N+1, N) holds success
rates in [0, 1]: row i is measured after stage i (row 0 before any training), column j-1 belongs to slot j.
The equations below count stages and slots from 1, as the papers and the files of a run do.

What is undefined is nan, never zero, and nan is `null` in JSON. A score that is missing makes the mean that
needs it undefined; a *task* for which a ratio has no meaning (never learned, perfect reference) is left out
of the mean and counted.

Sources:
    Wołczyk et al. 2021, *Continual World: a robotic benchmark for continual reinforcement learning*
    Lopez-Paz and Ranzato 2017, *Gradient episodic memory for continual learning*
    Powers et al. 2022, *CORA: benchmarks, baselines and metrics for continual reinforcement learning agents*
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

LEARNED = 0.5  # a task counts as learned when R[j, j], its success rate after its own stage, is at least this


class Forgetting(NamedTuple):
    """Forgetting of every task, and its two means.

    Attributes:
        per_task: F_j, shape (N,); the last is zero by definition.
        mean: over j < N: the tasks that a later stage could hurt. The headline.
        mean_all: over all j, as Continual World takes it; smaller by the factor (N-1)/N.
    """

    per_task: Array
    mean: float
    mean_all: float


class Retention(NamedTuple):
    """The share of a skill that is left at the end.

    Attributes:
        per_task: R[N, j] / R[j, j], shape (N,); nan for a task that was not learned.
        mean: over the learned tasks among j < N.
        unlearned_share: tasks not learned / tasks, over all j (the last one too).
    """

    per_task: Array
    mean: float
    unlearned_share: float


def average_success(R: ArrayLike) -> float:
    """Return the mean success rate over all slots after the last stage; R has shape (N+1, N)."""
    R = _matrix(R)
    # P = mean_j R[N, j]   (Wołczyk et al. 2021)
    return mean_or_nan(R[-1])


def forgetting(R: ArrayLike) -> Forgetting:
    """Return how far each task fell between the end of its own stage and the end; R has shape (N+1, N)."""
    R = _matrix(R)
    # F_j = R[j, j] - R[N, j]   (Wołczyk et al. 2021)
    per_task = learned_after_own_stage(R) - R[-1]
    return Forgetting(per_task, mean_or_nan(per_task[:-1]), mean_or_nan(per_task))


def backward_transfer(R: ArrayLike) -> float:
    """Return how later stages changed earlier tasks, signed: negative is forgetting; R has shape (N+1, N)."""
    R = _matrix(R)
    # BWT = mean_{j<N} (R[N, j] - R[j, j])   (Lopez-Paz and Ranzato 2017)
    return mean_or_nan((R[-1] - learned_after_own_stage(R))[:-1])


def zero_shot_transfer(R: ArrayLike) -> float:
    """Return what earlier stages gave a task before its own stage began; R has shape (N+1, N)."""
    # Z = mean_{j>1} (R[j-1, j] - R[0, j])   (after CORA, Powers et al. 2022)
    return mean_or_nan(zero_shot_gains(_matrix(R))[1:])


def best_zero_shot_gains(R: ArrayLike, by_head: ArrayLike) -> Array:
    """Return what the best of all earlier heads gave each task before its own stage, shape (N,); nan for the first.

    The best is chosen by the very episodes that are reported: it is an upper bound of what choosing could give.

    Args:
        R: success rates, shape (N+1, N).
        by_head: the best success on each task before its own stage through any head trained so far, shape (N,).
    """
    # Z*_j = max_{i<j} R^i[j-1, j] - R[0, j],  R^i through the head of slot i   (ours, after CORA)
    gain: Array = np.asarray(by_head, float) - _matrix(R)[0]
    gain[:1] = np.nan
    return gain


def relative_return(G: ArrayLike) -> Array:
    """Return the share of each task's own return that is left at the end, (N,); nan where its own was not positive.

    Args:
        G: mean returns, shape (N+1, N), row 0 before any training.
    """
    G = _matrix(G)
    own = learned_after_own_stage(G)
    # G[N, j] / G[j, j]   (ours)
    share: Array = np.divide(G[-1], own, out=np.full_like(own, np.nan), where=own > 0)
    return share


def steps_forgotten(L: ArrayLike) -> Array:
    """Return how many control steps later each task succeeds at the end than after its own stage, shape (N,).

    Args:
        L: mean control steps to the first success, shape (N+1, N), row 0 before any training; an episode without
            success counts with its whole length.
    """
    L = _matrix(L)
    # L[N, j] - L[j, j]   (ours)
    later: Array = L[-1] - learned_after_own_stage(L)
    return later


def isolated_forgetting(R: ArrayLike) -> Array:
    """Return which stage hurt which skill: shape (N, N), row i-1 for stage i; nan where j >= i.

    Args:
        R: success rates, shape (N+1, N).
    """
    R = _matrix(R)
    # IF[i, j] = R[i-1, j] - R[i, j],  j < i   (CORA, Powers et al. 2022)
    drop: Array = R[:-1] - R[1:]
    drop[~np.tri(R.shape[1], k=-1, dtype=bool)] = np.nan
    return drop


def retention(R: ArrayLike, learned: float = LEARNED) -> Retention:
    """Return the share of each learned skill that is left at the end, beside the share never learned.

    Args:
        R: success rates, shape (N+1, N).
        learned: A task is learned when R[j, j] is at least this.
    """
    R = _matrix(R)
    peak = learned_after_own_stage(R)
    was_learned = peak >= learned
    # R[N, j] / R[j, j],  over the j with R[j, j] >= 0.5   (ours)
    per_task = np.divide(R[-1], peak, out=np.full_like(peak, np.nan), where=was_learned)
    earlier = per_task[:-1][was_learned[:-1]]
    share = mean_or_nan(np.where(np.isnan(peak), np.nan, ~was_learned))
    return Retention(per_task, mean_or_nan(earlier), share)


def auc(steps: ArrayLike, success: ArrayLike, start: float, end: float) -> float:
    """Return the mean of a learning curve over the window from `start` to `end`.

    The curve is linear between its points and constant beyond the first and the last. With fewer than two
    points in the window, or no window, there is no curve: nan.

    Args:
        steps: strictly increasing environment steps, shape (P,).
        success: success rates at those steps, shape (P,).
        start: step at which the window opens.
        end: step at which it closes.
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
    """Return whether what came before helped to learn each task, shape (N,); nan where the reference is perfect.

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
    """Return how well each task could still be learned in its place, (N,); nan where the reference learned nothing.

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


def _matrix(R: ArrayLike) -> Array:
    """Return R as an array, of shape (N+1, N)."""
    R = np.asarray(R, float)
    if R.ndim != 2 or R.shape[0] != R.shape[1] + 1:
        raise ValueError(f"a score matrix has shape (N+1, N), row 0 before any training; got {R.shape}")
    return R


def learned_after_own_stage(R: Array) -> Array:
    """Return R[j, j]: the success on each task after its own stage, shape (N,)."""
    peak: Array = np.diagonal(R[1:])
    return peak


def zero_shot_gains(R: Array) -> Array:
    """Return R[j-1, j] - R[0, j], shape (N,); nan for the first task, which nothing came before."""
    gain: Array = np.diagonal(R[:-1]) - R[0]
    gain[:1] = np.nan
    return gain


def mean_or_nan(values: Array) -> float:
    """Return the mean, nan of nothing (where numpy would also warn)."""
    return float(np.mean(values)) if values.size else math.nan


def mean_of_defined(values: Array) -> float:
    """Return the mean over the tasks that define it, nan where none does."""
    return mean_or_nan(values[np.isfinite(values)])
