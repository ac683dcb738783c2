"""Several runs side by side: one row for each method, over its seeds, and why rows may not be comparable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clrobot.comparison.differences import Difference, paired
from clrobot.comparison.groups import Group
from clrobot.comparison.labels import labels
from clrobot.comparison.notes import differences, other_algorithms, other_seeds
from clrobot.comparison.runs import ComparedRun, read_runs, unfinished, without_doubles
from clrobot.comparison.shown import groups_as_html
from clrobot.errors import UserError
from clrobot.results.catalogue import RUN_METRICS, TASK_SECTIONS, Metric, run_metric, task_metric
from clrobot.results.statistics import Estimate, Statistic, estimate, forward_transfer_estimate
from clrobot.runs.folder import RunFolder


@dataclass(frozen=True)
class Comparison:
    """Rows, the metrics that they are compared by, and why they may not be comparable.

    Attributes:
        groups: the rows.
        differences: of each row to each baseline that there is, paired by seed.
        metrics: those of `RUN_METRICS` that are shown.
        tasks: whether what each task is at the end is shown too.
        notes: sentences.
        statistic: how the seeds of a row are made one number.
    """

    groups: tuple[Group, ...]
    differences: tuple[Difference, ...]
    metrics: tuple[Metric, ...]
    tasks: bool
    notes: tuple[str, ...]
    statistic: Statistic

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the headline numbers, without their intervals."""
        return groups_as_html(self.groups, self.metrics, self.notes, self.statistic)

    def best(self, metric: str) -> str | None:
        """Return the label of the row that is best in a metric; None where one row or none defines it.

        Of equally good rows it is the first.
        """
        leaders = [group.label for group in self.groups if self.leads(group, metric)]
        return leaders[0] if leaders else None

    def leads(self, group: Group, metric: str) -> bool:
        """Return whether no other row is better than `group` in a metric, and at least one is worse."""
        (found,) = (m for m in self.metrics if m.name == metric)
        return _leads(group.estimates[metric], [g.estimates[metric] for g in self.groups], found)

    @property
    def slots(self) -> tuple[str, ...] | None:
        """The names of the slots, in order, where all rows have the same; else None."""
        found = {tuple(group.final_success) for group in self.groups}
        return found.pop() if len(found) == 1 else None

    def leads_in_task(self, group: Group, slot: str, metric: str = "final") -> bool:
        """Return whether no other row is better than `group` in a metric of a slot at the end, and one is worse.

        Args:
            group: one of the rows.
            slot: one of `slots`.
            metric: one of the values of `TASK_SECTIONS`.
        """
        return _leads(group.tasks[metric][slot], [g.tasks[metric][slot] for g in self.groups], task_metric(metric))


def _leads(own: Estimate, every: Sequence[Estimate], metric: Metric) -> bool:
    values = [found.value for found in every if found.value is not None]
    best = max(values, default=None) if metric.better == "higher" else min(values, default=None)
    return len(set(values)) > 1 and own.value == best


def compare(folders: Sequence[RunFolder], statistic: Statistic = "mean", metrics: Sequence[str] = ()) -> Comparison:
    """Return the comparison of these runs; those that differ in the seed alone form one row.

    Args:
        folders: the runs.
        statistic: how the seeds of a row are made one number.
        metrics: the names of those of `RUN_METRICS` that are shown; none: all that were measured, and each task's.

    Raises:
        UserError: no run has a finished stage, a metric is unknown, or a file is missing or damaged.
    """
    chosen = tuple(map(run_metric, metrics)) or RUN_METRICS
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
    shown = tuple(m for m in chosen if not m.optional or metrics or any(g.estimates[m.name].n for g in groups))
    seeds = other_seeds([(group.label, group.seeds) for group in groups])
    notes = [*notes, *doubles, *unfinished(runs), *differences(runs), *seeds, *other_algorithms(runs)]
    return Comparison(groups, paired(groups), shown, not metrics, tuple(notes), statistic)


def _group(label: str, runs: Sequence[ComparedRun], statistic: Statistic) -> Group:
    metrics = tuple(run.metrics for run in runs)
    estimates = {
        m.name: estimate([run.value(m.name) for run in metrics], statistic, bounds=m.bounds) for m in RUN_METRICS
    }
    # (S, N) of S runs and N slots.
    areas = np.array([[task.auc for task in run.per_task] for run in metrics], float)
    references = np.array([[task.auc_reference for task in run.per_task] for run in metrics], float)
    estimates["forward_transfer"] = forward_transfer_estimate(areas, references, statistic)
    estimates["forward_transfer_from_2"] = forward_transfer_estimate(areas[:, 1:], references[:, 1:], statistic)
    of_each_task = list(zip(*(run.per_task for run in metrics), strict=True))
    tasks = {
        m.name: {
            each[0].task: estimate([getattr(task, m.name) for task in each], statistic, bounds=m.bounds)
            for each in of_each_task
        }
        for m in map(task_metric, TASK_SECTIONS.values())
    }
    return Group(
        label=label,
        method=runs[0].method,
        runs=tuple(run.folder for run in runs),
        metrics=metrics,
        seeds=tuple(run.seed for run in runs),
        estimates=estimates,
        tasks=tasks,
    )
