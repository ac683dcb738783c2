"""Figures of a run, as vector graphics that read on a light and on a dark page.

They are plain ``matplotlib.figure.Figure`` objects: no pyplot, no global state, no window.
"""

import io
import itertools
import warnings
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from clrobot.metrics import Reading, Score, success_curve

INK = "#767676"
"""Text and axes: contrast at least 4.5 on white and on near-black."""

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""One colour per task, in turn (Okabe and Ito's palette, less the black and the yellow)."""

HEAT = LinearSegmentedColormap.from_list("success", ["#e6eff6", "#7fb2d6", "#0b5c94"])
"""Success 0 to 1: one hue, ordered by lightness."""


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
    figure = Figure(figsize=(2.2 + 0.8 * slots, 1.0 + 0.4 * (slots + 1)), layout="constrained")
    axes = _axes(figure, 1)[0]
    # One polygon per cell, a hair apart: no raster image, no grid lines.
    axes.pcolormesh(np.ma.masked_invalid(R), cmap=HEAT, vmin=0, vmax=1, edgecolor="none")
    for (row, column), value in np.ndenumerate(R):
        missing = np.isnan(value)
        colour = INK if missing else "#ffffff" if value > 0.7 else "#1a1a1a"
        text = "–" if missing else f"{value:.2f}"
        axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", color=colour, size=9)
    for stage in range(1, slots + 1):
        own = Rectangle((stage - 1, stage), 1, 1, fill=False, edgecolor=INK, linewidth=1.5, zorder=2)
        axes.add_patch(own)
    rows = [
        "before training",
        *(f"{stage} · {_label(name)}" for stage, name in enumerate(slot_names, start=1)),
    ]
    axes.set_yticks(np.arange(slots + 1) + 0.5, rows, parse_math=False)
    axes.set_xticks(np.arange(slots) + 0.5, [_label(name) for name in slot_names], parse_math=False)
    if slots > 5:
        axes.tick_params(axis="x", rotation=40)
        for label in axes.get_xticklabels():
            label.set(ha="left", rotation_mode="anchor")
    axes.tick_params(length=0, top=False, labeltop=True, bottom=False, labelbottom=False)
    axes.set_ylabel("after stage", color=INK)
    axes.spines[:].set_visible(False)
    axes.set(xlim=(0, slots), ylim=(slots + 1, 0))
    return figure


def curves_figure(
    scores: Sequence[Score],
    slot_names: Sequence[str],
    stage_ends: Sequence[int],
    reading: Reading = "any",
    width: float = 7.2,
) -> Figure:
    """Success of every task over the whole run: one row per task, its own stage shaded.

    Args:
        scores: In the order of the file.
        slot_names: One for each of the N slots.
        stage_ends: The step at which each finished stage ended, in order.
        reading: Which reading of success.
        width: Of the figure, in inches.
    """
    slots = len(slot_names)
    figure = Figure(figsize=(width, 0.7 + 0.85 * slots), layout="constrained")
    rows = _axes(figure, slots)
    last = max([1, *stage_ends, *(score.step for score in scores)])
    # A stage that has not ended reaches to the last score.
    bounds = [0, *stage_ends, last]
    unit, divisor = ("steps", 1) if last < 10_000 else ("thousand steps", 1_000)
    for slot, (axes, name) in enumerate(zip(rows, slot_names, strict=True), start=1):
        colour = PALETTE[(slot - 1) % len(PALETTE)]
        curve = success_curve(scores, slot, reading)
        if slot < len(bounds):
            axes.axvspan(bounds[slot - 1] / divisor, bounds[slot] / divisor, color=colour, alpha=0.14, lw=0)
        for end in stage_ends:
            axes.axvline(end / divisor, color=INK, lw=0.7, ls=(0, (2, 3)), zorder=1)
        if curve.steps.size:
            steps, ends = curve.steps / divisor, np.isin(curve.steps, [0, *stage_ends])
            style: dict[str, Any] = {"color": colour, "clip_on": False, "zorder": 3}
            axes.plot(steps, curve.success, lw=1.8, **style)
            axes.plot(steps[ends], curve.success[ends], "o", ms=4, **style)
        axes.set(xlim=(0, last / divisor), ylim=(-0.04, 1.04))
        axes.set_yticks([0, 1], ["0", "1"])
        axes.set_ylabel(
            _label(name),
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
    for stage, (start, end) in enumerate(itertools.pairwise(bounds), start=1):
        if end > start:
            middle = (start + end) / 2 / divisor
            rows[0].annotate(
                f"stage {stage}" if slots <= 6 else str(stage),
                (middle, 1),
                xycoords=("data", "axes fraction"),
                xytext=(0, 5),
                textcoords="offset points",
                ha="center",
                color=INK,
                size=9,
            )
    rows[-1].set_xlabel(unit, color=INK)
    return figure


def to_svg(fig: Figure) -> str:
    """The figure as an ``<svg>`` element to stand inside a page: text stays text, nothing is loaded.

    The same figure gives the same bytes. Figures of different widths share no ids within a page.
    """
    salt = f"clrobot {fig.get_figwidth()}"
    buffer = io.StringIO()
    nobody = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}), warnings.catch_warnings():
        # The reader's own font draws the text, so it does not matter what matplotlib's lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        fig.savefig(buffer, format="svg", transparent=True, metadata=nobody)
    text = buffer.getvalue()
    return text[text.index("<svg") :].strip()


def _axes(figure: Figure, rows: int) -> list[Axes]:
    """Transparent axes one below the other, in the quiet ink."""
    grid = figure.subplots(rows, 1, sharex=True, squeeze=False)
    for axes in grid[:, 0]:
        axes.patch.set_alpha(0)
        axes.tick_params(colors=INK, labelsize=9)
        axes.spines[:].set(color=INK, linewidth=0.7)
    return list(grid[:, 0])


def _label(name: str) -> str:
    """A name that leaves room for the figure."""
    return name if len(name) <= 28 else f"{name[:27]}…"
