"""Bars: methods side by side."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from clrobot.report.figures.defaults import library_defaults
from clrobot.report.figures.style import INK, PALETTE, WIDE, quiet_axes, shorten_all
from clrobot.results.numbers import number


class Bar(NamedTuple):
    """One number of one method.

    Attributes:
        label: the method's.
        value: None where it is undefined.
        low: lower end of the interval; None where there is none.
        high: its upper end.
        samples: the number of each seed.
        text: the value as it is written.
    """

    label: str
    value: float | None
    low: float | None = None
    high: float | None = None
    samples: Sequence[float | None] = ()
    text: str = ""


@library_defaults()
def comparison_figure(panels: Mapping[str, Sequence[Bar]], width: float = WIDE) -> Figure:
    """Return numbers of every method side by side: a panel for each, bars with intervals and a dot for each seed.

    Args:
        panels: by title; the same labels in the same order in each.
        width: of the figure, in inches; a narrow one has its panels one below the other.
    """
    labels = [bar.label for bar in next(iter(panels.values()))]
    figure, grid = bar_panels(list(panels), labels, width)
    for axes, bars in zip(grid, panels.values(), strict=True):
        _draw(axes, bars)
        axes.set_xlim(*_limits(_numbers(bars)))
        axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    return figure


@library_defaults()
def differences_figure(panels: Mapping[str, Sequence[Bar]], width: float = WIDE) -> Figure:
    """Return differences of every method to a baseline: a panel for each number, zero in its middle.

    Args:
        panels: by title; the same labels in the same order in each; a bar's samples are paired by seed.
        width: of the figure, in inches; a narrow one has its panels one below the other.
    """
    labels = [bar.label for bar in next(iter(panels.values()))]
    figure, grid = bar_panels(list(panels), labels, width)
    for axes, bars in zip(grid, panels.values(), strict=True):
        _draw(axes, bars)
        most = 1.05 * max([0.1, *(abs(value) for value in _numbers(bars))])
        axes.set_xlim(-most, most)
        axes.xaxis.set_major_locator(MaxNLocator(4, symmetric=True))
    return figure


def _draw(axes: Axes, bars: Sequence[Bar]) -> None:
    """Draw a bar, its interval and its seeds in each row; what is undefined leaves its row empty."""
    for row, (bar, colour) in enumerate(zip(bars, itertools.cycle(PALETTE), strict=False)):
        if bar.value is None:
            continue
        axes.barh(row, bar.value, height=0.56, color=colour, alpha=0.45, lw=0)
        samples = [sample for sample in bar.samples if sample is not None]
        dots: dict[str, Any] = {"ms": 3.5, "mfc": colour, "mec": "none", "zorder": 3}
        axes.plot(samples, [row + 0.17] * len(samples), "o", **dots)
        if bar.low is not None and bar.high is not None:
            axes.plot([bar.low, bar.high], [row, row], color=INK, lw=1.6, solid_capstyle="butt", zorder=4)
            axes.plot([bar.low, bar.high], [row, row], "|", color=INK, ms=7, mew=1.6, zorder=4)
    axes.axvline(0, color=INK, lw=0.7, zorder=1)
    write_values(axes, [bar.text or number(bar.value) for bar in bars])


def _numbers(bars: Sequence[Bar]) -> list[float]:
    values = [value for bar in bars for value in (bar.value, bar.low, bar.high, *bar.samples)]
    return [value for value in values if value is not None]


def _limits(known: Sequence[float]) -> tuple[float, float]:
    """Return the limits of an axis of rates: 0 to 1 as far as there are any, and wider where a change is negative."""
    low, high = min([0.0, *known]), max([0.1, *known])
    return low * 1.05, (1.0 if 0.4 < high <= 1 else high) * 1.05


def bar_panels(
    titles: Sequence[str], labels: Sequence[str], width: float, extra: float = 0.0
) -> tuple[Figure, list[Axes]]:
    """Return panels of horizontal bars: beside each other, or one below the other where that is too narrow.

    Args:
        titles: one for each panel.
        labels: one for each row of bars.
        width: of the figure, in inches.
        extra: height that the figure needs beside its panels, in inches.
    """
    beside = width >= WIDE
    height = 0.55 + 0.32 * len(labels)
    height = (height if beside else height * len(titles) + extra) + extra
    figure = Figure(figsize=(width, height), layout="constrained")
    grid = quiet_axes(figure, 1, len(titles)) if beside else quiet_axes(figure, len(titles), 1, share=False)
    if not beside:
        figure.set_layout_engine("constrained", h_pad=0.1)
    for axes, title in zip(grid, titles, strict=True):
        axes.set_title(title, size=10, color=INK, loc="left")
        axes.set_ylim(len(labels) - 0.5, -0.5)
        named = axes is grid[0] or not beside
        names = shorten_all(labels, 22) if named else [""] * len(labels)
        axes.set_yticks(range(len(labels)), names, parse_math=False)
        axes.tick_params(axis="y", length=0)
        axes.spines[["top", "right", "left"]].set_visible(False)
    return figure, grid


def write_values(axes: Axes, values: Sequence[str]) -> None:
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
