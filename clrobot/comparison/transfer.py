"""Forward transfer of a row: its runs' areas against those of the references, each a sample of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clrobot.comparison.numbers import Numbers, in_one_order, task_value
from clrobot.experiment.config import RunConfig
from clrobot.results.statistics import Estimate, Statistic
from clrobot.results.transfer_estimate import forward_transfer_estimate
from clrobot.runs.references import shipped_areas


class TransferEstimates(NamedTuple):
    """A row's forward transfer.

    Attributes:
        run: over all tasks and over those from the second on, by the metrics' names; none where each run has its
            tasks in an order of its own, whose first and later tasks are others.
        tasks: to each slot's task.
    """

    run: dict[str, Estimate]
    tasks: list[Estimate]


def transfer_estimates(
    config: RunConfig,
    runs: Sequence[Numbers],
    slots: Sequence[str],
    ends: Sequence[int],
    statistic: Statistic,
    physics: int,
) -> TransferEstimates:
    """Return a row's forward transfer.

    Args:
        config: the settings of the row's runs.
        runs: what was measured of each.
        slots: the names of the N slots, in the first run's order.
        ends: the step at which each finished stage ended.
        statistic: how seeds are made one.
        physics: the version of the physics that they were trained in.
    """

    def of_tasks(name: str) -> NDArray[np.float64]:  # (S, N) of S runs and N slots
        return np.array([[task_value(run, slot, name) for slot in slots] for run in runs], float)

    areas, references = of_tasks("auc"), of_tasks("auc_reference")
    ordered = in_one_order(runs)
    if not ordered:  # to the task that a run began with nothing could be transferred
        for s, run in enumerate(runs):
            areas[s, slots.index(run.slot_names[0])] = np.nan
    shipped = shipped_areas(config, ends, physics)
    columns = [
        _samples(references[:, n], [run.reference(run.slot_names.index(slot)) for run in runs], shipped[:, n : n + 1])
        for n, slot in enumerate(slots)
    ]
    references = np.full((max(map(len, columns)), len(slots)), np.nan)
    for n, column in enumerate(columns):
        references[: len(column), n] = column

    # What comes again in the same world is measured against the same references, cut at its stage's own steps.
    worlds = [stage.model_dump_json(exclude={"steps"}) for stage in config.curriculum.stages]

    def from_slot(first: int, end: int | None = None) -> Estimate:
        return forward_transfer_estimate(
            areas[:, first:end], references[:, first:end], statistic, samples=worlds[first:end]
        )

    return TransferEstimates(
        {"forward_transfer": from_slot(0), "forward_transfer_from_2": from_slot(1)} if ordered else {},
        [from_slot(n, n + 1) for n in range(len(slots))],
    )


def _samples(
    measured: NDArray[np.float64], kinds: Sequence[str | None], shipped: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the areas of the references of one task that the runs of a row were measured against, each one once.

    Args:
        measured: what each run was measured against, (S,); nan where nothing.
        kinds: of each: a reference of its own, or the mean of those that come with clrobot.
        shipped: those that fit it today, (S', K) with K of 1 or 0.
    """
    found = measured[np.isfinite(measured)]
    there = shipped[np.isfinite(shipped)]
    if set(kinds) == {"shipped"} and there.size:  # every run has their mean: here each stands by itself
        return there
    if "shipped" not in kinds or not found.size:
        return found
    # They are not shipped any more, or some runs have their own beside: nothing tells the spread of a mean, and of
    # one reference there is no interval.
    return np.array([found.mean()])
