"""What must be said of a run's forward transfer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clrobot.experiment.config import RunConfig
from clrobot.published.provenance import physics_of, version_of
from clrobot.results.run_metrics import RunMetrics
from clrobot.runs.ceiling import ceiling_remarks
from clrobot.runs.recall import recall_remarks
from clrobot.runs.references import reference_remarks


def transfer_remarks(config: RunConfig, metrics: RunMetrics, environment: Mapping[str, Any]) -> list[str]:
    """Return what it is measured against, which of it is recall, and what could be had at all: sentences.

    Args:
        config: the run's settings.
        metrics: the run's.
        environment: what the run was made with.
    """
    torch = version_of(environment, "torch") or "not noted"
    return [
        *reference_remarks(config, metrics, torch, physics_of(environment)),
        *recall_remarks(config.curriculum, metrics),
        *ceiling_remarks(config.curriculum, metrics.forward_transfer_from_2),
    ]
