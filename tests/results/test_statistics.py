"""Estimates over seeds: by hand, by another way of computing them, and by what an interval promises."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from clrobot.results.statistics import Estimate, aggregate, estimate, forward_transfer_estimate, stratified_estimate

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
    values = np.random.default_rng(0).normal(size=7)
    assert estimate(values, seed=3) == estimate(values, seed=3)
    assert estimate(values, seed=3) != estimate(values, seed=4)


@pytest.mark.parametrize("statistic", ["mean", "iqm"])
def test_the_interval_is_that_of_every_possible_resample(statistic: str) -> None:
    """Five runs can be drawn in 5^5 ways: the exact percentile interval, without a random number."""
    values = np.array([0.1, 0.35, 0.4, 0.8, 0.95])
    every = np.array(list(itertools.product(values, repeat=5)))
    exact = np.percentile(aggregate(every, statistic), [2.5, 97.5])  # type: ignore[arg-type]
    found = estimate(values, statistic)  # type: ignore[arg-type]
    assert (found.low, found.high) == pytest.approx(tuple(exact), abs=0.015)


def test_strata_are_resampled_each_within_itself() -> None:
    """Two strata far apart and without spread: pooled resampling would mix them, stratified cannot."""
    apart = stratified_estimate([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    assert (apart.low, apart.value, apart.high, apart.n) == (0.5, 0.5, 0.5, 6)
    pooled = estimate([0.0, 0.0, 0.0, 1.0, 1.0, 1.0])
    assert pooled.low is not None
    assert pooled.low < 0.2


def test_a_stratum_of_one_has_nothing_to_resample() -> None:
    assert stratified_estimate([[0.1, 0.3], [0.5]]) == Estimate(pytest.approx(0.3), None, None, 3)  # type: ignore[arg-type]


def test_an_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """Of normal samples of 20 the percentile interval covers a little less than 95 %."""
    rng = np.random.default_rng(0)
    found = [estimate(rng.normal(size=20), seed=i) for i in range(200)]
    covered = np.mean([e.low <= 0 <= e.high for e in found if e.low is not None and e.high is not None])
    assert 0.88 <= covered <= 0.98


# Forward transfer ------------------------------------------------------------------------------------------


def test_forward_transfer_by_hand() -> None:
    # Areas over the seeds: 0.6 and 0.7 against 0.4 and 0.5: ((0.2 / 0.6) + (0.2 / 0.5)) / 2
    found = forward_transfer_estimate([[0.5, 0.8], [0.7, 0.6]], [[0.3, 0.5], [0.5, 0.5]])
    assert found.value == pytest.approx((0.2 / 0.6 + 0.2 / 0.5) / 2)
    assert found.n == 2
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high


def test_forward_transfer_s_interval_is_that_of_every_joint_resample() -> None:
    auc = np.array([[0.5, 0.8], [0.7, 0.6], [0.4, 0.9]])
    reference = np.array([[0.3, 0.5], [0.5, 0.55]])
    draws = []
    for rows in itertools.product(range(3), repeat=3):
        for own in itertools.product(range(2), repeat=2):
            a, r = auc[list(rows)].mean(axis=0), reference[list(own)].mean(axis=0)
            draws.append(np.mean((a - r) / (1 - r)))
    found = forward_transfer_estimate(auc, reference)
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(draws, [2.5, 97.5])), abs=0.01)


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
