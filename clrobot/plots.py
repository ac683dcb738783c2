"""Figures of a run and of several, as vector graphics: for a page, light or dark, and for print.

They are plain ``matplotlib.figure.Figure`` objects: no pyplot, no global state, no window. What is undefined is nan
or None, and is shown as "–".
"""

from __future__ import annotations

import io
import itertools
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import ArrayLike, NDArray

from clrobot.metrics import Reading, Score, success_curve

Array = NDArray[np.float64]

DASH = "–"
"""What is undefined, or not measured yet."""

INK = "#4d4d4d"
"""Text and axes; a page puts its own in its place."""

PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""One colour per task or method, in turn (Okabe and Ito's palette, less the black and the yellow): told apart by who
does not tell red from green."""

STROKES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (5, 1.5, 1.2, 1.5)), (0, (8, 2)), (0, (3, 3)))
"""One for each colour, so that no line is told by its colour alone."""

HEAT = LinearSegmentedColormap.from_list("success", ["#e6eff6", "#7fb2d6", "#0b5c94"])
"""Success 0 to 1: one hue, ordered by lightness."""

CHANGE = LinearSegmentedColormap.from_list("change", ["#1b7a5a", "#8fcbb4", "#f4f4f2", "#f0a878", "#b34700"])
"""Forgetting -1 (gained) to 1 (lost)."""

WIDE, NARROW = 7.2, 4.2
"""Width in inches on a desk (or on paper) and on a phone; each is drawn for its page, not scaled."""


# Score matrices --------------------------------------------------------------------------------------------


def matrix_figure(R: ArrayLike, slot_names: Sequence[str]) -> Figure:
    """Heat map of a score matrix, the number in every cell and each task's own stage outlined.

    Args:
        R: Success rates, shape (N+1, N), row 0 before any training; nan is shown as "–".
        slot_names: One for each of the N slots.
    """
    R = np.asarray(R, float)
    slots = len(slot_names)
    if R.shape != (slots + 1, slots):
        raise ValueError(f"{slots} slots have a matrix of shape ({slots + 1}, {slots}), got {R.shape}")
    figure = _heat_figure(R, ["before training", *_stages(slot_names)], slot_names, HEAT, (0, 1), "after stage")
    for stage in range(1, slots + 1):
        own = Rectangle((stage - 1, stage), 1, 1, fill=False, edgecolor=INK, linewidth=1.5, zorder=2)
        figure.axes[0].add_patch(own)
    return figure


def forgetting_figure(drop: ArrayLike, slot_names: Sequence[str]) -> Figure:
    """Heat map of which stage hurt which skill.

    Args:
        drop: Isolated forgetting R[i-1, j] - R[i, j], shape (N, N), row i-1 for stage i; nan where j >= i.
        slot_names: One for each of the N slots.
    """
    drop = np.asarray(drop, float)
    slots = len(slot_names)
    if drop.shape != (slots, slots):
        raise ValueError(f"{slots} slots have isolated forgetting of shape ({slots}, {slots}), got {drop.shape}")
    if slots == 1:
        raise ValueError("one slot has no later stage that could hurt it")
    # The first stage can hurt nothing, and nothing comes after the last.
    return _heat_figure(
        drop[1:, :-1], _stages(slot_names)[1:], slot_names[:-1], CHANGE, (-1, 1), "during stage", signed=True
    )


def final_figure(final: ArrayLike, rows: Sequence[str], slot_names: Sequence[str]) -> Figure:
    """Heat map of what each method can do at the end.

    Args:
        final: Success rates after the last stage, shape (M, N) for M methods and N slots.
        rows: One label for each method.
        slot_names: One for each slot.
    """
    return _heat_figure(np.asarray(final, float), rows, slot_names, HEAT, (0, 1), "")


def _heat_figure(
    values: Array,
    rows: Sequence[str],
    columns: Sequence[str],
    colours: Colormap,
    limits: tuple[float, float],
    ylabel: str,
    *,
    signed: bool = False,
) -> Figure:
    """A heat map with the number in every cell, columns named above."""
    cell = 1.0 if len(columns) <= 6 else 0.7  # inches
    figure = Figure(figsize=(2.2 + cell * len(columns), 1.0 + 0.4 * len(rows)), layout="constrained")
    axes = _axes(figure, 1, 1)[0]
    # One polygon per cell, a hair apart: no raster image, no grid lines.
    style: dict[str, Any] = {"vmin": limits[0], "vmax": limits[1], "edgecolor": "white", "linewidth": 1.2}
    axes.pcolormesh(np.ma.masked_invalid(values), cmap=colours, **style)
    for (row, column), value in np.ndenumerate(values):
        missing = np.isnan(value)
        strong = abs(value) > 0.7
        colour = INK if missing else "#ffffff" if strong else "#1a1a1a"
        # What a stage did to a skill that was still to come is no forgetting: an empty place.
        text = ("" if signed and column > row else DASH) if missing else number(value, signed=signed)
        axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", color=colour, size=9)
    axes.set_yticks(np.arange(len(rows)) + 0.5, [_label(row) for row in rows], parse_math=False)
    axes.set_xticks(np.arange(len(columns)) + 0.5, [_label(name) for name in columns], parse_math=False)
    # At 9 points a letter is about 0.075 inches wide.
    if max(len(_label(name)) for name in columns) * 0.075 > cell:
        axes.tick_params(axis="x", rotation=40)
        for label in axes.get_xticklabels():
            label.set(ha="left", rotation_mode="anchor")
    axes.tick_params(length=0, top=False, labeltop=True, bottom=False, labelbottom=False)
    axes.set_ylabel(ylabel, color=INK)
    axes.spines[:].set_visible(False)
    axes.set(xlim=(0, len(columns)), ylim=(len(rows), 0))
    return figure


# Learning curves -------------------------------------------------------------------------------------------


def curves_figure(
    scores: Sequence[Score],
    slot_names: Sequence[str],
    stage_ends: Sequence[int],
    reading: Reading = "any",
    width: float = WIDE,
) -> Figure:
    """Success of every task over the whole run: one row per task, its own stage shaded.

    Args:
        scores: In the order of the file.
        slot_names: One for each of the N slots.
        stage_ends: The step at which each finished stage ended, in order.
        reading: Which reading of success.
        width: Of the figure, in inches.
    """
    curves = [success_curve(scores, slot, reading) for slot in range(1, len(slot_names) + 1)]
    last = max([1, *stage_ends, *(score.step for score in scores)])
    figure, rows, divisor = _curve_rows(slot_names, stage_ends, last, width)
    for axes, curve, colour in zip(rows, curves, itertools.cycle(PALETTE), strict=False):
        if curve.steps.size:
            steps, ends = curve.steps / divisor, np.isin(curve.steps, [0, *stage_ends])
            style: dict[str, Any] = {"color": colour, "clip_on": False, "zorder": 3}
            axes.plot(steps, curve.success, lw=1.8, **style)
            axes.plot(steps[ends], curve.success[ends], "o", ms=4, **style)
    return figure


class Band(NamedTuple):
    """A learning curve over several seeds."""

    steps: Array
    """Environment steps since the start of the run, increasing, shape (P,)."""
    mean: Array
    """Success over the seeds, shape (P,)."""
    low: Array
    """Lower end of the interval, shape (P,); nan where there is none."""
    high: Array


def mean_curves_figure(
    methods: Mapping[str, Sequence[Band]],
    slot_names: Sequence[str],
    stage_ends: Sequence[int],
    width: float = WIDE,
) -> Figure:
    """Success of every task over the whole run, one line for each method, with its interval over seeds.

    Args:
        methods: For each label the bands of the N slots.
        slot_names: One for each slot.
        stage_ends: The step at which each finished stage ended, in order.
        width: Of the figure, in inches.
    """
    last = max(
        [1, *stage_ends, *(int(band.steps[-1]) for bands in methods.values() for band in bands if len(band[0]))]
    )
    figure, rows, divisor = _curve_rows(slot_names, stage_ends, last, width, colour="#8a8a8a", height=1.05)
    styles = zip(methods.values(), itertools.cycle(zip(PALETTE, STROKES, strict=True)), strict=False)
    for bands, (colour, stroke) in styles:
        for axes, band in zip(rows, bands, strict=True):
            steps = band.steps / divisor
            axes.fill_between(steps, band.low, band.high, color=colour, alpha=0.18, lw=0, zorder=2)
            axes.plot(steps, band.mean, color=colour, ls=stroke, lw=1.6, zorder=3)
    legend = figure.legend(
        rows[0].get_lines()[-len(methods) :],
        [str(n) for n in range(len(methods))],
        loc="outside upper center",
        ncols=max(1, min(len(methods), int(width / 1.8))),
        frameon=False,
        fontsize=9,
        labelcolor=INK,
        handlelength=3,
    )
    # Written afterwards: a name may hold signs of mathematics, or begin as what a legend leaves out.
    for text, label in zip(legend.get_texts(), methods, strict=True):
        text.set(text=_label(label), parse_math=False)
    return figure


def _curve_rows(
    slot_names: Sequence[str],
    stage_ends: Sequence[int],
    last: int,
    width: float,
    colour: str | None = None,
    height: float = 0.85,
) -> tuple[Figure, list[Axes], int]:
    """Empty axes for the success of each slot over the steps of a run, and what the steps are divided by.

    The own stage of each slot is shaded in `colour`, by default that of the slot.
    """
    slots = len(slot_names)
    figure = Figure(figsize=(width, 0.7 + height * slots), layout="constrained")
    rows = _axes(figure, slots, 1)
    # A stage that has not ended reaches to the last score.
    bounds = [0, *stage_ends, last]
    unit, divisor = _steps_unit(last)
    for slot, (axes, name) in enumerate(zip(rows, slot_names, strict=True), start=1):
        if slot < len(bounds):
            own = bounds[slot - 1] / divisor, bounds[slot] / divisor
            axes.axvspan(*own, color=colour or PALETTE[(slot - 1) % len(PALETTE)], alpha=0.14, lw=0)
        for end in stage_ends:
            axes.axvline(end / divisor, color=INK, lw=0.7, ls=(0, (2, 3)), zorder=1)
        axes.set(xlim=(0, last / divisor), ylim=(-0.04, 1.04))
        axes.set_yticks([0, 1], ["0", "1"])
        axes.set_ylabel(
            _label(name) if width >= WIDE else _label(name, 14),
            rotation=0,
            ha="right",
            va="center",
            color=INK,
            size=10,
            labelpad=8,
            parse_math=False,
        )
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(length=3, labelbottom=slot == slots)
    _name_stages(rows[0], bounds, divisor, width)
    rows[-1].set_xlabel(unit, color=INK)
    return figure, rows, divisor


def _name_stages(axes: Axes, bounds: Sequence[int], divisor: int, width: float) -> None:
    """Write the number of each stage above its part of the axis, where there is room for it."""
    style: dict[str, Any] = {"textcoords": "offset points", "color": INK, "size": 9, "va": "bottom"}
    axes.annotate("stage", (0, 1), xycoords="axes fraction", xytext=(-6, 5), ha="right", **style)
    for stage, (start, end) in enumerate(itertools.pairwise(bounds), start=1):
        room = (end - start) / bounds[-1] * (width - 1.7) * 72  # points
        if room >= 6 * len(str(stage)):
            middle = (start + end) / 2 / divisor
            place: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "xytext": (0, 5), "ha": "center"}
            axes.annotate(str(stage), (middle, 1), **place, **style)


def _steps_unit(last: int) -> tuple[str, int]:
    if last < 10_000:
        return "steps", 1
    return ("thousand steps", 1_000) if last < 10_000_000 else ("million steps", 1_000_000)


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


class Line(NamedTuple):
    """One quantity against a setting."""

    name: str
    values: Sequence[float | None]
    low: Sequence[float | None]
    """Lower ends of the intervals; None where there is none."""
    high: Sequence[float | None]


def trade_off_figure(
    setting: str, at: Sequence[float], lines: Sequence[Line], default: float, width: float = WIDE
) -> Figure:
    """Rates against the values of one setting, with the default marked.

    Args:
        setting: The setting's name.
        at: Its values, rising; 0 is drawn left of the smallest other one where the axis is logarithmic.
        lines: What is shown.
        default: The setting's default.
        width: Of the figure, in inches.
    """
    positive = [value for value in at if value > 0]
    figure = Figure(figsize=(width, 3.2), layout="constrained")
    axes = _axes(figure, 1, 1)[0]
    # Strengths and sizes go by factors.
    logarithmic = len(positive) > 1 and positive[-1] / positive[0] >= 8
    zero = positive[0] ** 2 / positive[1] if logarithmic else 0.0
    places = [value if value > 0 or not logarithmic else zero for value in at]
    if logarithmic:
        axes.set_xscale("log")
    axes.minorticks_off()
    axes.set_xticks(places, [f"{value:g}" for value in at])
    for line, colour, stroke in zip(lines, PALETTE, STROKES, strict=False):
        values, low, high = (_array_of(part) for part in line[1:])
        axes.fill_between(places, low, high, color=colour, alpha=0.18, lw=0)
        axes.plot(places, values, "o", ls=stroke, color=colour, lw=1.6, ms=4, label=line.name)
    axes.axvline(default if default > 0 or not logarithmic else zero, color=INK, lw=0.9, ls=(0, (2, 2)), zorder=1)
    axes.text(
        default, 1.01, "default", color=INK, size=8, ha="center", va="bottom", transform=axes.get_xaxis_transform()
    )
    axes.set_ylim(-0.03, 1.03)
    axes.set_xlabel(setting, color=INK, parse_math=False)
    axes.set_ylabel("success", color=INK)
    axes.legend(loc="best", frameon=False, fontsize=9, labelcolor=INK)
    return figure


def _array_of(values: Sequence[float | None]) -> Array:
    return np.array([np.nan if value is None else value for value in values], float)


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
    grid = _axes(figure, 1, len(panels))
    for axes, (title, rows) in zip(grid, panels.items(), strict=True):
        for row, colour, stroke in zip(rows, itertools.cycle(PALETTE), itertools.cycle(STROKES), strict=False):
            values = _array_of(row)
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
            text.set(text=_label(method.label), parse_math=False)
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
    grid = _axes(figure, 1, len(titles)) if beside else _axes(figure, len(titles), 1, share=False)
    if not beside:
        figure.set_layout_engine("constrained", h_pad=0.1)
    for axes, title in zip(grid, titles, strict=True):
        axes.set_title(title, size=10, color=INK, loc="left")
        axes.set_ylim(len(labels) - 0.5, -0.5)
        named = axes is grid[0] or not beside
        shown = [_label(label, 22) for label in labels] if named else [""] * len(labels)
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


# Numbers as they are shown ---------------------------------------------------------------------------------


def number(value: float | None, *, signed: bool = False) -> str:
    """Two decimals, with a true minus sign and no negative zero; a plus sign where a change is meant."""
    if value is None:
        return DASH
    rounded = round(value, 2) + 0.0
    return f"{rounded:{'+' if signed and rounded else ''}.2f}".replace("-", "−")


def grouped(count: float) -> str:
    """A count in groups of three digits."""
    return f"{count:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def size(count: float) -> str:
    """A number of bytes, in the unit that fits."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def duration(seconds: float) -> str:
    """Seconds, in the units that fit."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


# As files and in pages -------------------------------------------------------------------------------------

_VARIABLES = {INK: "--quiet", "#9fc8e2": "--series-1-faint"} | {
    colour: f"--series-{n}" for n, colour in enumerate(PALETTE, start=1)
}


def to_svg(fig: Figure, salt: str = "") -> str:
    """The figure as an ``<svg>`` element to stand inside a page: text stays text, nothing is loaded.

    Its colours are variables of the page's style (`--quiet`, `--series-1` …), so that it follows the page into the
    dark. The same figure gives the same bytes. Figures of different widths share no ids within a page, nor do
    figures of another `salt`.
    """
    buffer = io.StringIO()
    with _drawing(f"clrobot {fig.get_figwidth()}{salt}"):
        fig.savefig(buffer, format="svg", transparent=True, metadata=_NOBODY)
    text = buffer.getvalue()
    text = text[text.index("<svg") :].strip()
    # Comments hold no "--", and what is written has no "<": neither pattern can begin in a name.
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    # matplotlib's own ids of groups would be those of every figure of the page.
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    for colour, variable in _VARIABLES.items():
        text = re.sub(rf"(<[^<>]*(?:fill|stroke): ){colour}", rf"\1var({variable}, {colour})", text)
    return text


def save(fig: Figure, path: Path) -> None:
    """Write the figure for print, as its suffix says: ``.svg`` (vectors, text as text) or ``.png`` (300 per inch)."""
    with _drawing(f"clrobot {fig.get_figwidth()}"):
        svg = path.suffix == ".svg"
        fig.savefig(path, dpi=300, facecolor="white", metadata=_NOBODY if svg else {"Software": None})


_NOBODY: dict[str, Any] = dict.fromkeys(("Creator", "Date", "Format", "Type"))


@contextmanager
def _drawing(salt: str) -> Iterator[None]:
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}), warnings.catch_warnings():
        # In a vector graphic the reader's own font draws the text, so it does not matter what matplotlib's lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def _axes(figure: Figure, rows: int, columns: int, *, share: bool = True) -> list[Axes]:
    """Transparent axes in the quiet ink, row by row."""
    grid = figure.subplots(rows, columns, sharex=share and rows > 1, squeeze=False)
    for axes in grid.flat:
        axes.patch.set_alpha(0)
        axes.tick_params(colors=INK, labelsize=9)
        axes.spines[:].set(color=INK, linewidth=0.7)
    return list(grid.flat)


def _stages(slot_names: Sequence[str]) -> list[str]:
    return [f"{stage} · {_label(name)}" for stage, name in enumerate(slot_names, start=1)]


def _label(name: str, room: int = 28) -> str:
    """A name that leaves room for the figure."""
    return name if len(name) <= room else f"{name[: room - 1]}…"
