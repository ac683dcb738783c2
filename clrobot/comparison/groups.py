"""The rows of a comparison: the runs of one method and one set of settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from clrobot.experiment.config import RunConfig
from clrobot.results.run_metrics import RunMetrics
from clrobot.results.statistics import Estimate
from clrobot.runs.folder import RunFolder


class Numbers(Protocol):
    """What was measured of a run, whether its folder is here or its numbers are published."""

    @property
    def stages_done(self) -> int:
        """How many stages are finished."""

    def value(self, name: str) -> float | None:
        """Return a metric of the run."""

    def task_value(self, slot: int, name: str) -> float | None:
        """Return a metric of a slot (from 0)."""

    @property
    def references(self) -> frozenset[str]:
        """What its forward transfer is measured against: `own`, `shipped`, both or nothing."""


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

    @property
    def final_success(self) -> Mapping[str, Estimate]:
        """R[N, j] of each slot, by the slot's name, in the curriculum's order."""
        return self.tasks["final"]

    def by_seed(self, metric: str) -> dict[int, float | None]:
        """Return a metric of each run, by its seed."""
        return {seed: run.value(metric) for seed, run in zip(self.seeds, self.numbers, strict=True)}

    def task_by_seed(self, metric: str, slot: int) -> dict[int, float | None]:
        """Return a metric of a slot (from 0) in each run, by its seed."""
        return {seed: run.task_value(slot, metric) for seed, run in zip(self.seeds, self.numbers, strict=True)}

    @property
    def reference(self) -> Literal["own", "shipped", "own and shipped"] | None:
        """What forward transfer is measured against; None where it is against nothing."""
        kinds = frozenset[str]().union(*(run.references for run in self.numbers))
        if len(kinds) == 2:
            return "own and shipped"
        return "own" if "own" in kinds else "shipped" if kinds else None
