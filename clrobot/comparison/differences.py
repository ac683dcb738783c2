"""Differences between methods, paired by seed: what a claim that one is better rests on.

Runs of one seed have the same start states, so that what is luck in both falls out of their difference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from clrobot.comparison.groups import Group
from clrobot.comparison.numbers import Numbers, task_value
from clrobot.comparison.runs import NOT_COMPARED
from clrobot.results.catalogue import RUN_METRICS, task_metric
from clrobot.results.metrics import LEARNED
from clrobot.results.statistics import Estimate, paired_estimate

# What every method is set against: no protection at all, and the plainest protection that there is.
BASELINES: Final = ("finetune", "frozen-copies")


@dataclass(frozen=True)
class Difference:
    """A row less a baseline's.

    Attributes:
        group: the row.
        baseline: the row of the baseline.
        seeds: those that both have.
        estimates: of each of `RUN_METRICS`, by name; a seed whose two runs define a mean for other tasks is left out.
        final_success: of success on each task at the end, by the slot's name.
    """

    group: Group
    baseline: Group
    seeds: tuple[int, ...]
    estimates: Mapping[str, Estimate]
    final_success: Mapping[str, Estimate]

    def samples(self, metric: str) -> list[float | None]:
        """Return the difference of each seed in a metric; None where one of the two does not define it."""
        ours, theirs = _of_same_tasks(self.group, self.baseline, metric), self.baseline.by_seed(metric)
        pairs = [(ours[seed], theirs[seed]) for seed in self.seeds]
        return [None if a is None or b is None else a - b for a, b in pairs]


def paired(groups: Sequence[Group]) -> tuple[Difference, ...]:
    """Return the differences of the rows to each baseline among them, baseline by baseline.

    A row is set against the baseline of the same curriculum, evaluation and physics, and of several against the one
    with the same settings but for the method's own; one that has no seed in common with it is left out.
    """
    found = []
    for method in BASELINES:
        baselines = [group for group in groups if group.method == method]
        for group in groups:
            baseline = None if group.method == method else _baseline_of(group, baselines)
            if baseline is not None and (seeds := tuple(s for s in group.seeds if s in baseline.seeds)):
                found.append(_difference(group, baseline, seeds))
    return tuple(found)


def _baseline_of(group: Group, baselines: Sequence[Group]) -> Group | None:
    comparable = [other for other in baselines if other.measured_on == group.measured_on]
    # Where published runs have the baseline too, a user's own comes first.
    comparable = [other for other in comparable if other.published == group.published] or comparable
    alike = [other for other in comparable if _shared_settings(other) == _shared_settings(group)]
    for candidates in (alike, comparable):
        if len(candidates) == 1:
            return candidates[0]
    return None


class _Over(NamedTuple):
    """Which of a run's tasks a mean is over: those of which a number is there, and is so."""

    number: str
    is_so: Callable[[float], bool] = lambda value: True
    first: bool = True  # whether the first task is one of them
    last: bool = True

    def tasks(self, run: Numbers) -> set[str]:
        """Return them by name."""
        slots = list(run.slot_names[: run.stages_done])[(0 if self.first else 1) : (None if self.last else -1)]
        values = {slot: task_value(run, slot, self.number) for slot in slots}
        return {slot for slot, value in values.items() if value is not None and self.is_so(value)}


# Means over the tasks that define them: where two runs define one for other tasks, the difference of their means is
# one of tasks too. By numbers that are published as well.
_OVER_TASKS: Final = {
    "retention": _Over("learned", lambda learned: learned >= LEARNED, last=False),
    "relative_return": _Over("relative_return", last=False),
    "forgetting_return": _Over("relative_return", last=False),
    "forward_transfer": _Over("forward_transfer"),
    "forward_transfer_from_2": _Over("forward_transfer", first=False),
    "plasticity": _Over("auc_reference", lambda area: area > 0),
}


def _of_same_tasks(group: Group, other: Group, metric: str) -> dict[int, float | None]:
    """Return a metric of each of a row's runs, by its seed; None where the other row's run is of other tasks."""
    values = group.by_seed(metric)
    if (over := _OVER_TASKS.get(metric)) is None:
        return values
    ours, theirs = (
        {seed: over.tasks(run) for seed, run in zip(row.seeds, row.numbers, strict=True)} for row in (group, other)
    )
    return {seed: value if ours[seed] == theirs.get(seed, ours[seed]) else None for seed, value in values.items()}


def _difference(group: Group, baseline: Group, seeds: tuple[int, ...]) -> Difference:
    final = task_metric("final")
    return Difference(
        group=group,
        baseline=baseline,
        seeds=seeds,
        estimates={
            m.name: paired_estimate(
                _of_same_tasks(group, baseline, m.name), baseline.by_seed(m.name), bounds=m.bounds
            )
            for m in RUN_METRICS
        },
        final_success={
            slot: paired_estimate(
                group.task_by_seed(final.name, slot), baseline.task_by_seed(final.name, slot), bounds=final.bounds
            )
            for slot in group.final_success
        },
    )


def _shared_settings(group: Group) -> dict[str, Any]:
    from clrobot.agents.methods import METHODS_BY_NAME
    from clrobot.experiment.config import settings_in_use

    left_out = {*NOT_COMPARED, *METHODS_BY_NAME}
    return {name: value for name, value in settings_in_use(group.config).items() if name not in left_out}
