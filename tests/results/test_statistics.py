"""Estimates over seeds: by hand, by another way of computing them, and by what an interval promises."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from clrobot.results.statistics import (
    CONFIDENCE,
    Array,
    Estimate,
    Statistic,
    bootstrap_tail,
    estimate,
    least_p,
    paired_estimate,
    pointwise_interval,
    stratified_estimate,
)
from clrobot.results.transfer_estimate import forward_transfer_estimate

NAN = math.nan


def test_a_mean_and_an_interquartile_mean_by_hand() -> None:
    values = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 10.0]
    assert estimate(values).value == pytest.approx(12.1 / 8)
    assert estimate(values, "iqm").value == pytest.approx((0.2 + 0.3 + 0.4 + 0.5) / 4)


def test_three_seeds_are_too_few_to_cut_a_quarter_off() -> None:
    assert estimate([0.0, 0.5, 0.7], "iqm") == estimate([0.0, 0.5, 0.7], "mean")


def test_one_seed_has_no_interval() -> None:
    assert estimate([0.4]) == Estimate(0.4, None, None, 1)


def test_what_is_undefined_is_left_out_and_counted() -> None:
    found = estimate([0.4, None, 0.6, NAN])
    assert (found.value, found.n, found.undefined) == (0.5, 2, 2)
    assert estimate([None, NAN]) == Estimate(None, None, None, 0, 2)
    assert estimate([]) == Estimate(None, None, None, 0, 0)


def test_equal_seeds_have_an_interval_of_no_width() -> None:
    found = estimate([0.25] * 5)
    assert (found.low, found.value, found.high) == (0.25, 0.25, 0.25)


def test_the_resampling_is_seeded() -> None:
    values = np.random.default_rng(0).normal(size=12)
    assert estimate(values, seed=3) == estimate(values, seed=3)
    assert estimate(values, seed=3) != estimate(values, seed=4)


def test_below_ten_runs_the_interval_is_student_s() -> None:
    # mean 0.4, s = 0.2: 0.4 ± 4.3027 · 0.2 / √3
    found = estimate([0.2, 0.4, 0.6])
    assert (found.low, found.high) == (pytest.approx(0.4 - 0.49683, abs=1e-5), pytest.approx(0.89683, abs=1e-5))
    values = np.random.default_rng(1).normal(size=9)
    expected = stats.ttest_1samp(values, 0.0).confidence_interval()
    found = estimate(values)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    many = np.random.default_rng(1).normal(size=10)
    expected = stats.ttest_1samp(many, 0.0).confidence_interval()
    found = estimate(many)
    assert (found.low, found.high) != pytest.approx((expected.low, expected.high), rel=1e-6), "the bootstrap's"


def test_an_interval_ends_where_the_metric_does() -> None:
    found = estimate([0.8, 1.0, 1.0], bounds=(0.0, 1.0))
    assert found.high == 1.0
    assert found.low == pytest.approx(0.9333 - 4.3027 * 0.11547 / 3**0.5, abs=1e-3)
    assert estimate([0.0, 0.0, 0.3], bounds=(0.0, 1.0)).low == 0.0


def test_the_interquartile_mean_s_interval_by_hand() -> None:
    """Of eight two are cut off at each end: h = 4, and the two next to them are counted in their place."""
    values = [0.0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.9, 5.0]
    kept_and_counted = [0.2, 0.2, 0.2, 0.3, 0.4, 0.6, 0.6, 0.6]
    mean = sum(kept_and_counted) / 8
    variance = sum((v - mean) ** 2 for v in kept_and_counted) / 7
    half = stats.t.ppf(0.975, 3) * math.sqrt(7 * variance / (4 * 3))
    found = estimate(values, "iqm")
    assert found.value == pytest.approx(0.375)
    assert (found.low, found.high) == pytest.approx((0.375 - half, 0.375 + half))


@pytest.mark.parametrize("statistic", ["mean", "iqm"])
def test_the_bootstrap_s_interval_is_that_of_every_possible_resample(statistic: Statistic) -> None:
    """Of twelve runs of which seven succeed, a resample's successes are binomial: no random number is needed.

    The quartiles cut off three at each end, and leave the mean of the middle six.
    """
    tail = bootstrap_tail(12)
    assert tail == pytest.approx(stats.norm.cdf(-math.sqrt(12 / 11) * stats.t.ppf(0.975, 11)))
    counts = stats.binom.ppf([tail, 1 - tail], 12, 7 / 12)
    exact = counts / 12 if statistic == "mean" else np.clip(counts - 3, 0, 6) / 6
    found = estimate([1.0] * 7 + [0.0] * 5, statistic)
    assert (found.low, found.high) == pytest.approx(tuple(exact))


def test_strata_are_resampled_each_within_itself() -> None:
    """Two strata far apart and without spread: pooled resampling would mix them, stratified cannot."""
    apart = stratified_estimate([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    assert (apart.low, apart.value, apart.high, apart.n) == (0.5, 0.5, 0.5, 6)
    pooled = estimate([0.0, 0.0, 0.0, 1.0, 1.0, 1.0])
    assert pooled.low is not None
    assert pooled.low < 0.2


def test_a_stratum_of_one_has_nothing_to_resample() -> None:
    assert stratified_estimate([[0.1, 0.3], [0.5]]) == Estimate(pytest.approx(0.3), None, None, 3)  # type: ignore[arg-type]


@pytest.mark.parametrize(("runs", "samples"), [(3, 2000), (5, 2000), (10, 400), (20, 400)])
def test_an_interval_covers_the_truth_as_often_as_it_says(runs: int, samples: int) -> None:
    """The percentile bootstrap, which it was, covers 76 % at 3, 84 % at 5 and 90 % at 10."""
    rng = np.random.default_rng(runs)
    found = [estimate(rng.normal(size=runs), seed=i) for i in range(samples)]
    covered = np.mean([e.low <= 0 <= e.high for e in found if e.low is not None and e.high is not None])
    # Four standard errors of a share of .95 over 400 samples are .044.
    assert covered == pytest.approx(CONFIDENCE, abs=4 * math.sqrt(0.95 * 0.05 / samples))


@pytest.mark.parametrize(("runs", "samples"), [(3, 1000), (5, 1000)])
def test_paired_and_transfer_intervals_cover_too(runs: int, samples: int) -> None:
    rng = np.random.default_rng(runs)
    paired, transfer = [], []
    for _ in range(samples):
        luck = rng.normal(size=runs)  # of the seed, in both
        ours, theirs = luck + rng.normal(size=(2, runs)) / 4
        paired.append(paired_estimate(dict(enumerate(ours)), dict(enumerate(theirs))))
        auc, reference = 0.6 + rng.normal(size=(runs, 2)) / 20, 0.2 + rng.normal(size=(runs, 2)) / 20
        transfer.append((forward_transfer_estimate(auc, reference), 0.4 / 0.8))
    error = 4 * math.sqrt(0.95 * 0.05 / samples)
    covered = np.mean([e.low <= 0 <= e.high for e in paired if e.low is not None and e.high is not None])
    assert covered == pytest.approx(CONFIDENCE, abs=error)
    covered = np.mean([e.low <= t <= e.high for e, t in transfer if e.low is not None and e.high is not None])
    # Welch's degrees of freedom are an approximation, on the safe side with so few.
    assert CONFIDENCE - error <= covered <= 0.985


def test_single_seeds_of_a_curve_have_student_s_interval_at_each_point() -> None:
    values = np.array([[0.0, 0.2, 1.0], [0.0, 0.4, 1.0], [0.0, 0.6, 1.0]])
    low, high = pointwise_interval(values, bounds=(0.0, 1.0))
    assert low.tolist() == [0.0, 0.0, 1.0]
    assert high == pytest.approx([0.0, 0.89683, 1.0], abs=1e-5)
    low, high = pointwise_interval(values[:1])
    assert np.isnan([low, high]).all()
    many = np.random.default_rng(0).uniform(size=(12, 2))
    low, high = pointwise_interval(many)
    points = [estimate(column) for column in many.T]
    assert low == pytest.approx([e.low for e in points], abs=0.02)
    assert high == pytest.approx([e.high for e in points], abs=0.02)


# Differences paired by seed --------------------------------------------------------------------------------


def test_differences_are_paired_by_seed() -> None:
    ours = {0: 0.9, 1: 0.7, 2: 0.8, 7: 0.1}
    theirs = {1: 0.4, 0: 0.5, 2: 0.6, 9: 0.9}
    expected = stats.ttest_rel([0.9, 0.7, 0.8], [0.5, 0.4, 0.6]).confidence_interval()
    found = paired_estimate(ours, theirs)
    assert (found.value, found.n, found.undefined) == (pytest.approx(0.3), 3, 0)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_equal_runs_differ_by_nothing_and_the_interval_has_no_width() -> None:
    runs = {0: 0.1, 1: 0.7, 2: 0.3}
    assert paired_estimate(runs, runs) == Estimate(0.0, 0.0, 0.0, 3)


def test_what_one_of_a_pair_leaves_undefined_is_left_out_and_counted() -> None:
    found = paired_estimate({0: 0.5, 1: None, 2: 0.7}, {0: 0.5, 1: 0.2, 2: NAN})
    assert (found.value, found.low, found.n, found.undefined) == (0.0, None, 1, 2)
    assert paired_estimate({0: 0.5}, {1: 0.5}) == Estimate(None, None, None, 0)


def test_a_difference_is_at_most_as_large_as_the_metric_allows() -> None:
    found = paired_estimate({0: 1.0, 1: 1.0, 2: 0.5}, {0: 0.0, 1: 0.0, 2: 0.0}, bounds=(0.0, 1.0))
    assert found.high == 1.0


def test_the_least_p_of_paired_differences() -> None:
    for pairs, expected in ((1, 1.0), (3, 0.25), (5, 0.0625), (6, 0.03125)):
        assert least_p(pairs) == expected
    differences = [0.2, 0.3, 0.25, 0.4, 0.1, 0.35]
    assert stats.wilcoxon(differences, method="exact").pvalue == pytest.approx(least_p(6))


# Forward transfer ------------------------------------------------------------------------------------------


def test_forward_transfer_by_hand() -> None:
    # Areas over the seeds: 0.6 and 0.7 against 0.4 and 0.5: ((0.2 / 0.6) + (0.2 / 0.5)) / 2
    found = forward_transfer_estimate([[0.5, 0.8], [0.7, 0.6]], [[0.3, 0.5], [0.5, 0.5]])
    assert found.value == pytest.approx((0.2 / 0.6 + 0.2 / 0.5) / 2)
    assert found.n == 2
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high


def test_forward_transfer_s_interval_is_welch_s_to_first_order() -> None:
    """The slope of FT in each run's area, by finite differences: a change of one run moves its mean by a share."""
    auc = np.array([[0.5, 0.8], [0.7, 0.6], [0.4, 0.9]])
    reference = np.array([[0.3, 0.5], [0.5, 0.55], [0.45, 0.4], [0.2, 0.6]])

    def transfer(a: Array, r: Array) -> float:
        return float(np.mean((a.mean(axis=0) - r.mean(axis=0)) / (1 - r.mean(axis=0))))

    def slopes(which: int) -> Array:
        areas = (auc, reference)[which]
        found = np.zeros(areas.shape)
        for index in np.ndindex(areas.shape):
            nudged = [auc.copy(), reference.copy()]
            nudged[which][index] += 1e-6
            found[index] = (transfer(*nudged) - transfer(auc, reference)) / 1e-6
        return found * areas * len(areas)

    # A run's tasks share a network; what is learned alone, by task and seed, shares nothing.
    parts = [slopes(0).sum(axis=1), *slopes(1).T]
    variances = [part.var(ddof=1) / len(part) for part in parts]
    freedoms = [len(part) - 1 for part in parts]
    freedom = sum(variances) ** 2 / sum(v**2 / f for v, f in zip(variances, freedoms, strict=True))
    half = stats.t.ppf(0.975, freedom) * math.sqrt(sum(variances))
    found = forward_transfer_estimate(auc, reference)
    assert found.value == pytest.approx(transfer(auc, reference))
    assert (found.low, found.high) == pytest.approx((found.value - half, min(1.0, found.value + half)), abs=1e-4)


def test_each_task_s_references_are_a_sample_of_their_own() -> None:
    auc = [[0.5, 0.8], [0.7, 0.6], [0.6, 0.7]]
    uneven = forward_transfer_estimate(auc, [[0.3, 0.5], [0.5, 0.6], [NAN, 0.4], [NAN, 0.3]])
    assert uneven.value == pytest.approx((0.2 / 0.6 + 0.25 / 0.55) / 2)
    fewer = forward_transfer_estimate(auc, [[0.3, 0.5], [0.5, 0.6]])
    assert fewer.value == pytest.approx((0.2 / 0.6 + 0.15 / 0.45) / 2)
    # Which of one task's stands beside which of another's says nothing.
    moved = forward_transfer_estimate(auc, [[0.5, 0.3], [NAN, 0.6], [0.3, 0.4], [NAN, 0.5]])
    assert (moved.value, moved.low, moved.high) == pytest.approx((uneven.value, uneven.low, uneven.high))


@pytest.mark.parametrize("runs", [3, 12])
def test_a_task_that_comes_again_has_the_same_references_once_more(runs: int) -> None:
    """Twice the same task, learned as well: no more is known than by one, however often its references are there."""
    generator = np.random.default_rng(4)
    auc, reference = generator.uniform(0.5, 0.52, (runs, 1)), generator.uniform(0.2, 0.5, (10, 1))
    once = forward_transfer_estimate(auc, reference)
    twice, alone = np.repeat(auc, 2, axis=1), np.repeat(reference, 2, axis=1)
    shared = forward_transfer_estimate(twice, alone, samples=["push", "push"])
    assert (shared.value, shared.low, shared.high) == pytest.approx((once.value, once.low, once.high))
    apart = forward_transfer_estimate(twice, alone, samples=["push", "reach"])
    assert apart == forward_transfer_estimate(twice, alone)
    assert None not in (apart.low, apart.high, once.low, once.high)
    assert apart.high - apart.low < once.high - once.low  # type: ignore[operator]


def test_references_cut_at_a_stage_s_own_steps_are_the_same_runs() -> None:
    generator = np.random.default_rng(5)
    auc, first = generator.uniform(0.5, 0.6, (4, 2)), generator.uniform(0.2, 0.5, (10, 1))
    found = forward_transfer_estimate(auc, np.hstack([first, first + 0.001]), samples=["push", "push"])
    once = forward_transfer_estimate(auc, np.hstack([first, first]), samples=["push", "push"])
    assert None not in (found.low, found.high, once.low, once.high)
    assert found.high - found.low == pytest.approx(once.high - once.low, rel=0.02)  # type: ignore[operator]


def test_a_reference_without_spread_leaves_the_runs_own_interval() -> None:
    auc = [[0.6], [0.7], [0.65]]
    expected = stats.ttest_1samp([(a[0] - 0.4) / 0.6 for a in auc], 0.0).confidence_interval()
    found = forward_transfer_estimate(auc, [[0.4], [0.4], [0.4]])
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_the_references_spread_widens_the_interval() -> None:
    auc = [[0.6], [0.7], [0.65], [0.62]]
    sure = forward_transfer_estimate(auc, [[0.4], [0.4], [0.4], [0.4]])
    unsure = forward_transfer_estimate(auc, [[0.2], [0.6], [0.3], [0.5]])
    assert sure.low is not None
    assert sure.high is not None
    assert unsure.low is not None
    assert unsure.high is not None
    assert unsure.high - unsure.low > 2 * (sure.high - sure.low)


def test_forward_transfer_without_a_reference_is_undefined() -> None:
    assert forward_transfer_estimate([[0.5, 0.8]], [[NAN, NAN]]) == Estimate(None, None, None, 0, 1)


def test_forward_transfer_leaves_out_what_has_no_reference_or_a_perfect_one() -> None:
    found = forward_transfer_estimate([[0.6, 0.9, 0.5], [0.6, 0.9, 0.5]], [[0.2, 1.0, NAN], [0.2, 1.0, NAN]])
    assert found.value == pytest.approx(0.5)
    perfect = forward_transfer_estimate([[0.9], [0.9]], [[1.0], [1.0]])
    assert perfect == Estimate(None, None, None, 0, 2)


def test_a_run_whose_stage_has_no_curve_is_left_out_and_counted() -> None:
    found = forward_transfer_estimate([[0.6, NAN], [0.6, 0.6], [0.6, 0.6]], [[0.2, 0.2], [0.2, 0.2]])
    assert (found.value, found.n, found.undefined) == (pytest.approx(0.5), 2, 1)


def test_one_seed_of_references_gives_no_interval() -> None:
    found = forward_transfer_estimate([[0.6], [0.7]], [[0.2]])
    assert (found.value, found.low, found.high) == (pytest.approx(0.45 / 0.8), None, None)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2, 1\) and reference \(1, 2\)"):
        forward_transfer_estimate([[0.6], [0.7]], [[0.2, 0.3]])
