"""The verbs that list what there is."""

from __future__ import annotations

import sys
from pathlib import Path

from clrobot.cli.common import MOST_SEED, Column, Format, at_least, check_file, open_console, show_rows
from clrobot.results.numbers import DASH

# Of a sheet: a picture larger than a screen, and more columns than there are tasks.
_MOST_SIZE, _MOST_COLUMNS = 1_000, 1_000

_NO_DOCSTRING = "(PYTHONOPTIMIZE=2 leaves descriptions out)"


def tasks(format: Format = "table") -> None:
    """List the tasks.

    Args:
        format: the terminal's table, or json for a program.
    """
    from clrobot.envs.tasks import TASKS_BY_ID

    rows = [
        {
            "task": name,
            "gymnasium_id": task.gym_id(),
            "summary": _first_line(task.__doc__),
            "source": TASKS_BY_ID.source(name),
            "expert": task.expert is not None,
        }
        for name, task in TASKS_BY_ID.items()
    ]
    if format == "table":
        rows = [row if row["expert"] else row | {"summary": f"{row['summary']} (It has no expert.)"} for row in rows]
    columns = (
        Column("task", "task"),
        Column("gymnasium_id", "Gymnasium id"),
        Column("summary", "what it is"),
        Column("source", "source"),
    )
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
    from clrobot.envs.tasks import TASKS_BY_ID
    from clrobot.films.sheet import write_sheet

    at_least(size, "--size", 16, _MOST_SIZE)
    at_least(columns, "--columns", most=_MOST_COLUMNS)
    at_least(seed, "--seed", 0, MOST_SEED)
    check_file(out)
    default_backend()  # refused before anything is made
    write_sheet(out, tuple(TASKS_BY_ID.values()), size=size, columns=columns, seed=seed)
    open_console().print(str(out), soft_wrap=True)


def methods(format: Format = "table") -> None:
    """List the continual-learning methods.

    Args:
        format: the terminal's table, or json for a program.
    """
    from clrobot.agents.methods import METHODS_BY_NAME

    rows = [
        {"method": name, "summary": method.summary, "source": METHODS_BY_NAME.source(name)}
        for name, method in METHODS_BY_NAME.items()
    ]
    columns = (Column("method", "method"), Column("summary", "what it does"), Column("source", "source"))
    show_rows(rows, columns, format)


def curricula(format: Format = "table") -> None:
    """List the curricula.

    Args:
        format: the terminal's table, or json for a program.
    """
    from clrobot.experiment.curricula import CURRICULA

    rows = [
        {
            "curriculum": name,
            "stages": [stage.model_dump(mode="json") for stage in curriculum.stages]
            if format == "json"
            else ", ".join(map(str, curriculum.stages)),
            "source": CURRICULA.source(name),
        }
        for name, curriculum in CURRICULA.items()
    ]
    columns = (
        Column("curriculum", "curriculum"),
        Column("stages", "stages (task, control steps)"),
        Column("source", "source"),
    )
    show_rows(rows, columns, format)


def worlds(all: bool = False, format: Format = "table") -> None:
    """List the worlds that a curriculum can take, by kind, with what each lacks.

    Each one is made and stepped once.

    Args:
        all: also those that cannot be used here, and why.
        format: the terminal's table, or json for a program.
    """
    from clrobot.envs.worlds.kinds import KINDS

    offers = [offer for kind in KINDS for offer in kind.offers()]
    rows = [offer._asdict() | {"usable": offer.actions is not None} for offer in offers]
    shown = [row for row in rows if all or row["usable"]]
    columns = (
        Column("task", "task"),
        Column("horizon", "steps", _known, numbers=True),
        Column("observations", "sees", _known, numbers=True),
        Column("actions", "does", _known, numbers=True),
        Column("lacks", "lacks", lambda lacks: lacks or ""),
    )
    show_rows(shown, columns, format)
    if format == "table" and len(shown) < len(rows):
        open_console().print(f"{len(rows) - len(shown)} more cannot be used here: --all says why", style="dim")


def _known(value: int | None) -> str:
    return DASH if value is None else str(value)


def _first_line(text: str | None) -> str:
    if text is None:
        return _NO_DOCSTRING if sys.flags.optimize >= 2 else ""
    return next(iter(text.strip().splitlines()), "")
