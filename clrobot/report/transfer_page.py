"""The transfer matrix as a page and a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from markupsafe import Markup

from clrobot.report.figures.matrices import transfer_figure
from clrobot.report.figures.style import WIDE, save, to_svg
from clrobot.report.html import csv_link, write_html
from clrobot.results.metrics import Array
from clrobot.runs.transfer_file import COLUMNS, TransferRow, mean_transfer


class Help(NamedTuple):
    """What helps a task most."""

    task: str
    source: str
    gain: float  # the forward transfer from the source


def write_transfer(folder: Path, rows: Sequence[TransferRow]) -> Path:
    """Write `transfer.svg` and `transfer.html` into a folder, and return the page.

    Raises:
        UserError: they cannot be written.
    """
    tasks, matrix = matrix_of(rows)
    save(transfer_figure(matrix, tasks), folder / "transfer.svg")
    seeds = sorted({row.seed for row in rows})
    return write_html(
        folder / "transfer.html",
        "transfer.html.jinja",
        figure=Markup(to_svg(transfer_figure(matrix, tasks, width=WIDE), "transfer")),
        best=best_starts(tasks, matrix),
        pairs=len({(row.source, row.target) for row in rows}),
        seeds=seeds,
        budgets=sorted({row.budget for row in rows}),
        csv=csv_link([COLUMNS, *(list(row.model_dump().values()) for row in rows)]),
    )


def best_starts(tasks: Sequence[str], matrix: Array) -> list[Help]:
    """Return what helps each task most, the greatest help first; tasks without any number are left out.

    Args:
        tasks: one for each row.
        matrix: FT(i → j), (N, N).
    """
    best = [
        Help(task, tasks[int(np.nanargmax(matrix[:, j]))], float(np.nanmax(matrix[:, j])))
        for j, task in enumerate(tasks)
        if np.isfinite(matrix[:, j]).any()
    ]
    return sorted(best, key=lambda found: -found.gain)


def matrix_of(rows: Sequence[TransferRow]) -> tuple[list[str], Array]:
    """Return the tasks, by name, and FT(i → j), (N, N): the mean over seeds, nan where there is none."""
    found = mean_transfer(rows)
    tasks = sorted({task for row in rows for task in (row.source, row.target)})
    matrix = np.full((len(tasks), len(tasks)), np.nan)
    for (source, target), gain in found.items():
        matrix[tasks.index(source), tasks.index(target)] = gain
    return tasks, matrix
