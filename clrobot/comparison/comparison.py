"""Several runs side by side: one row for each method, over its seeds, and why rows may not be comparable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clrobot.comparison.differences import Difference, paired
from clrobot.comparison.groups import Group, group_of
from clrobot.comparison.labels import labels
from clrobot.comparison.notes import differences, other_algorithms, other_seeds
from clrobot.comparison.published import published_groups, published_notes, same_curricula
from clrobot.comparison.runs import ComparedRun, read_runs, unfinished, without_doubles
from clrobot.comparison.shown import groups_as_html
from clrobot.errors import UserError
from clrobot.published.results import PublishedRun
from clrobot.results.catalogue import RUN_METRICS, Metric, run_metric, task_metric
from clrobot.results.statistics import Estimate, Statistic
from clrobot.runs.folder import RunFolder
from clrobot.runs.references import noted_physics


@dataclass(frozen=True)
class Comparison:
    """Rows, the metrics that they are compared by, and why they may not be comparable.

    Attributes:
        groups: the rows.
        differences: of each row to each baseline that there is, paired by seed.
        metrics: those of `RUN_METRICS` that are shown.
        tasks: whether what each task is at the end is shown too.
        notes: sentences.
        remarks: what else must be said: against what forward transfer is measured.
        statistic: how the seeds of a row are made one number.
    """

    groups: tuple[Group, ...]
    differences: tuple[Difference, ...]
    metrics: tuple[Metric, ...]
    tasks: bool
    notes: tuple[str, ...]
    remarks: tuple[str, ...]
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
        """Return whether no other row is better than `group` in a metric, and at least one is worse.

        Rows that were measured on something else, or have not come as far, are no rivals.
        """
        (found,) = (m for m in self.metrics if m.name == metric)
        return _leads(group.estimates[metric], [g.estimates[metric] for g in self._rivals(group)], found)

    def _rivals(self, group: Group) -> list[Group]:
        return [other for other in self.groups if other.measured_on == group.measured_on]

    @property
    def slots(self) -> tuple[str, ...] | None:
        """The names of the slots, in order, where all rows have the same; else None."""
        found = {tuple(group.final_success) for group in self.groups}
        return found.pop() if len(found) == 1 else None

    @property
    def later_slots(self) -> tuple[str, ...] | None:
        """The names of those slots to which something could be transferred: of rows in one order not the first."""
        ordered = all(group.in_one_order for group in self.groups)
        return self.slots if self.slots is None or not ordered else self.slots[1:]

    def leads_in_task(self, group: Group, slot: str, metric: str = "final") -> bool:
        """Return whether no other row is better than `group` in a metric of a slot at the end, and one is worse.

        Args:
            group: one of the rows.
            slot: one of `slots`.
            metric: one of the values of `TASK_SECTIONS`.
        """
        found = [rival.tasks[metric][slot] for rival in self._rivals(group)]
        return _leads(group.tasks[metric][slot], found, task_metric(metric))


def _leads(own: Estimate, every: Sequence[Estimate], metric: Metric) -> bool:
    values = [found.value for found in every if found.value is not None]
    best = max(values, default=None) if metric.better == "higher" else min(values, default=None)
    return len(set(values)) > 1 and own.value == best


def compare(
    folders: Sequence[RunFolder],
    statistic: Statistic = "mean",
    metrics: Sequence[str] = (),
    published: Sequence[PublishedRun] | None = None,
) -> Comparison:
    """Return the comparison of these runs; those that differ in the seed alone form one row.

    Args:
        folders: the runs.
        statistic: how the seeds of a row are made one number.
        metrics: the names of those of `RUN_METRICS` that are shown; none: all that were measured, and each task's.
        published: also show rows of those of these runs that have the same curricula.

    Raises:
        UserError: no run has a finished stage, a metric is unknown, a file is missing or damaged, or of what is
            published none has a curriculum of the runs, or one is among them.
    """
    for name in metrics:
        run_metric(name)  # refused before anything is read
    runs, notes = read_runs(folders)
    if not runs:
        raise UserError("none of the runs has a finished stage; train first, or give other runs")
    runs, doubles = without_doubles(runs)
    rows: dict[str, list[ComparedRun]] = {}
    for run in runs:
        rows.setdefault(run.row, []).append(run)
    groups = [
        _group(label, sorted(members, key=lambda run: run.seed), statistic)
        for label, members in zip(labels(list(rows.values())), rows.values(), strict=True)
    ]
    notes = [*notes, *doubles, *unfinished(runs), *differences(runs)]
    if published is not None:
        same = same_curricula(runs, published)
        groups += published_groups(same, statistic)
        notes += published_notes(runs, same)
    notes += [*other_seeds([(group.label, group.seeds) for group in groups]), *other_algorithms(runs)]
    remarks = dict.fromkeys(remark for run in runs for remark in run.remarks)
    return compared(groups, statistic, metrics, notes, tuple(remarks))


def compared(
    groups: Sequence[Group],
    statistic: Statistic,
    metrics: Sequence[str] = (),
    notes: Sequence[str] = (),
    remarks: Sequence[str] = (),
) -> Comparison:
    """Return the comparison of these rows; the other arguments are as its attributes, and as those of `compare`."""
    chosen = tuple(map(run_metric, metrics)) or RUN_METRICS
    shown = tuple(m for m in chosen if not m.optional or metrics or any(g.estimates[m.name].n for g in groups))
    return Comparison(tuple(groups), paired(groups), shown, not metrics, tuple(notes), tuple(remarks), statistic)


def _group(label: str, runs: Sequence[ComparedRun], statistic: Statistic) -> Group:
    metrics = tuple(run.metrics for run in runs)
    return group_of(
        label,
        runs[0].folder.config,
        metrics,
        [run.seed for run in runs],
        metrics[0].slot_names,
        metrics[0].stage_ends,
        statistic,
        physics=noted_physics(runs[0].folder),
        runs=[run.folder for run in runs],
        metrics=metrics,
    )
