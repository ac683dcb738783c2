"""The rows of a comparison: the runs of one method and one set of settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from clrobot.results.run_metrics import RunMetrics
from clrobot.results.statistics import Estimate
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
        tasks: for each of the values of `TASK_SECTIONS` that of each slot, by its name, in the curriculum's order.
    """

    label: str
    method: str
    runs: tuple[RunFolder, ...]
    metrics: tuple[RunMetrics, ...]
    seeds: tuple[int, ...]
    estimates: Mapping[str, Estimate]
    tasks: Mapping[str, Mapping[str, Estimate]]

    @property
    def final_success(self) -> Mapping[str, Estimate]:
        """R[N, j] of each slot, by the slot's name, in the curriculum's order."""
        return self.tasks["final"]

    def by_seed(self, metric: str) -> dict[int, float | None]:
        """Return a metric of each run, by its seed."""
        return {seed: run.value(metric) for seed, run in zip(self.seeds, self.metrics, strict=True)}

    def task_by_seed(self, metric: str, slot: int) -> dict[int, float | None]:
        """Return a metric of a slot (from 0) in each run, by its seed."""
        return {seed: getattr(run.per_task[slot], metric) for seed, run in zip(self.seeds, self.metrics, strict=True)}
