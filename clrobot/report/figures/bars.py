"""Bars: methods side by side, and what they cost."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator

from clrobot.report.figures.style import INK, PALETTE, STROKES, WIDE, array_of, make_axes, shortened
from clrobot.results.numbers import DASH, duration, grouped, number, size

# Bars ------------------------------------------------------------------------------------------------------


class Bar(NamedTuple):
    """One number of one method."""

    label: str
    value: float | None
    low: float | None = None
    """Lower end of the interval; None where there is none."""
    high: float | None = None
    samples: Sequence[float | None] = ()
    """The number of each seed."""


def comparison_figure(panels: Mapping[str, Sequence[Bar]], width: float = WIDE) -> Figure:
    """Rates of every method side by side: a panel for each, its bars with intervals and a ring for each seed.

    Args:
        panels: By title; the same labels in the same order in each.
        width: Of the figure, in inches; a narrow one has its panels one below the other.
    """
    labels = [bar.label for bar in next(iter(panels.values()))]
    figure, grid = _panels(list(panels), labels, width)
    for axes, bars in zip(grid, panels.values(), strict=True):
        for row, (bar, colour) in enumerate(zip(bars, itertools.cycle(PALETTE), strict=False)):
            if bar.value is None:
                continue
            axes.barh(row, bar.value, height=0.56, color=colour, alpha=0.45, lw=0)
            samples = [sample for sample in bar.samples if sample is not None]
            if len(samples) > 1:
                rings: dict[str, Any] = {"ms": 3.5, "mfc": "none", "mec": colour, "mew": 0.9, "zorder": 3}
                axes.plot(samples, [row + 0.17] * len(samples), "o", **rings)
            if bar.low is not None and bar.high is not None:
                axes.plot([bar.low, bar.high], [row, row], color=INK, lw=1.6, solid_capstyle="butt", zorder=4)
                axes.plot([bar.low, bar.high], [row, row], "|", color=INK, ms=7, mew=1.6, zorder=4)
        axes.set_xlim(*_limits([v for bar in bars for v in (bar.value, bar.low, bar.high, *bar.samples)]))
        axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
        axes.axvline(0, color=INK, lw=0.7, zorder=1)
        _write_values(axes, [DASH if bar.value is None else number(bar.value) for bar in bars])
    return figure


def _limits(values: Sequence[float | None]) -> tuple[float, float]:
    """Limits of an axis of rates: 0 to 1 as far as there are any, and wider where a change is negative."""
    known = [value for value in values if value is not None]
    low, high = min([0.0, *known]), max([0.1, *known])
    return low * 1.05, (1.0 if 0.4 < high <= 1 else high) * 1.05


SECONDS = {
    "train": "training",
    "evaluate": "evaluation",
    "method": "the method itself",
    "record": "films",
    "save": "saving",
}
"""What time is spent on: the name in ``metrics.json`` and the name that is shown."""

KIND_COLOURS = dict(zip(SECONDS, (PALETTE[n] for n in (0, 4, 3, 2, 1)), strict=True))


class Cost(NamedTuple):
    """What a method took, the mean over its runs; None where it was not measured."""

    label: str
    seconds: Mapping[str, float]
    """By kind, as in `SECONDS`."""
    trainable: float | None
    """Parameters."""
    total: float | None
    memory: float | None
    """Bytes that the method keeps besides the policy."""


def cost_figure(costs: Sequence[Cost], width: float = WIDE) -> Figure:
    """Time by what it was spent on, parameters and memory of each method.

    Args:
        costs: One for each method.
        width: Of the figure, in inches; a narrow one has its panels one below the other.
    """
    kinds = [kind for kind in SECONDS if any(kind in cost.seconds for cost in costs)]
    time = [[cost.seconds.get(kind) for kind in kinds] for cost in costs]
    parameters = [
        [cost.trainable, None if cost.total is None or cost.trainable is None else cost.total - cost.trainable]
        for cost in costs
    ]
    strong, faint = PALETTE[0], "#9fc8e2"
    figure, (first, second, third) = _panels(
        ["time", "parameters (pale: frozen)", "memory of the method"],
        [cost.label for cost in costs],
        width,
        extra=0.35,
    )
    _stacked_bars(first, time, [KIND_COLOURS[kind] for kind in kinds], duration)
    _stacked_bars(second, parameters, [strong, faint], grouped)
    _stacked_bars(third, [[cost.memory] for cost in costs], [strong], size)
    entries = {SECONDS[kind]: KIND_COLOURS[kind] for kind in kinds}
    figure.legend(
        [Rectangle((0, 0), 1, 1, color=colour, lw=0) for colour in entries.values()],
        list(entries),
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
    """What each stage of one method cost."""

    label: str
    parameters: Sequence[float | None]
    """Of the whole policy after each stage."""
    memory: Sequence[float | None]
    """Bytes kept beside the policy after each stage."""
    seconds: Sequence[float | None]
    """Training and the method itself, for each 100,000 control steps of the stage."""


def stage_costs_figure(methods: Sequence[StageCosts], width: float = WIDE) -> Figure:
    """Parameters, memory and time of each stage against the number of tasks, one line for each method."""
    figure = Figure(figsize=(width, 2.7), layout="constrained")
    panels = {
        "parameters": [m.parameters for m in methods],
        "memory, bytes": [m.memory for m in methods],
        "seconds per 100,000 steps": [m.seconds for m in methods],
    }
    grid = make_axes(figure, 1, len(panels))
    for axes, (title, rows) in zip(grid, panels.items(), strict=True):
        for row, colour, stroke in zip(rows, itertools.cycle(PALETTE), itertools.cycle(STROKES), strict=False):
            values = array_of(row)
            axes.plot(np.arange(1, len(values) + 1), values, "o", ls=stroke, color=colour, lw=1.6, ms=3.5)
        axes.set_title(title, color=INK, size=9)
        axes.set_xlabel("tasks", color=INK)
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: grouped(value)))
    if len(methods) > 1:
        lines = grid[0].get_lines()
        legend = figure.legend(
            lines,
            [str(n) for n in range(len(lines))],
            loc="outside upper center",
            ncols=max(1, min(len(lines), int(width / 1.8))),
            frameon=False,
            fontsize=9,
            labelcolor=INK,
            handlelength=3,
        )
        for text, method in zip(legend.get_texts(), methods, strict=True):
            text.set(text=shortened(method.label), parse_math=False)
    return figure


def _stacked_bars(
    axes: Axes, rows: Sequence[Sequence[float | None]], colours: Sequence[str], shown: Callable[[float], str]
) -> None:
    """A bar of parts in each row, and their sum beside it; no axis, since the sum is written."""
    sums = [sum(known) if (known := [part for part in row if part is not None]) else None for row in rows]
    for y, row in enumerate(rows):
        left = 0.0
        for part, colour in zip(row, colours, strict=True):
            axes.barh(y, part or 0.0, left=left, height=0.56, color=colour, lw=0)
            left += part or 0.0
    axes.set_xlim(0, max([total for total in sums if total], default=1.0) * 1.02)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.axvline(0, color=INK, lw=0.7)
    _write_values(axes, [DASH if total is None else shown(total) for total in sums])


def _panels(
    titles: Sequence[str], labels: Sequence[str], width: float, extra: float = 0.0
) -> tuple[Figure, list[Axes]]:
    """Panels of horizontal bars: beside each other, or one below the other where that is too narrow."""
    beside = width >= WIDE
    height = 0.55 + 0.32 * len(labels)
    height = (height if beside else height * len(titles) + extra) + extra
    figure = Figure(figsize=(width, height), layout="constrained")
    grid = make_axes(figure, 1, len(titles)) if beside else make_axes(figure, len(titles), 1, share=False)
    if not beside:
        figure.set_layout_engine("constrained", h_pad=0.1)
    for axes, title in zip(grid, titles, strict=True):
        axes.set_title(title, size=10, color=INK, loc="left")
        axes.set_ylim(len(labels) - 0.5, -0.5)
        named = axes is grid[0] or not beside
        shown = [shortened(label, 22) for label in labels] if named else [""] * len(labels)
        axes.set_yticks(range(len(labels)), shown, parse_math=False)
        axes.tick_params(axis="y", length=0)
        axes.spines[["top", "right", "left"]].set_visible(False)
    return figure, grid


def _write_values(axes: Axes, values: Sequence[str]) -> None:
    """Write the value of each bar at the right of its row."""
    for row, text in enumerate(values):
        axes.annotate(
            text,
            (1, row),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            color=INK,
            size=9,
        )
