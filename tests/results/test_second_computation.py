"""Metrics and intervals computed a second time, another way: plain loops from the papers' formulas, another library.

The loops use neither numpy nor clrobot. They run on matrices that were published with their results, on a log that
Continual World released, and on made-up runs that go through `scores.jsonl`.
"""

from __future__ import annotations

import itertools
import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from resample import bootstrap
from support.made_up_runs import costs, score

from clrobot.results import metrics
from clrobot.results.run_metrics import run_metrics
from clrobot.results.scores import stage_ends, success_matrix
from clrobot.results.statistics import bootstrap_tail, estimate, stratified_estimate
from clrobot.results.transfer_estimate import forward_transfer_estimate
from clrobot.runs.score_book import read_scores

Rows = list[list[float]]
"""R as a list of rows, the untrained agent's first."""


# The papers' formulas, in loops ----------------------------------------------------------------------------


def average_performance(R: Rows) -> float:
    """Wołczyk et al. 2021, section 4: P(T) = 1/N Σ_i p_i(T)."""
    total = 0.0
    for p in R[-1]:
        total += p
    return total / len(R[-1])


def forgetting(R: Rows) -> list[float]:
    """Wołczyk et al. 2021: F_i = p_i(i Δ) - p_i(T), success after the task's own stage less that at the end."""
    return [R[i + 1][i] - R[-1][i] for i in range(len(R[-1]))]


def gem_backward_transfer(R: Rows) -> float:
    """Lopez-Paz and Ranzato 2017, equation 3: BWT = 1/(T-1) Σ_{i<T} R_{T,i} - R_{i,i}."""
    total = 0.0
    for i in range(len(R[-1]) - 1):
        total += R[-1][i] - R[i + 1][i]
    return total / (len(R[-1]) - 1)


def cora_zero_shot(R: Rows) -> float:
    """Powers et al. 2022: what training on earlier tasks changed on a task that is still to come."""
    gains = [R[i][i] - R[0][i] for i in range(1, len(R[-1]))]
    return sum(gains) / len(gains)


def cora_isolated_forgetting(R: Rows, i: int, j: int) -> float:
    """Powers et al. 2022: the change on task j (from 1) over stage i, before less after."""
    return R[i - 1][j - 1] - R[i][j - 1]


def area(points: list[tuple[int, float]], start: int, end: int) -> Fraction:
    """Wołczyk et al. 2021: AUC_i = 1/Δ ∫ p_i(t) dt over its stage; exact, one trapezoid after the other."""
    inside = sorted({t: p for t, p in points if start <= t <= end}.items())
    total = Fraction(0)
    for (t0, p0), (t1, p1) in itertools.pairwise(inside):
        total += Fraction(t1 - t0) * (Fraction(p0) + Fraction(p1)) / 2
    return total / (end - start)


def forward_transfer(areas: list[float], references: list[float]) -> float:
    """Wołczyk et al. 2021: FT = 1/N Σ_i (AUC_i - AUC_i^b) / (1 - AUC_i^b)."""
    total = 0.0
    for a, b in zip(areas, references, strict=True):
        total += (a - b) / (1 - b)
    return total / len(areas)


# Published with results ------------------------------------------------------------------------------------

# An example matrix of github.com/Kostis-S-Z/exploring_meta (results/cl_exp/README.md), published there with the
# average accuracy 0.413 and the forward transfer 0.18 that Díaz-Rodríguez et al. 2018 define: the means of the lower
# triangle with the diagonal, and of the upper one. Row i: after task i; it has no row of the untrained agent.
EXPLORING_META = [
    [1.0, 0.1, 0.1, 0.1, 0.2],
    [0.0, 1.0, 0.2, 0.1, 0.3],
    [0.0, 0.1, 1.0, 0.2, 0.3],
    [0.4, 0.0, 0.0, 1.0, 0.2],
    [0.1, 0.2, 0.1, 0.3, 1.0],
]

# Success on reach-v1 and push-v1 in the example log 1625817178 that Continual World released with its code
# (examples/logs/cl): eight evaluations, the first four while reach was trained; then what the log itself notes as
# their average at each.
CONTINUAL_WORLD_LOG = [
    [[0.0, 0.0], 0.0],
    [[0.0, 0.0], 0.0],
    [[0.0, 0.0], 0.0],
    [[0.0, 0.0], 0.0],
    [[0.0, 0.0], 0.0],
    [[0.0, 0.0], 0.0],
    [[0.1, 0.0], 0.05],
    [[0.1, 0.0], 0.05],
]


def test_a_published_matrix_gives_its_published_results() -> None:
    scores = [
        score(stage, 100 * stage, slot, success)
        for stage, row in enumerate([[0.0] * 5, *EXPLORING_META])
        for slot, success in enumerate(row)
    ]
    R = success_matrix(scores, 5)
    learned, drops = np.diagonal(R[1:]), np.nan_to_num(metrics.isolated_forgetting(R))
    # R[i, j] = R[j, j] less what the stages between took: the lower triangle is rebuilt from our own numbers.
    rebuilt = learned - np.cumsum(drops, axis=0)
    lower = [rebuilt[i, j] for i in range(5) for j in range(i + 1)]
    assert round(sum(lower) / len(lower), 3) == 0.413
    # Zero-shot transfer reads the element above the diagonal in each column.
    assert metrics.zero_shot_transfer(R) == pytest.approx((0.1 + 0.2 + 0.2 + 0.2) / 4)
    upper = [R[i + 1, j] for j in range(5) for i in range(j)]
    assert round(sum(upper) / len(upper), 3) == 0.18
    check_matrix(R)


def test_continual_world_s_log_gives_the_averages_noted_in_it() -> None:
    scores = []
    for n, ((reach, push), _) in enumerate(CONTINUAL_WORLD_LOG):
        stage, step = 1 + n // 4, 250 * (n + 1)
        scores += [score(stage, step, 0, reach), score(stage, step, 1, push)]
    found = run_metrics(scores, ["reach", "push"], [1000, 2000], costs(2))
    assert found.average_success == CONTINUAL_WORLD_LOG[-1][1]
    after_reach, after_push = (tuple(CONTINUAL_WORLD_LOG[n][0]) for n in (3, 7))
    assert found.success_matrix == ((None, None), after_reach, after_push)
    assert found.per_task[0].forgetting == -0.1
    for n, (_, noted) in enumerate(CONTINUAL_WORLD_LOG):
        R = [[0.0, 0.0], CONTINUAL_WORLD_LOG[3][0], CONTINUAL_WORLD_LOG[n][0]]
        assert metrics.average_success(R) == pytest.approx(noted)


# Made-up runs ----------------------------------------------------------------------------------------------


def check_matrix(R: np.ndarray) -> None:
    rows = R.tolist()
    assert metrics.average_success(R) == pytest.approx(average_performance(rows), abs=1e-12)
    assert metrics.forgetting(R).per_task == pytest.approx(forgetting(rows), abs=1e-12)
    assert metrics.forgetting(R).mean_all == pytest.approx(sum(forgetting(rows)) / len(rows[0]), abs=1e-12)
    assert metrics.backward_transfer(R) == pytest.approx(gem_backward_transfer(rows), abs=1e-12)
    assert metrics.zero_shot_transfer(R) == pytest.approx(cora_zero_shot(rows), abs=1e-12)
    drops = metrics.isolated_forgetting(R)
    for i in range(1, len(rows)):
        for j in range(1, i):
            assert drops[i - 1, j - 1] == pytest.approx(cora_isolated_forgetting(rows, i, j), abs=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_made_up_runs_through_the_file(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    slots = rng.randint(2, 6)
    ends, steps = [], 0
    for _ in range(slots):
        steps += rng.randint(10, 100) * 64
        ends.append(steps)
    starts = [0, *ends[:-1]]
    R = [[rng.randint(0, 50) / 50 for _ in range(slots)] for _ in range(slots + 1)]
    scores = [score(0, 0, j, R[0][j]) for j in range(slots)]
    curves = []
    for i in range(slots):
        between = sorted(rng.sample(range(starts[i] + 1, ends[i]), rng.randint(1, 10)))
        points = [(t, rng.randint(0, 20) / 20) for t in between]
        first = rng.randint(0, 20) / 20  # the learner's own, whatever another head had there
        scores.append(score(i + 1, starts[i], i, first))
        scores += [score(i + 1, t, i, p) for t, p in points]
        scores += [score(i + 1, ends[i], j, R[i + 1][j]) for j in range(slots)]
        curves.append([(starts[i], first), *points, (ends[i], R[i + 1][i])])
    path = tmp_path / "scores.jsonl"
    path.write_text("".join(line.to_line() for line in scores), encoding="utf-8")

    read = read_scores(path)
    references = [rng.random() * 0.9 for _ in range(slots)]
    assert stage_ends(read, slots) == ends
    found = run_metrics(read, [str(j) for j in range(slots)], ends, costs(slots), references)
    check_matrix(np.array(found.success_matrix, float))
    areas = [float(area(curve, start, end)) for curve, start, end in zip(curves, starts, ends, strict=True)]
    assert [task.auc for task in found.per_task] == pytest.approx(areas, abs=1e-12)
    assert found.average_success == pytest.approx(average_performance(R))
    assert found.forgetting_all_tasks == pytest.approx(sum(forgetting(R)) / slots)
    assert found.backward_transfer == pytest.approx(gem_backward_transfer(R))
    assert found.forward_transfer == pytest.approx(forward_transfer(areas, references))
    # One seed of each: the estimate over seeds is the run's own number.
    assert forward_transfer_estimate([areas], [references]).value == pytest.approx(found.forward_transfer)


# Intervals, by another library -----------------------------------------------------------------------------

MARGIN = 0.02
"""Two resamplings of 10,000 differ by less than this in either end: about six standard errors of a quantile here."""


@pytest.mark.parametrize("statistic", ["mean", "iqm"])
@pytest.mark.parametrize("seeds", [10, 13, 20])
def test_an_interval_is_that_of_another_library(statistic: Any, seeds: int) -> None:
    values = np.random.default_rng(seeds).beta(2, 1, size=seeds)
    cut = 0 if statistic == "mean" else seeds // 4
    expected = bootstrap.confidence_interval(
        lambda sample: np.sort(sample)[cut : seeds - cut].mean(),
        values,
        ci_method="percentile",
        cl=1 - 2 * bootstrap_tail(seeds),
        size=10_000,
        method="ordinary",
        random_state=1,
    )
    found = estimate(values, statistic)
    assert (found.low, found.high) == pytest.approx(expected, abs=MARGIN)


def test_a_stratified_interval_is_that_of_another_library() -> None:
    rng = np.random.default_rng(0)
    strata = [rng.beta(8, 2, size=10), rng.beta(2, 8, size=14)]
    expected = bootstrap.confidence_interval(
        np.mean,
        np.concatenate(strata),
        ci_method="percentile",
        cl=1 - 2 * bootstrap_tail(10),
        size=10_000,
        method="ordinary",
        strata=[0] * 10 + [1] * 14,
        random_state=1,
    )
    found = stratified_estimate(strata)
    assert (found.low, found.high) == pytest.approx(expected, abs=MARGIN)
    assert found.low is not None
    pooled = estimate(np.concatenate(strata))
    assert pooled.low is not None
    assert found.low - pooled.low > 3 * MARGIN, "the margin tells stratified from pooled"


def test_a_joint_interval_is_that_of_another_library() -> None:
    """Forward transfer of one task: seeds of the run and of the reference are two strata of one sample."""
    rng = np.random.default_rng(2)
    auc, reference = rng.uniform(0.5, 0.8, size=12), rng.uniform(0.3, 0.5, size=10)

    def transfer(both: np.ndarray) -> float:
        # Strata keep their order only in size: the reference's areas are told apart by their sign.
        own = -both[both < 0].mean()
        return (both[both > 0].mean() - own) / (1 - own)

    expected = bootstrap.confidence_interval(
        transfer,
        np.concatenate([auc, -reference]),
        ci_method="percentile",
        cl=1 - 2 * bootstrap_tail(10),
        size=10_000,
        method="ordinary",
        strata=[0] * 12 + [1] * 10,
        random_state=1,
    )
    found = forward_transfer_estimate(auc[:, None], reference[:, None])
    assert (found.low, found.high) == pytest.approx(expected, abs=MARGIN)
