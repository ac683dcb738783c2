"""Heat maps: success after each stage, what each stage hurt, success at the end."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from clrobot.report.figures.defaults import library_defaults
from clrobot.report.figures.style import CHANGE, HEAT, INK, quiet_axes, shorten_all
from clrobot.results.fields import own_stage
from clrobot.results.metrics import Array
from clrobot.results.numbers import DASH, number

_TURNED: Final = 40  # degrees, of a name that is wider than its column


@library_defaults()
def matrix_figure(R: ArrayLike, slot_names: Sequence[str], own_stages: bool = True) -> Figure:
    """Return a heat map of a score matrix, the number in every cell and each task's own stage outlined.

    Args:
        R: success rates, shape (N+1, N), row 0 before any training; nan is shown as "–".
        slot_names: one for each of the N slots.
        own_stages: whether each has a stage of its own.
    """
    R = np.asarray(R, float)
    slots = len(slot_names)
    if R.shape != (slots + 1, slots):
        raise ValueError(f"{slots} slots have a matrix of shape ({slots + 1}, {slots}), got {R.shape}")
    figure = _heat_figure(R, ["before training", *_stage_labels(slot_names)], slot_names, HEAT, (0, 1), "after stage")
    for slot in range(slots) if own_stages else ():
        own = Rectangle((slot, own_stage(slot)), 1, 1, fill=False, edgecolor=INK, linewidth=1.5, zorder=2)
        figure.axes[0].add_patch(own)
    return figure


@library_defaults()
def forgetting_figure(drop: ArrayLike, slot_names: Sequence[str]) -> Figure:
    """Return a heat map of which stage hurt which skill.

    Args:
        drop: isolated forgetting R[i-1, j] - R[i, j], shape (N, N), row i-1 for stage i; nan where j >= i.
        slot_names: one for each of the N slots.
    """
    drop = np.asarray(drop, float)
    slots = len(slot_names)
    if drop.shape != (slots, slots):
        raise ValueError(f"{slots} slots have isolated forgetting of shape ({slots}, {slots}), got {drop.shape}")
    if slots == 1:
        raise ValueError("one slot has no later stage that could hurt it")
    # The first stage can hurt nothing, and nothing comes after the last.
    return _heat_figure(
        drop[1:, :-1],
        _stage_labels(slot_names)[1:],
        slot_names[:-1],
        CHANGE,
        (-1, 1),
        "during stage",
        signed=True,
        # What a stage did to a skill that was still to come is no forgetting.
        empty=lambda row, column: column > row,
    )


@library_defaults()
def transfer_figure(gain: ArrayLike, tasks: Sequence[str], width: float | None = None) -> Figure:
    """Return a heat map of which task helps which.

    Args:
        gain: forward transfer FT(i → j), shape (N, N), row i for the task learned first; nan where there is none.
        tasks: one name for each.
        width: in inches; None: as wide as the names and numbers need.
    """
    gain = np.asarray(gain, float)
    figure = _heat_figure(
        gain, tasks, tasks, CHANGE.reversed(), (-1, 1), "learned first", signed=True, empty=lambda i, j: i == j
    )
    if width is not None and width > figure.get_figwidth():
        figure.set_figwidth(width)
    return figure


@library_defaults()
def final_figure(final: ArrayLike, rows: Sequence[str], slot_names: Sequence[str]) -> Figure:
    """Return a heat map of what each method can do at the end.

    Args:
        final: success rates after the last stage, shape (M, N) for M methods and N slots.
        rows: one label for each method.
        slot_names: one for each slot.
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
    empty: Callable[[int, int], bool] = lambda row, column: False,
) -> Figure:
    """Return a heat map with the number in every cell, columns named above; of `empty` cells nan shows nothing."""
    cell = 1.0 if len(columns) <= 6 else 0.7  # inches
    names = shorten_all(columns)
    longest = max(map(len, names)) * 0.075  # inches: as wide as a letter is at 9 points
    above = max(0.0, longest * math.sin(math.radians(_TURNED)) - 0.8) if longest > cell else 0.0
    figure = Figure(figsize=(2.2 + cell * len(columns), 1.0 + above + 0.4 * len(rows)), layout="constrained")
    axes = quiet_axes(figure, 1, 1)[0]
    # One polygon per cell, a hair apart: no raster image, no grid lines.
    style: dict[str, Any] = {"vmin": limits[0], "vmax": limits[1], "edgecolor": "white", "linewidth": 1.2}
    axes.pcolormesh(np.ma.masked_invalid(values), cmap=colours, **style)
    for (row, column), value in np.ndenumerate(values):
        missing = np.isnan(value)
        strong = abs(value) > 0.7
        colour = INK if missing else "#ffffff" if strong else "#1a1a1a"
        text = ("" if empty(row, column) else DASH) if missing else number(value, signed=signed)
        axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", color=colour, size=9)
    axes.set_yticks(np.arange(len(rows)) + 0.5, shorten_all(rows), parse_math=False)
    axes.set_xticks(np.arange(len(columns)) + 0.5, names, parse_math=False)
    if longest > cell:
        axes.tick_params(axis="x", rotation=_TURNED)
        for label in axes.get_xticklabels():
            label.set(ha="left", rotation_mode="anchor")
    axes.tick_params(length=0, top=False, labeltop=True, bottom=False, labelbottom=False)
    axes.set_ylabel(ylabel, color=INK)
    axes.spines[:].set_visible(False)
    axes.set(xlim=(0, len(columns)), ylim=(len(rows), 0))
    return figure


def _stage_labels(slot_names: Sequence[str]) -> list[str]:
    """Return the name of each stage's row; stages count from 1."""
    return [f"{stage} · {name}" for stage, name in enumerate(shorten_all(slot_names), start=1)]
