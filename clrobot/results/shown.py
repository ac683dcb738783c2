"""What a run shows of itself in a notebook."""

from __future__ import annotations

from collections.abc import Sequence

from clrobot.notebook import html_table
from clrobot.results.numbers import DASH, number
from clrobot.results.run_metrics import RunMetrics


def run_as_html(told: Sequence[str], slots: Sequence[str], metrics: RunMetrics | None) -> str:
    """Return each skill after its own stage and now, and their means; None are the metrics of a run without any yet.

    Args:
        told: what the run is: its name, its method.
        slots: their names.
        metrics: the run's.
    """
    head = ("task", "after its stage", "now")
    if metrics is None:
        return html_table(", ".join([*told, "not measured yet"]), head, [(slot, DASH, DASH) for slot in slots])
    done = [] if metrics.stages_done == metrics.stages else [f"{metrics.stages_done} of {metrics.stages} stages"]
    means = [f"average success {number(metrics.average_success)}", f"forgetting {number(metrics.forgetting)}"]
    rows = [(task.task, number(task.learned), number(task.final)) for task in metrics.per_task]
    return html_table(", ".join([*told, *done, *means]), head, rows)


def damage_as_html(reason: str) -> str:
    """Return why a run shows nothing."""
    return html_table(reason, (), ())
