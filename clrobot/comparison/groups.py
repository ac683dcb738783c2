"""The rows of a comparison: the runs of one method and one set of settings."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from clrobot.comparison.numbers import Numbers, in_one_order, task_value
from clrobot.comparison.transfer import transfer_estimates
from clrobot.experiment.config import RunConfig
from clrobot.results.catalogue import RUN_METRICS, TASK_SECTIONS, task_metric
from clrobot.results.run_metrics import RunMetrics
from clrobot.results.statistics import Estimate, Statistic, estimate
from clrobot.runs.folder import RunFolder


@dataclass(frozen=True)
class Group:
    """The runs of one method and one set of settings, each with a seed of its own: a row.

    Attributes:
        label: the method, and what tells it from other rows of the same method.
        method: its name.
        config: the settings of the first.
        runs: their folders, by rising seed; none of published ones.
        metrics: of each run whose folder is here.
        numbers: of each run.
        seeds: of each run.
        estimates: of each of `RUN_METRICS`, by name.
        tasks: for each of the values of `TASK_SECTIONS` that of each slot, by its name, in the curriculum's order.
        physics: the version of the physics that its runs were trained in.
    """

    label: str
    method: str
    config: RunConfig
    runs: tuple[RunFolder, ...]
    metrics: tuple[RunMetrics, ...]
    numbers: tuple[Numbers, ...]
    seeds: tuple[int, ...]
    estimates: Mapping[str, Estimate]
    tasks: Mapping[str, Mapping[str, Estimate]]
    physics: int

    @property
    def published(self) -> bool:
        """Whether its runs come with clrobot rather than from folders."""
        return not self.runs

    @property
    def final_success(self) -> Mapping[str, Estimate]:
        """R[N, j] of each slot, by the slot's name, in the curriculum's order."""
        return self.tasks["final"]

    @cached_property
    def measured_on(self) -> str:
        """What must agree as text where rows are set beside each other as equals.

        The curriculum but for its name, how many of its stages are done, the evaluation and the physics.
        """
        config = self.config
        curriculum = config.curriculum.planned.model_dump(mode="json", exclude={"name", "defaults"})
        return json.dumps(
            [curriculum, config.evaluation.model_dump(mode="json"), self.numbers[0].stages_done, self.physics]
        )

    def by_seed(self, metric: str) -> dict[int, float | None]:
        """Return a metric of each run, by its seed."""
        return {seed: run.value(metric) for seed, run in zip(self.seeds, self.numbers, strict=True)}

    def task_by_seed(self, metric: str, slot: str) -> dict[int, float | None]:
        """Return a metric of a slot, by its name, in each run, by its seed."""
        return {seed: task_value(run, slot, metric) for seed, run in zip(self.seeds, self.numbers, strict=True)}

    @property
    def in_one_order(self) -> bool:
        """Whether its runs have had their tasks in the same order, which each seed may have drawn for itself."""
        return in_one_order(self.numbers)

    @property
    def reference(self) -> Literal["own", "shipped", "own and shipped"] | None:
        """What forward transfer is measured against; None where it is against nothing."""
        kinds = frozenset[str]().union(*(run.references for run in self.numbers))
        if len(kinds) == 2:
            return "own and shipped"
        return "own" if "own" in kinds else "shipped" if kinds else None


def group_of(
    label: str,
    config: RunConfig,
    numbers: Sequence[Numbers],
    seeds: Sequence[int],
    slots: Sequence[str],
    ends: Sequence[int],
    statistic: Statistic,
    *,
    physics: int,
    runs: Sequence[RunFolder] = (),
    metrics: Sequence[RunMetrics] = (),
) -> Group:
    """Return a row, with its estimates.

    Args:
        label: of the row.
        config: the settings of its first run.
        numbers: of each run.
        seeds: of each run.
        slots: the slots' names, N of them, in the first run's order.
        ends: the step at which each finished stage ended.
        statistic: how the seeds are made one number.
        physics: the version of the physics that they were trained in.
        runs: their folders, if they are here.
        metrics: of each of these.
    """
    estimates = {
        m.name: estimate([run.value(m.name) for run in numbers], statistic, bounds=m.bounds) for m in RUN_METRICS
    }
    transfer = transfer_estimates(config, numbers, slots, ends, statistic, physics)
    estimates |= transfer.run
    tasks = {
        m.name: {
            name: estimate([task_value(run, name, m.name) for run in numbers], statistic, bounds=m.bounds)
            for name in slots
        }
        for m in map(task_metric, TASK_SECTIONS.values())
        if m.name != "forward_transfer"  # of which the references have a spread too
    }
    tasks["forward_transfer"] = dict(zip(slots, transfer.tasks, strict=True))
    return Group(
        label=label,
        method=config.method,
        config=config,
        runs=tuple(runs),
        metrics=tuple(metrics),
        numbers=tuple(numbers),
        seeds=tuple(seeds),
        estimates=estimates,
        tasks=tasks,
        physics=physics,
    )
