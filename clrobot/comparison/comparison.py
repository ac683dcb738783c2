"""Several runs side by side: one row for each method, over its seeds, and why rows may not be comparable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from clrobot.comparison.labels import labels
from clrobot.comparison.notes import differences, other_algorithms, other_seeds
from clrobot.comparison.runs import ComparedRun, read_runs, unfinished, without_doubles
from clrobot.errors import UserError
from clrobot.results.catalogue import RUN_METRICS, Metric
from clrobot.results.run_metrics import RunMetrics
from clrobot.results.statistics import Estimate, Statistic, estimate, forward_transfer_estimate
from clrobot.runs.folder import RunFolder


@dataclass(frozen=True)
class Group:
    """The runs of one method and one set of settings, each with a seed of its own: a row.

    Attributes:
        label: the method, and what tells it from other rows of the same method.
        method: its name.
        runs: their folders, by rising seed.
        metrics: of each run.
        seeds: of each run.
        estimates: of each of `RUN_METRICS`, by name.
        final_success: R[N, j] of each slot, by the slot's name, in the curriculum's order.
    """

    label: str
    method: str
    runs: tuple[RunFolder, ...]
    metrics: tuple[RunMetrics, ...]
    seeds: tuple[int, ...]
    estimates: Mapping[str, Estimate]
    final_success: Mapping[str, Estimate]


@dataclass(frozen=True)
class Comparison:
    """Rows, the metrics that they are compared by, and why they may not be comparable.

    Attributes:
        groups: the rows.
        metrics: those of `RUN_METRICS` that are shown.
        notes: sentences.
        statistic: how the seeds of a row are made one number.
    """

    groups: tuple[Group, ...]
    metrics: tuple[Metric, ...]
    notes: tuple[str, ...]
    statistic: Statistic

    def best(self, metric: str) -> str | None:
        """Return the label of the row that is best in a metric; None where one row or none defines it.

        Of equally good rows it is the first.
        """
        leaders = [group.label for group in self.groups if self.leads(group, metric)]
        return leaders[0] if leaders else None

    def leads(self, group: Group, metric: str) -> bool:
        """Return whether no other row is better than `group` in a metric, and at least one is worse."""
        (found,) = (m for m in self.metrics if m.name == metric)
        values = [v for g in self.groups if (v := g.estimates[metric].value) is not None]
        best = max(values, default=None) if found.better == "higher" else min(values, default=None)
        return len(set(values)) > 1 and group.estimates[metric].value == best

    @property
    def slots(self) -> tuple[str, ...] | None:
        """The names of the slots, in order, where all rows have the same; else None."""
        found = {tuple(group.final_success) for group in self.groups}
        return found.pop() if len(found) == 1 else None

    def leads_in_task(self, group: Group, slot: str) -> bool:
        """Return whether no other row ends higher than `group` in a slot, and at least one ends lower.

        Args:
            group: one of the rows.
            slot: one of `slots`.
        """
        values = [v for g in self.groups if (v := g.final_success[slot].value) is not None]
        return len(set(values)) > 1 and group.final_success[slot].value == max(values)


def compare(folders: Sequence[RunFolder], statistic: Statistic = "mean") -> Comparison:
    """Return the comparison of these runs; those that differ in the seed alone form one row.

    Raises:
        UserError: no run has a finished stage, or a file is missing or damaged.
    """
    runs, notes = read_runs(folders)
    if not runs:
        raise UserError("none of the runs has a finished stage; train first, or give other runs")
    runs, doubles = without_doubles(runs)
    rows: dict[str, list[ComparedRun]] = {}
    for run in runs:
        rows.setdefault(run.row, []).append(run)
    groups = tuple(
        _group(label, sorted(members, key=lambda run: run.seed), statistic)
        for label, members in zip(labels(list(rows.values())), rows.values(), strict=True)
    )
    measured = tuple(m for m in RUN_METRICS if not m.optional or any(g.estimates[m.name].n for g in groups))
    seeds = other_seeds([(group.label, group.seeds) for group in groups])
    notes = [*notes, *doubles, *unfinished(runs), *differences(runs), *seeds, *other_algorithms(runs)]
    return Comparison(groups, measured, tuple(notes), statistic)


def _group(label: str, runs: Sequence[ComparedRun], statistic: Statistic) -> Group:
    metrics = tuple(run.metrics for run in runs)
    estimates = {m.name: estimate([run.value(m.name) for run in metrics], statistic) for m in RUN_METRICS}
    # (S, N) of S runs and N slots.
    areas = np.array([[task.auc for task in run.per_task] for run in metrics], float)
    references = np.array([[task.auc_reference for task in run.per_task] for run in metrics], float)
    estimates["forward_transfer"] = forward_transfer_estimate(areas, references, statistic)
    final = {
        tasks[0].task: estimate([task.final for task in tasks], statistic)
        for tasks in zip(*(run.per_task for run in metrics), strict=True)
    }
    return Group(
        label=label,
        method=runs[0].method,
        runs=tuple(run.folder for run in runs),
        metrics=metrics,
        seeds=tuple(run.seed for run in runs),
        estimates=estimates,
        final_success=final,
    )
