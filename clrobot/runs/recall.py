"""Tasks that come again: what is gained on them is recall, and is told apart from transfer."""

from __future__ import annotations

import numpy as np

from clrobot.experiment.curriculum import Curriculum
from clrobot.results.metrics import mean_of_defined
from clrobot.results.numbers import number
from clrobot.results.run_metrics import RunMetrics


def repeated(curriculum: Curriculum) -> list[bool]:
    """Return of each slot whether an earlier one has its task, in whatever world."""
    tasks = [stage.task for stage in curriculum.stages]
    return [task in tasks[:slot] for slot, task in enumerate(tasks)]


def recall_remarks(curriculum: Curriculum, metrics: RunMetrics) -> list[str]:
    """Return a sentence on which forward transfer is recall, and how much there is without it; or none.

    Args:
        curriculum: a run's.
        metrics: the run's.
    """
    done = list(zip(metrics.per_task, repeated(curriculum), strict=True))[1 : metrics.stages_done]
    names = [task.task for task, again in done if again and task.forward_transfer is not None]
    if not names:
        return []

    def mean(of_repeated: bool) -> str:
        # recall = mean of FT_j over tasks j that came before; the others from the second on have transfer alone
        found = [task.forward_transfer for task, again in done if again == of_repeated]
        return number(mean_of_defined(np.array(found, float)), signed=True)

    new = any(not again and task.forward_transfer is not None for task, again in done)
    return [
        f"{', '.join(names)} {'comes' if len(names) == 1 else 'come'} again: forward transfer to "
        f"{'it' if len(names) == 1 else 'them'} is recall, {mean(True)} in the mean"
        + (f"; to tasks that are new, from the second on, it is {mean(False)}." if new else ".")
    ]
