"""What forward transfer could be had at all: with a perfect choice of what each new skill begins as."""

from __future__ import annotations

from clrobot.experiment.curriculum import Curriculum
from clrobot.results.numbers import number
from clrobot.runs.transfer_file import Transfer, published_transfer


def best_transfers(curriculum: Curriculum, transfer: Transfer) -> list[float] | None:
    """Return the forward transfer to each task from the second on that a perfect choice among earlier ones has.

        max(0, max_{i < j} FT(i → j))

    Zero is a fresh head's. None where there is no second task, the matrix lacks a pair, a task is in another world
    than usual, or one comes again, which would be recall.

    Args:
        curriculum: the tasks, in order.
        transfer: FT(i → j) of tasks' ids.
    """
    tasks = [stage.task for stage in curriculum.stages]
    if len({*tasks}) < max(2, len(tasks)) or any(stage.overrides for stage in curriculum.stages):
        return None
    pairs = [[(earlier, task) for earlier in tasks[:k]] for k, task in enumerate(tasks)][1:]
    if any(pair not in transfer for row in pairs for pair in row):
        return None
    return [max(0.0, *(transfer[pair] for pair in row)) for row in pairs]


def transfer_ceiling(curriculum: Curriculum, transfer: Transfer) -> float | None:
    """Return the mean of `best_transfers`, or None where it is."""
    best = best_transfers(curriculum, transfer)
    return None if best is None else sum(best) / len(best)


def ceiling_remarks(curriculum: Curriculum, measured: float | None) -> list[str]:
    """Return a sentence on what a perfect choice would reach by the published matrix, or none.

    Args:
        curriculum: a run's.
        measured: its forward transfer from the second task on; without one there is nothing to set it beside.
    """
    ceiling = None if measured is None else transfer_ceiling(curriculum, published_transfer())
    if ceiling is None:
        return []
    return [
        f"Begun as the best of the earlier tasks, or anew, skills of {curriculum.name} have a forward transfer of "
        f"{number(ceiling, signed=True)} from the second task on by the published transfer matrix "
        "(`clrobot transfer`: PPO alone, other budgets): about what a perfect choice could reach."
    ]
