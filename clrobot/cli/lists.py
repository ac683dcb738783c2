"""The verbs that list what there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clrobot.cli.common import Column, Format, at_least, open_console, show_rows

_NO_DOCSTRING = "(PYTHONOPTIMIZE=2 leaves descriptions out)"


def tasks(format: Format = "table") -> None:
    """List the tasks.

    Args:
        format: the terminal's table, or json for a program.
    """
    from clrobot.envs.tasks import TASKS

    rows = [
        {"task": task.id, "gymnasium_id": task.gym_id(), "summary": (task.__doc__ or _NO_DOCSTRING).splitlines()[0]}
        for task in TASKS
    ]
    columns = (Column("task", "task"), Column("gymnasium_id", "Gymnasium id"), Column("summary", "what it is"))
    show_rows(rows, columns, format)


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


def methods(format: Format = "table") -> None:
    """List the continual-learning methods.

    Args:
        format: the terminal's table, or json for a program.
    """
    from clrobot.agents.methods import METHODS

    rows = [{"method": method.name, "summary": method.summary} for method in METHODS]
    show_rows(rows, (Column("method", "method"), Column("summary", "what it does")), format)


def curricula(format: Format = "table") -> None:
    """List the curricula.

    Args:
        format: the terminal's table, or json for a program.
    """
    from clrobot.experiment.curricula import CURRICULA

    rows = [
        {"curriculum": curriculum.name, "stages": [stage.model_dump(mode="json") for stage in curriculum.stages]}
        for curriculum in CURRICULA.values()
    ]
    columns = (Column("curriculum", "curriculum"), Column("stages", "stages (task, control steps)", _stages))
    show_rows(rows, columns, format)


def _stages(stages: Sequence[Mapping[str, Any]]) -> str:
    from clrobot.experiment.curriculum import Stage

    return ", ".join(str(Stage(**stage)) for stage in stages)
