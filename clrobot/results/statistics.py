"""Means over seeds, and how far to trust them: 95 % intervals.

A *run* is what was drawn independently: the tasks of one continual run share a network and are no independent
samples. Runs of several strata (say, a method's and its references') are each independent of the others'.

Below MANY runs the interval is Student's t: there the percentile bootstrap is too narrow (of three numbers it is
exactly [least, greatest], and covers the mean of a normal sample in 76 % of cases, not 95). From MANY on it is the
bootstrap's, which asks for no shape of distribution, with percentiles far enough out that it covers as often as it
says (Hesterberg 2015). An interval ends where the metric does.

What is undefined (nan) is left out and counted, never zero. One run gives no interval; equal runs give one without
width.

Sources:
    Agarwal et al. 2021, *Deep reinforcement learning at the edge of the statistical precipice*
    Hesterberg 2015, *What teachers should know about the bootstrap*, section 4.3
    Welch 1947, *The generalization of 'Student's' problem* (degrees of freedom of several strata)
    Wołczyk et al. 2021, *Continual World* (forward transfer)
    Yuen 1974, *The two-sample trimmed t for unequal population variances* (interquartile mean)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clrobot.deferred import Deferred

if TYPE_CHECKING:
    from scipy import stats
else:
    stats = Deferred("scipy.stats")  # half a second, which a training and its page do not need

Array = NDArray[np.float64]
Values = ArrayLike | Sequence[float | None]

# How the runs are made one number: their mean, or the mean of their middle half.
Statistic = Literal["mean", "iqm"]

CONFIDENCE = 0.95
MANY = 10  # runs from which an interval is the bootstrap's
RESAMPLES = 10_000
CURVE_RESAMPLES = 2_000  # of a curve, which has as many intervals as points
SEED = 0
UNBOUNDED = (-math.inf, math.inf)


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


def estimate(
    values: Values, statistic: Statistic = "mean", *, bounds: tuple[float, float] = UNBOUNDED, seed: int = SEED
) -> Estimate:
    """Return the statistic of one number from each run, with its interval.

    Args:
        values: one for each run, shape (S,); None and nan are undefined.
        statistic: the mean, or the interquartile mean.
        bounds: the least and the most that the number can be; an interval ends there.
        seed: of the resampling.
    """
    return stratified_estimate([values], statistic, bounds=bounds, seed=seed)


def stratified_estimate(
    strata: Sequence[Values],
    statistic: Statistic = "mean",
    *,
    bounds: tuple[float, float] = UNBOUNDED,
    seed: int = SEED,
) -> Estimate:
    """Return the statistic of all strata's values together, each stratum a sample of its own.

    A stratum of one value has no spread to be seen: then there is no interval, rather than one that is too narrow.

    Args:
        strata: the values of each stratum, shapes (S_1,), (S_2,), …; None and nan are undefined.
        statistic: the mean, or the interquartile mean.
        bounds: the least and the most that the number can be.
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

    value, count = float(of_pooled(*defined)), sum(len(sample) for sample in defined)
    if min(map(len, defined)) >= MANY:
        ends = bootstrap(defined, of_pooled, seed)
    elif len(defined) > 1 and statistic == "iqm":
        ends = None  # what is cut off is cut off of all together: no sum over strata
    else:
        parts = [Part(sample * len(sample) / count, statistic) for sample in defined]
        ends = student(value, parts)
    low, high = clipped(ends, bounds)
    return Estimate(value, low, high, count, undefined)


def paired_estimate(
    ours: Mapping[int, float | None],
    theirs: Mapping[int, float | None],
    *,
    bounds: tuple[float, float] = UNBOUNDED,
) -> Estimate:
    """Return the mean difference of runs with the same seed, ours less theirs, with its t interval.

    Args:
        ours: a number by seed; None and nan are undefined.
        theirs: the same of the other method.
        bounds: of the number itself.

    Returns:
        Its `n` counts the seeds that both have and define; what seeds in common leave undefined is counted too.
    """
    pairs = [(ours[seed], theirs[seed]) for seed in ours if seed in theirs]
    # D = mean_s (x_s - y_s),  D ± t_{S-1} √(Var(x_s - y_s) / S)
    values = [np.nan if None in pair else pair[0] - pair[1] for pair in pairs]  # type: ignore[operator]
    sample = np.asarray(values, float)
    sample = sample[np.isfinite(sample)]
    if not len(sample):
        return Estimate(None, None, None, 0, len(values))
    value, (least, most) = float(sample.mean()), bounds
    low, high = clipped(student(value, [Part(sample, "mean")]), (least - most, most - least))
    return Estimate(value, low, high, len(sample), len(values) - len(sample))


def least_p(pairs: int) -> float:
    """Return the least two-sided p that a test of so many paired differences can give without asking for a shape."""
    # Of the 2^n ways to turn the differences' signs, only the observed one and its mirror image are as extreme.
    return 2.0 ** (1 - pairs)


def aggregate(values: Array, statistic: Statistic, axis: int = -1) -> Array:
    """Return the mean along an axis, or the interquartile mean: without the lowest and the highest quarter.

    Of S values floor(S / 4) are cut off at each end, so that with three or fewer the two are the same.
    """
    # IQM = mean of the values between the quartiles   (Agarwal et al. 2021, a 25 % trimmed mean)
    result: Array = np.mean(values, axis=axis) if statistic == "mean" else stats.trim_mean(values, 0.25, axis=axis)
    return np.asarray(result, float)


def pointwise_interval(
    values: Array, statistic: Statistic = "mean", *, bounds: tuple[float, float] = UNBOUNDED
) -> tuple[Array, Array]:
    """Return the ends of the interval at each point of a curve, each (P,); nan of one run.

    Args:
        values: of each run at each point, shape (S, P).
        statistic: how the runs are made one.
        bounds: the least and the most that a value can be.
    """
    runs = len(values)
    if runs < MANY:
        ends = [estimate(column, statistic, bounds=bounds) for column in values.T]
        return np.array([e.low for e in ends], float), np.array([e.high for e in ends], float)
    # Whole runs are drawn again: (B, S) of them, hence (B, P) curves.
    rows = np.random.default_rng(SEED).integers(runs, size=(CURVE_RESAMPLES, runs))
    drawn = aggregate(values[rows], statistic, axis=1)
    tail = 100 * bootstrap_tail(runs)
    low, high = np.clip(np.percentile(drawn, [tail, 100 - tail], axis=0), *bounds)
    return low, high


class Part(NamedTuple):
    """One sample's part of an estimate: what each of its runs adds, and how they are made one."""

    values: Array  # (S,)
    statistic: Statistic

    def variance(self) -> tuple[float, int]:
        """Return the variance of the part's mean, and its degrees of freedom.

        For the mean it is s² / S with S - 1. For the interquartile mean, which cuts off g = floor(S / 4) at each end,
        it is Yuen's, with the variance s_w² of the sample whose cut values are those next to them:

            (S - 1) s_w² / ((S - 2g) (S - 2g - 1)),   S - 2g - 1 degrees of freedom
        """
        count = len(self.values)
        cut = count // 4 if self.statistic == "iqm" else 0
        kept = count - 2 * cut
        ordered = np.sort(self.values)
        spread = float(np.var(np.clip(ordered, ordered[cut], ordered[count - 1 - cut]), ddof=1))
        return (count - 1) * spread / (kept * (kept - 1)), kept - 1


def student(value: float, parts: Sequence[Part]) -> tuple[float, float] | None:
    """Return the ends of Student's t interval of a sum of independent parts; None where one of them is of one run."""
    if min(len(part.values) for part in parts) < 2:
        return None
    variances, freedoms = zip(*(part.variance() for part in parts), strict=True)
    total = sum(variances)
    if total <= (1e-9 * max(1.0, abs(value))) ** 2:
        return value, value  # equal but for rounding
    # ν = (Σ v_i)² / Σ v_i² / ν_i   (Welch 1947);  value ± t_ν √(Σ v_i)
    freedom = total**2 / sum(v**2 / f for v, f in zip(variances, freedoms, strict=True))
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * math.sqrt(total)
    return value - half, value + half


def bootstrap(samples: Sequence[Array], statistic: Callable[..., Any], seed: int) -> tuple[float, float] | None:
    """Return the ends of the expanded percentile interval, each sample resampled within itself."""
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
        return None
    tail = 100 * bootstrap_tail(min(len(sample) for sample in samples))
    low, high = np.percentile(drawn, [tail, 100 - tail])
    return float(low), float(high)


def bootstrap_tail(runs: int) -> float:
    """Return the share of resamples beyond each end of the interval of so many runs (Hesterberg 2015, section 4.3).

    Resamples spread less than samples, by √((S - 1) / S), and know nothing of t's longer tails. So instead of
    α / 2 = .025:

        α' / 2 = Φ(-√(S / (S - 1)) t_{1 - α/2, S - 1})        S = 10: .009,  S = 20: .016,  S = 100: .023
    """
    t = stats.t.ppf((1 + CONFIDENCE) / 2, runs - 1)
    return float(stats.norm.cdf(-math.sqrt(runs / (runs - 1)) * t))


def clipped(ends: tuple[float, float] | None, bounds: tuple[float, float]) -> tuple[float, float] | tuple[None, None]:
    """Return the ends of an interval within the least and the most that a value can be; none where there is none."""
    if ends is None:
        return None, None
    least, most = bounds
    return min(max(ends[0], least), most), min(max(ends[1], least), most)
