"""What methods cost: time, parameters and memory, of whole runs and stage by stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator

from clrobot.report.figures.bars import bar_panels, write_values
from clrobot.report.figures.defaults import library_defaults
from clrobot.report.figures.style import INK, PALE, PALETTE, WIDE, line_legend, line_style, quiet_axes
from clrobot.results.numbers import duration, grouped, size

# What time is spent on: the name in `metrics.json` and the name that is shown.
SECONDS: Final = {
    "train": "training",
    "evaluate": "evaluation",
    "method": "the method itself",
    "record": "films",
    "save": "saving",
}

_KIND_COLOURS: Final = dict(zip(SECONDS, (PALETTE[n] for n in (0, 4, 3, 2, 1)), strict=True))


class Cost(NamedTuple):
    """What a method took, the mean over its runs.

    Attributes:
        label: the method's.
        seconds: by kind, as in `SECONDS`.
        trainable: parameters.
        total: parameters, frozen ones included.
        memory: bytes that are kept beside one actor and critic.
    """

    label: str
    seconds: Mapping[str, float]
    trainable: float
    total: float
    memory: float


@library_defaults()
def cost_figure(costs: Sequence[Cost], width: float = WIDE) -> Figure:
    """Return the time by what it was spent on, the parameters and the memory of each method.

    Args:
        costs: one for each method.
        width: of the figure, in inches; a narrow one has its panels one below the other.
    """
    time = [[cost.seconds[kind] for kind in SECONDS] for cost in costs]
    parameters = [[cost.trainable, cost.total - cost.trainable] for cost in costs]
    figure, (first, second, third) = bar_panels(
        ["time", "parameters (pale: frozen)", "memory of the method"],
        [cost.label for cost in costs],
        width,
        extra=0.35,
    )
    _stacked_bars(first, time, list(_KIND_COLOURS.values()), duration)
    _stacked_bars(second, parameters, [PALETTE[0], PALE], grouped)
    _stacked_bars(third, [[cost.memory] for cost in costs], [PALETTE[0]], size)
    figure.legend(
        [Rectangle((0, 0), 1, 1, color=colour, lw=0) for colour in _KIND_COLOURS.values()],
        list(SECONDS.values()),
        loc="outside lower left",
        ncols=5 if width >= WIDE else 3,
        frameon=False,
        fontsize=8,
        labelcolor=INK,
        handlelength=1,
        handleheight=0.8,
        columnspacing=1.4,
    )
    return figure


class StageCosts(NamedTuple):
    """What each stage of one method cost.

    Attributes:
        label: the method's.
        parameters: of the whole policy after each stage.
        memory: bytes kept beside one actor and critic after each stage.
        seconds: training and the method itself, for each 100,000 control steps of the stage.
    """

    label: str
    parameters: Sequence[float]
    memory: Sequence[float]
    seconds: Sequence[float]


@library_defaults()
def stage_costs_figure(methods: Sequence[StageCosts], width: float = WIDE) -> Figure:
    """Return parameters, memory and time of each stage against the number of tasks, one line for each method.

    Args:
        methods: one for each method.
        width: of the figure, in inches.
    """
    figure = Figure(figsize=(width, 2.7), layout="constrained")
    panels = {
        "parameters": [m.parameters for m in methods],
        "memory, bytes": [m.memory for m in methods],
        "seconds per 100,000 steps": [m.seconds for m in methods],
    }
    grid = quiet_axes(figure, 1, len(panels))
    for axes, (title, rows) in zip(grid, panels.items(), strict=True):
        for n, row in enumerate(rows):
            colour, stroke = line_style(n)
            axes.plot(range(1, len(row) + 1), row, "o", ls=stroke, color=colour, lw=1.6, ms=3.5)
        axes.set_title(title, color=INK, size=9)
        axes.set_xlabel("tasks", color=INK)
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: grouped(value)))
    if len(methods) > 1:
        line_legend(figure, grid[0].get_lines(), [method.label for method in methods], width)
    return figure


def _stacked_bars(
    axes: Axes, rows: Sequence[Sequence[float]], colours: Sequence[str], write: Callable[[float], str]
) -> None:
    """Draw a bar of parts in each row, and write their sum beside it, which no axis is needed for."""
    sums = [sum(row) for row in rows]
    for y, row in enumerate(rows):
        left = 0.0
        for part, colour in zip(row, colours, strict=True):
            axes.barh(y, part, left=left, height=0.56, color=colour, lw=0)
            left += part
    axes.set_xlim(0, max([total for total in sums if total], default=1.0) * 1.02)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.axvline(0, color=INK, lw=0.7)
    write_values(axes, [write(total) for total in sums])
