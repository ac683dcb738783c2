"""Figures as files, for print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from clrobot.comparison.comparison import compare
from clrobot.errors import UserError
from clrobot.report.contents import read_run, run_names
from clrobot.report.figures.of_comparison import comparison_figures
from clrobot.report.figures.of_run import run_figures
from clrobot.report.figures.style import WIDE, Draw, save
from clrobot.runs.folder import RunFolder

Format = Literal["png", "svg"]


def write_all_figures(runs: Sequence[RunFolder], folder: Path, formats: Sequence[Format]) -> list[Path]:
    """Write the figures of a run; or those of a comparison, and each run's into a folder of its own inside.

    Args:
        runs: one or more.
        folder: is made.
        formats: each figure is written in each.

    Returns:
        The files.

    Raises:
        UserError: no run has a finished stage, a file is missing or is not what it should be, or the folder cannot be
            written.
    """
    if len(runs) == 1:
        return write_figures(run_figures(read_run(runs[0].path)), folder, formats)
    compared = compare(runs)
    contents = {run.path: read_run(run.path) for group in compared.groups for run in group.runs}
    written = write_figures(comparison_figures(compared, contents), folder, formats)
    each = list(contents.values())
    for name, run in zip(run_names(each), each, strict=True):
        written += write_figures(run_figures(run), folder / name, formats)
    return written


def write_figures(figures: Mapping[str, Draw], folder: Path, formats: Sequence[Format]) -> list[Path]:
    """Write each figure into a folder, in each format; return the files.

    Raises:
        UserError: the folder cannot be made or written.
    """
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, draw in figures.items():
            for suffix in formats:
                path = folder / f"{name}.{suffix}"
                save(draw(WIDE), path)
                written.append(path)
    except OSError as error:
        raise UserError(f"--out {folder}: {error.strerror}; give a folder that can be written") from error
    return written
