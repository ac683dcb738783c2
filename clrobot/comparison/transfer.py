"""Forward transfer of a row: its runs' areas against those of the references, each a sample of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clrobot.comparison.numbers import Numbers
from clrobot.experiment.config import RunConfig
from clrobot.results.statistics import Estimate, Statistic, forward_transfer_estimate
from clrobot.runs.references import shipped_areas


class TransferEstimates(NamedTuple):
    """A row's forward transfer.

    Attributes:
        run: over all tasks and over those from the second on, by the metrics' names.
        tasks: to each slot's task.
    """

    run: dict[str, Estimate]
    tasks: list[Estimate]


def transfer_estimates(
    config: RunConfig, runs: Sequence[Numbers], slots: int, ends: Sequence[int], statistic: Statistic, physics: int
) -> TransferEstimates:
    """Return a row's forward transfer.

    Args:
        config: the settings of the row's runs.
        runs: what was measured of each.
        slots: N, how many each has.
        ends: the step at which each finished stage ended.
        statistic: how seeds are made one.
        physics: the version of the physics that they were trained in.
    """

    def of_tasks(name: str) -> NDArray[np.float64]:  # (S, N) of S runs and N slots
        return np.array([[run.task_value(slot, name) for slot in range(slots)] for run in runs], float)

    areas, references = of_tasks("auc"), of_tasks("auc_reference")
    if all(run.references == {"shipped"} for run in runs):
        # Every run has their mean, which has no spread: here each stands by itself, (S', N).
        found = shipped_areas(config, ends, physics)
        found = np.pad(found, ((0, 0), (0, slots - found.shape[1])), constant_values=np.nan)
        # Where what a row was measured against is not shipped any more, nothing tells its spread: of one reference of
        # each task there is no interval.
        measured = np.isfinite(references).any(axis=0)
        there = np.isfinite(found[:, measured]).any(axis=0).all()
        references = found if there else _one_of_each(references)

    def from_slot(first: int, end: int | None = None) -> Estimate:
        return forward_transfer_estimate(areas[:, first:end], references[:, first:end], statistic)

    return TransferEstimates(
        {"forward_transfer": from_slot(0), "forward_transfer_from_2": from_slot(1)},
        [from_slot(slot, slot + 1) for slot in range(slots)],
    )


def _one_of_each(references: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the means of what runs were measured against, (1, N); nan where none was."""
    defined = [column[np.isfinite(column)] for column in references.T]
    return np.array([[column.mean() if len(column) else np.nan for column in defined]])
