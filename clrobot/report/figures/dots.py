"""Dots: a number of each task, methods side by side in its row."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Final

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from clrobot.report.figures.defaults import library_defaults
from clrobot.report.figures.style import INK, PALETTE, WIDE, line_legend, quiet_axes, shorten_all
from clrobot.results.statistics import Estimate

_ROW: Final = 0.17  # inches for each dot of a task
_MARKS: Final = "osD^vP"  # in turn, so that no dot is known by its colour alone


@library_defaults()
def transfer_by_task_figure(
    rows: Mapping[str, Sequence[Estimate]],
    tasks: Sequence[str],
    ceiling: Sequence[float | None] = (),
    width: float = WIDE,
) -> Figure:
    """Return forward transfer to each task: a dot for each row of a comparison, with its interval.

    Args:
        rows: for each row's label one estimate for each task.
        tasks: their names, from the top.
        ceiling: what each task would get from the best of the earlier ones; nothing is shown of a None.
        width: of the figure, in inches.
    """
    height = 0.9 + len(tasks) * (_ROW * len(rows) + 0.12) + 0.2 * (len(rows) * 1.8 / width)
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = quiet_axes(figure, 1, 1)[0]
    axes.axvline(0, color=INK, lw=0.9, zorder=1)
    share = 0.8 / max(1, len(rows))
    marks: list[Any] = []
    lows = [0.0]
    for n, (estimates, colour) in enumerate(zip(rows.values(), itertools.cycle(PALETTE), strict=False)):
        style: dict[str, Any] = {"ms": 5.5, "mfc": colour, "mec": "none", "zorder": 3, "ls": "none"}
        at = [task - 0.4 + share * (n + 0.5) for task in range(len(tasks))]
        known = [(y, found, found.value) for y, found in zip(at, estimates, strict=True) if found.value is not None]
        for y, found, _ in known:
            if found.low is not None and found.high is not None:
                axes.plot([found.low, found.high], [y, y], color=colour, lw=1.3, alpha=0.6, zorder=2)
        values = [value for _, _, value in known]
        marks += axes.plot(values, [y for y, _, _ in known], _MARKS[(n + n // len(PALETTE)) % len(_MARKS)], **style)
        lows += values
    dotted: dict[str, Any] = {"color": INK, "lw": 1.2, "zorder": 2, "ls": (0, (1.5, 1.2))}
    best = [
        axes.plot([value, value], [task - 0.42, task + 0.42], **dotted)
        for task, value in enumerate(ceiling)
        if value is not None
    ]
    labels = [*rows]
    if best:
        marks += best[0]
        labels.append("best earlier task")
    axes.set_xlim(min(lows) - 0.15, 1.05)  # by the dots: an interval may be wider than all that is of interest
    axes.set_ylim(len(tasks) - 0.45, -0.55)
    axes.set_yticks(range(len(tasks)), shorten_all(tasks, 22), parse_math=False)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    for boundary in range(1, len(tasks)):
        axes.axhline(boundary - 0.5, color=INK, lw=0.4, alpha=0.35)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_xlabel("slower (−) or faster (+) than from scratch", color=INK, size=9)
    line_legend(figure, marks, labels, width)
    return figure
