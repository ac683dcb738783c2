"""Forward transfer over seeds, with the spread of the runs and of the references."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from clrobot.results.metrics import Array
from clrobot.results.statistics import MANY, SEED, Estimate, Part, Statistic, aggregate, bootstrap, clipped, student


def forward_transfer_estimate(
    auc: ArrayLike,
    reference: ArrayLike,
    statistic: Statistic = "mean",
    *,
    samples: Sequence[Hashable] | None = None,
    seed: int = SEED,
) -> Estimate:
    """Return forward transfer over seeds; continual and reference runs are two samples, and both have their spread.

    The areas are made one over the seeds first and the ratio is taken of those, as Continual World does: the ratio
    of each seed would be thrown about by references close to one.

    Args:
        auc: area of each task's own stage, shape (S, N) for S continual runs.
        reference: area of the same tasks learned from scratch, shape (S', N) for at most S' references of a task; nan
            where a task has fewer. A task without any is left out.
        statistic: how seeds are made one.
        samples: which references each task's are, N of them: tasks of which this is equal, and that have as many,
            have the same runs, row by row, as one that comes again has. None: each task's are a sample of its own,
            since what is learned alone shares nothing with what else is.
        seed: of the resampling.

    Returns:
        Its `n` counts continual runs; one with an undefined area is left out and counted.
    """
    a, ref = np.atleast_2d(np.asarray(auc, float)), np.atleast_2d(np.asarray(reference, float))
    if a.ndim != 2 or ref.ndim != 2 or a.shape[1] != ref.shape[1]:
        raise ValueError(f"auc {a.shape} and reference {ref.shape} must be (S, N) and (S', N)")
    runs = len(a)
    tasks = np.isfinite(a).any(axis=0) & np.isfinite(ref).any(axis=0)
    names = [None if samples is None else samples[int(task)] for task in np.flatnonzero(tasks)]
    a, own = a[:, tasks], [ref[np.isfinite(ref[:, task]), task] for task in np.flatnonzero(tasks)]
    a = a[np.isfinite(a).all(axis=1)]
    if not tasks.any() or not len(a):
        return Estimate(None, None, None, 0, runs)

    shared = _shared(own, names)
    sample_of = {task: n for n, members in enumerate(shared) for task in members}

    def transfer(rows: Array, *drawn: Array, axis: int = -1) -> Array:
        # FT = mean_j (A_j - B_j) / (1 - B_j),  over the j with B_j < 1,  A_j and B_j the areas over the seeds
        area = aggregate(a[rows.astype(int)], statistic, axis=-2)
        references = (areas[drawn[sample_of[task]].astype(int)] for task, areas in enumerate(own))
        alone = np.stack([aggregate(areas, statistic) for areas in references], axis=-1)
        below = alone < 1
        ratio = np.divide(area - alone, 1 - alone, out=np.zeros_like(area), where=below)
        count = below.sum(axis=-1)
        mean: Array = np.divide(ratio.sum(axis=-1), count, out=np.full(count.shape, np.nan), where=count > 0)
        return mean

    rows, *each = (np.arange(count, dtype=float) for count in (len(a), *(len(own[members[0]]) for members in shared)))
    value = float(transfer(rows, *each))
    if not math.isfinite(value):
        return Estimate(None, None, None, 0, runs)
    if min(len(a), *map(len, own)) >= MANY:
        ends = bootstrap([rows, *each], transfer, seed)
    else:
        ends = student(value, _transfer_parts(a, own, shared, statistic))
    low, high = clipped(ends, (-math.inf, 1.0))
    return Estimate(value, low, high, len(a), runs - len(a))


def _shared(own: Sequence[Array], names: Sequence[Hashable | None]) -> list[list[int]]:
    """Return the tasks of each sample of references: those of one name, if they have as many; else each its own."""
    found: dict[Hashable, list[int]] = {}
    for task, (areas, name) in enumerate(zip(own, names, strict=True)):
        found.setdefault(task if name is None else (name, len(areas)), []).append(task)
    return list(found.values())


def _transfer_parts(
    a: Array, own: Sequence[Array], shared: Sequence[Sequence[int]], statistic: Statistic
) -> list[Part]:
    """Return what each continual and each reference run adds to forward transfer, to first order.

    Args:
        a: areas of the continual runs, shape (S, N).
        own: areas of each task's references, N arrays of shapes (S'_j,).
        shared: the tasks of each sample of references.
        statistic: how seeds are made one.
    """
    area, alone = aggregate(a, statistic, axis=0), np.array([float(aggregate(areas, statistic)) for areas in own])
    below = alone < 1
    count = below.sum()
    # ∂FT/∂A_j = 1 / (N (1 - B_j)),   ∂FT/∂B_j = -(1 - A_j) / (N (1 - B_j)²)
    ours = (a[:, below] / (1 - alone[below])).mean(axis=1)
    slopes = -(1 - area) / (count * np.where(below, 1 - alone, 1.0) ** 2)
    counted = [[task for task in members if below[task]] for members in shared]
    theirs = [np.sum([slopes[task] * own[task] for task in members], axis=0) for members in counted if members]
    return [Part(ours, statistic), *(Part(values, statistic) for values in theirs)]
