"""Forward transfer of a row: its runs' areas against those of the references, each a sample of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clrobot.experiment.config import RunConfig
from clrobot.results.run_metrics import RunMetrics
from clrobot.results.statistics import Estimate, Statistic, forward_transfer_estimate
from clrobot.runs.references import shipped_areas


def transfer_estimates(config: RunConfig, metrics: Sequence[RunMetrics], statistic: Statistic) -> dict[str, Estimate]:
    """Return forward transfer over all tasks and over those from the second on, by their names.

    Args:
        config: the settings of the row's runs.
        metrics: of each run.
        statistic: how seeds are made one.
    """
    # (S, N) of S runs and N slots.
    areas = np.array([[task.auc for task in run.per_task] for run in metrics], float)
    references = np.array([[task.auc_reference for task in run.per_task] for run in metrics], float)
    if all(run.references == {"shipped"} for run in metrics):
        # Every run has their mean, which has no spread: here they stand seed by seed, (S', N).
        found = shipped_areas(config, metrics[0].stage_ends)
        if len(found) > 1 and np.isfinite(references[:, : found.shape[1]]).all():
            references = np.pad(found, ((0, 0), (0, references.shape[1] - found.shape[1])), constant_values=np.nan)
    return {
        "forward_transfer": forward_transfer_estimate(areas, references, statistic),
        "forward_transfer_from_2": forward_transfer_estimate(areas[:, 1:], references[:, 1:], statistic),
    }
