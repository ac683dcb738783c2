"""The verbs that show runs: report, plot, compare."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from clrobot.cli.common import RunPaths, check_file, expand_runs, open_console
from clrobot.errors import UserError
from clrobot.files import at_home

if TYPE_CHECKING:
    from clrobot.runs.folder import RunFolder


# What a figure's name may end with.
_FIGURES = (".png", ".svg", ".pdf", ".jpg", ".jpeg")


def report(runs: RunPaths, out: Path | None = None, videos: Literal["link", "embed"] = "link") -> None:
    """Write a page of one run, or of several side by side.

    It opens from the disk: numbers, figures and films, nothing from elsewhere.

    Args:
        runs: run folders, or folders that hold runs.
        out: the page; by default report.html in the run's folder, or in the folder that holds the runs.
        videos: whether the page links to the films beside it or holds them itself (one file to give away).
    """
    from clrobot.report.comparison_page import write_comparison
    from clrobot.report.page import write_report

    folders = expand_runs(runs)
    if out is not None and at_home(out).is_dir():
        raise UserError(f"--out {out} is a folder; give the page's own name, such as {out / 'report.html'}")
    if len(folders) == 1:
        page = write_report(folders[0].path, out, videos)
    else:
        page = write_comparison(folders, out or _common_folder(folders) / "report.html", videos)
    open_console().print(str(page), soft_wrap=True)


def plot(runs: RunPaths, out: Path | None = None, format: Literal["png", "svg", "both"] = "both") -> None:
    """Write the report's figures as files, for print.

    Of several runs also the methods side by side, over their seeds.

    Args:
        runs: run folders, or folders that hold runs.
        out: the folder; by default figures/RUN, or figures/comparison.
        format: vectors (svg), pixels (png, 300 per inch) or both.
    """
    from clrobot.report.figures.files import write_all_figures

    folders = expand_runs(runs)
    if out is not None and out.suffix.lower() in _FIGURES and not out.is_dir():
        raise UserError(f"--out {out} names one figure, and there are several; give a folder")
    name = folders[0].path.resolve().name if len(folders) == 1 else "comparison"
    target = out or Path("figures") / name
    for path in write_all_figures(folders, target, ("png", "svg") if format == "both" else (format,)):
        open_console().print(str(path), soft_wrap=True)


def compare(
    runs: RunPaths,
    format: Literal["table", "markdown", "csv", "latex", "json"] = "table",
    statistic: Literal["mean", "iqm"] = "mean",
    metrics: tuple[str, ...] = (),
    published: bool = False,
    out: Path | None = None,
) -> None:
    """Set several runs side by side, and say why they may not be comparable.

    Runs that differ only in the seed are one row, with 95 % intervals:

    Student's t below ten seeds, the bootstrap's from ten on.

    Differences to finetune and to frozen-copies are paired by seed.

    Args:
        runs: run folders; a folder that holds runs stands for those in it.
        format: the terminal's table, or text for a page, a spreadsheet, a paper or a program.
        statistic: over the seeds: their mean, or interquartile mean.
        metrics: show these alone, by their names in metrics.json, such as forgetting or seconds.total.
        published: beside them the results that come with clrobot, of the same curriculum.
        out: write it to this file.
    """
    from clrobot.comparison.comparison import compare as compare_runs
    from clrobot.comparison.tables import as_text, print_comparison
    from clrobot.files import atomic
    from clrobot.published.results import read_results

    check_file(out)
    theirs = read_results() if published else None  # refused before any run is read
    comparison = compare_runs(expand_runs(runs), statistic, metrics, theirs)
    console = open_console()
    if out is not None:
        with atomic(out) as unfinished:
            unfinished.write_text(as_text(comparison, format), encoding="utf-8")
        console.print(str(out), soft_wrap=True)
    elif format == "table":
        print_comparison(comparison, console)
    else:
        print(as_text(comparison, format), end="")


def _common_folder(runs: Sequence[RunFolder]) -> Path:
    """Return the folder that holds all of these runs."""
    return Path(os.path.commonpath([run.path.resolve().parent for run in runs]))
