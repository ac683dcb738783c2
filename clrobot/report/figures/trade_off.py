"""What protection costs: success against one setting of a method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from clrobot.report.figures.defaults import library_defaults
from clrobot.report.figures.style import INK, PALETTE, STROKES, WIDE, quiet_axes

_FARTHEST: Final = 1_000  # times smaller than the smallest other value, where 0 is drawn on a logarithmic axis


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
    setting: str,
    at: Sequence[float],
    lines: Sequence[Line],
    default: float | None,
    width: float = WIDE,
    among: str = "",
) -> Figure:
    """Return rates against the values of one setting, with the default marked.

    Args:
        setting: the setting's name.
        at: its values, rising; 0 is drawn left of the smallest other one where the axis is logarithmic.
        lines: what is shown.
        default: the setting's default; None where it has no place on the axis.
        width: of the figure, in inches.
        among: in what else the values were tried, where that needs saying.
    """
    figure = Figure(figsize=(width, 3.2), layout="constrained")
    axes = quiet_axes(figure, 1, 1)[0]
    shown = sorted({*at, *([] if default is None else [default])})
    positive = [value for value in shown if value > 0]
    # Strengths and sizes go by factors; what can be negative does not.
    logarithmic = len(positive) > 1 and positive[-1] / positive[0] >= 8 and shown[0] >= 0
    zero = positive[0] / min(positive[1] / positive[0], _FARTHEST) if logarithmic else 0.0

    def place(value: float) -> float:
        return value if value > 0 or not logarithmic else zero

    places = [place(value) for value in at]
    if logarithmic:
        axes.set_xscale("log")
    axes.minorticks_off()
    ticks = [value for value in shown if value in at or (logarithmic and value == 0)]
    axes.set_xticks([place(value) for value in ticks], [f"{value:g}" for value in ticks])
    for line, colour, stroke in zip(lines, PALETTE, STROKES, strict=False):
        values, low, high = (np.array(part, float) for part in line[1:])
        axes.fill_between(places, low, high, color=colour, alpha=0.18, lw=0)
        axes.plot(places, values, "o", ls=stroke, color=colour, lw=1.6, ms=4, label=line.name)
    if default is not None:
        axes.axvline(place(default), color=INK, lw=0.9, ls=(0, (2, 2)), zorder=1)
        where: dict[str, Any] = {"ha": "center", "va": "bottom", "transform": axes.get_xaxis_transform()}
        axes.text(place(default), 1.01, "default", color=INK, size=8, **where)
    axes.set_ylim(-0.03, 1.03)
    axes.set_xlabel(f"{setting} ({among})" if among else setting, color=INK, parse_math=False)
    axes.set_ylabel("success", color=INK)
    axes.legend(loc="best", frameon=False, fontsize=9, labelcolor=INK)
    return figure
