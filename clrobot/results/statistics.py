"""Means over seeds, and how far to trust them: 95 % percentile bootstrap intervals.

A *run* is what was drawn independently, so whole runs are drawn again: the tasks of one continual run share a
network and are no independent samples. Runs of several strata (say, two curricula) are drawn again within each.

What is undefined (nan) is left out and counted, never zero. One run gives no interval.

Sources:
    Agarwal et al. 2021, *Deep reinforcement learning at the edge of the statistical precipice*
    Efron and Tibshirani 1993, *An introduction to the bootstrap*, chapter 13 (percentile intervals)
    Wołczyk et al. 2021, *Continual World* (forward transfer)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Array = NDArray[np.float64]
Values = ArrayLike | Sequence[float | None]

# How the runs are made one number: their mean, or the mean of their middle half.
Statistic = Literal["mean", "iqm"]

CONFIDENCE = 0.95
RESAMPLES = 10_000
SEED = 0


@dataclass(frozen=True)
class Estimate:
    """A number over several runs, and the interval that says how far to trust it.

    Attributes:
        value: None where no run defines it.
        low: lower end of the interval; None with fewer than two runs.
        high: its upper end.
        n: the runs that went into it.
        undefined: the runs left out because they do not define it.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    undefined: int = 0


def estimate(values: Values, statistic: Statistic = "mean", *, seed: int = SEED) -> Estimate:
    """Return the statistic of one number from each run, with its interval.

    Args:
        values: one for each run, shape (S,); None and nan are undefined.
        statistic: the mean, or the interquartile mean.
        seed: of the resampling.
    """
    return stratified_estimate([values], statistic, seed=seed)


def stratified_estimate(strata: Sequence[Values], statistic: Statistic = "mean", *, seed: int = SEED) -> Estimate:
    """Return the statistic of all strata's values together; each stratum is resampled within itself.

    A stratum of one value has nothing to resample: then there is no interval, rather than one that is too narrow.

    Args:
        strata: the values of each stratum, shapes (S_1,), (S_2,), …; None and nan are undefined.
        statistic: the mean, or the interquartile mean.
        seed: of the resampling.
    """
    samples = [np.asarray(values, float).ravel() for values in strata]
    defined = [sample[np.isfinite(sample)] for sample in samples]
    undefined = sum(len(sample) for sample in samples) - sum(len(sample) for sample in defined)
    defined = [sample for sample in defined if len(sample)]
    if not defined:
        return Estimate(None, None, None, 0, undefined)

    def of_pooled(*parts: Array, axis: int = -1) -> Array:
        return aggregate(np.concatenate(parts, axis=axis), statistic, axis)

    value = float(of_pooled(*defined))
    low, high = _interval(defined, of_pooled, seed)
    return Estimate(value, low, high, sum(len(sample) for sample in defined), undefined)


def aggregate(values: Array, statistic: Statistic, axis: int = -1) -> Array:
    """Return the mean along an axis, or the interquartile mean: without the lowest and the highest quarter.

    Of S values floor(S / 4) are cut off at each end, so that with three or fewer the two are the same.
    """
    # IQM = mean of the values between the quartiles   (Agarwal et al. 2021, a 25 % trimmed mean)
    result: Array = np.mean(values, axis=axis) if statistic == "mean" else stats.trim_mean(values, 0.25, axis=axis)
    return np.asarray(result, float)


def forward_transfer_estimate(
    auc: ArrayLike, reference: ArrayLike, statistic: Statistic = "mean", *, seed: int = SEED
) -> Estimate:
    """Return forward transfer over seeds; continual and reference runs are resampled jointly.

    The areas are made one over the seeds first and the ratio is taken of those, as Continual World does: the ratio
    of each seed would be thrown about by references close to one.

    Args:
        auc: area of each task's own stage, shape (S, N) for S continual runs.
        reference: area of the same tasks learned from scratch, shape (S', N) for S' seeds. A task that no seed has a
            reference for is left out.
        statistic: how seeds are made one.
        seed: of the resampling.

    Returns:
        Its `n` counts continual runs; one with an undefined area is left out and counted.
    """
    a, ref = np.atleast_2d(np.asarray(auc, float)), np.atleast_2d(np.asarray(reference, float))
    if a.ndim != 2 or ref.ndim != 2 or a.shape[1] != ref.shape[1]:
        raise ValueError(f"auc {a.shape} and reference {ref.shape} must be (S, N) and (S', N)")
    runs = len(a)
    tasks = np.isfinite(a).any(axis=0) & np.isfinite(ref).any(axis=0)
    a, ref = a[:, tasks], ref[:, tasks]
    a, ref = a[np.isfinite(a).all(axis=1)], ref[np.isfinite(ref).all(axis=1)]
    if not tasks.any() or not len(a) or not len(ref):
        return Estimate(None, None, None, 0, runs)

    def transfer(rows: Array, reference_rows: Array, axis: int = -1) -> Array:
        # FT = mean_j (AUC_j - AUC_j^ref) / (1 - AUC_j^ref),  over the j whose reference is below 1
        area = aggregate(a[rows.astype(int)], statistic, axis=-2)
        own = aggregate(ref[reference_rows.astype(int)], statistic, axis=-2)
        below = own < 1
        ratio = np.divide(area - own, 1 - own, out=np.zeros_like(area), where=below)
        count = below.sum(axis=-1)
        mean: Array = np.divide(ratio.sum(axis=-1), count, out=np.full(count.shape, np.nan), where=count > 0)
        return mean

    rows, reference_rows = np.arange(len(a), dtype=float), np.arange(len(ref), dtype=float)
    value = float(transfer(rows, reference_rows))
    if not math.isfinite(value):
        return Estimate(None, None, None, 0, runs)
    low, high = _interval([rows, reference_rows], transfer, seed)
    return Estimate(value, low, high, len(a), runs - len(a))


def _interval(
    samples: Sequence[Array], statistic: Callable[..., Any], seed: int
) -> tuple[float, float] | tuple[None, None]:
    """Return the ends of the percentile interval, each sample resampled within itself."""
    if min(len(sample) for sample in samples) < 2:
        return None, None
    result = stats.bootstrap(
        samples,
        statistic,
        vectorized=True,
        axis=-1,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    drawn = result.bootstrap_distribution
    drawn = drawn[np.isfinite(drawn)]  # every reference of a draw may be perfect
    if not len(drawn):
        return None, None
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(drawn, [tail, 100 - tail])
    return float(low), float(high)
