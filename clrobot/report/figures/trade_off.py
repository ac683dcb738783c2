"""What protection costs: success against one setting of a method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from clrobot.report.figures.defaults import library_defaults
from clrobot.report.figures.style import INK, PALETTE, STROKES, WIDE, quiet_axes


class Line(NamedTuple):
    """One quantity against a setting.

    Attributes:
        name: what it is.
        values: at each value of the setting; None where it is undefined.
        low: lower ends of the intervals; None where there is none.
        high: their upper ends.
    """

    name: str
    values: Sequence[float | None]
    low: Sequence[float | None]
    high: Sequence[float | None]


@library_defaults()
def trade_off_figure(
    setting: str, at: Sequence[float], lines: Sequence[Line], default: float, width: float = WIDE
) -> Figure:
    """Return rates against the values of one setting, with the default marked.

    Args:
        setting: the setting's name.
        at: its values, rising; 0 is drawn left of the smallest other one where the axis is logarithmic.
        lines: what is shown.
        default: the setting's default.
        width: of the figure, in inches.
    """
    positive = [value for value in at if value > 0]
    figure = Figure(figsize=(width, 3.2), layout="constrained")
    axes = quiet_axes(figure, 1, 1)[0]
    # Strengths and sizes go by factors.
    logarithmic = len(positive) > 1 and positive[-1] / positive[0] >= 8
    zero = positive[0] ** 2 / positive[1] if logarithmic else 0.0
    places = [value if value > 0 or not logarithmic else zero for value in at]
    if logarithmic:
        axes.set_xscale("log")
    axes.minorticks_off()
    axes.set_xticks(places, [f"{value:g}" for value in at])
    for line, colour, stroke in zip(lines, PALETTE, STROKES, strict=False):
        values, low, high = (np.array(part, float) for part in line[1:])
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
