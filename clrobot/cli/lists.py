"""The verbs that list what there is."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from clrobot.cli.common import at_least, open_console


def tasks() -> None:
    """List the tasks."""
    from clrobot.envs.tasks import TASKS

    table = Table("task", "Gymnasium id", "what it is")
    for task in TASKS:
        table.add_row(task.id, task.gym_id(), (task.__doc__ or "").splitlines()[0])
    open_console().print(table)


def sheet(out: Path = Path("videos/tasks.png"), size: int = 150, columns: int = 4, seed: int = 0) -> None:
    """Draw every task on one sheet: its start, and solved by its expert.

    Args:
        out: the PNG file to write.
        size: of each picture, in pixels.
        columns: tasks in a row.
        seed: of the start states.
    """
    from clrobot.envs.rendering import default_backend
    from clrobot.envs.tasks import TASKS
    from clrobot.films.sheet import write_sheet

    at_least(size, "--size", 16)
    at_least(columns, "--columns")
    at_least(seed, "--seed", 0)
    default_backend()  # refused before anything is made
    write_sheet(out, TASKS, size=size, columns=columns, seed=seed)
    open_console().print(str(out), highlight=False, soft_wrap=True)


def methods() -> None:
    """List the continual-learning methods."""
    from clrobot.agents.methods import METHODS

    table = Table("method", "what it does")
    for method in METHODS:
        table.add_row(method.name, method.summary)
    open_console().print(table)


def curricula() -> None:
    """List the curricula."""
    from clrobot.experiment.curricula import CURRICULA

    table = Table("curriculum", "stages (task, control steps)")
    for curriculum in CURRICULA.values():
        table.add_row(curriculum.name, ", ".join(map(str, curriculum.stages)))
    open_console().print(table)
