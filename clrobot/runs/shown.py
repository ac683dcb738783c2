"""What a run shows of itself in a notebook."""

from __future__ import annotations

from clrobot.experiment.config import RunConfig
from clrobot.notebook import html_table
from clrobot.results.numbers import DASH, number
from clrobot.results.run_metrics import RunMetrics


def run_as_html(name: str, config: RunConfig, metrics: RunMetrics | None) -> str:
    """Return each skill after its own stage and now, and their means; None are the metrics of a run without any yet.

    Args:
        name: the folder's.
        config: the run's.
        metrics: the run's.
    """
    told = [name, config.curriculum.name, config.method, f"seed {config.seed}"]
    head = ("task", "after its stage", "now")
    if metrics is None:
        rows = [(slot, DASH, DASH) for slot in config.curriculum.slots]
        return html_table(", ".join([*told, "not measured yet"]), head, rows)
    if metrics.stages_done < metrics.stages:
        told.append(f"{metrics.stages_done} of {metrics.stages} stages")
    told += [f"average success {number(metrics.average_success)}", f"forgetting {number(metrics.forgetting)}"]
    rows = [(task.task, number(task.learned), number(task.final)) for task in metrics.per_task]
    return html_table(", ".join(told), head, rows)
