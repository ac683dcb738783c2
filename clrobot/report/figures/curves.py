"""Learning curves, of one run and over seeds."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from clrobot.report.figures.defaults import library_defaults
from clrobot.report.figures.style import INK, PALETTE, WIDE, line_legend, line_style, quiet_axes, shorten_all
from clrobot.results.fields import own_stage
from clrobot.results.metrics import Array
from clrobot.results.scores import Reading, Score, success_curve


@library_defaults()
def curves_figure(
    scores: Sequence[Score],
    slot_names: Sequence[str],
    stage_ends: Sequence[int],
    reading: Reading = "any",
    width: float = WIDE,
    own_stages: bool = True,
) -> Figure:
    """Return the success of every task over the whole run: one row per task, its own stage shaded.

    Args:
        scores: in the order of the file.
        slot_names: one for each of the N slots.
        stage_ends: the step at which each finished stage ended, in order.
        reading: which reading of success.
        width: of the figure, in inches.
        own_stages: whether each task has a stage of its own.
    """
    curves = [success_curve(scores, slot, reading) for slot in range(len(slot_names))]
    last = max([1, *stage_ends, *(score.step for score in scores)])
    figure, rows, divisor = _curve_rows(slot_names, stage_ends, last, width, own_stages=own_stages)
    for axes, curve, colour in zip(rows, curves, itertools.cycle(PALETTE), strict=False):
        if curve.steps.size:
            steps, ends = curve.steps / divisor, np.isin(curve.steps, [0, *stage_ends])
            style: dict[str, Any] = {"color": colour, "clip_on": False, "zorder": 3}
            axes.plot(steps, curve.success, lw=1.8, **style)
            axes.plot(steps[ends], curve.success[ends], "o", ms=4, **style)
    return figure


class Band(NamedTuple):
    """A learning curve over several seeds.

    Attributes:
        steps: environment steps since the start of the run, increasing, shape (P,).
        mean: success over the seeds, shape (P,).
        low: lower end of the interval, shape (P,); nan where there is none.
        high: its upper end, shape (P,).
    """

    steps: Array
    mean: Array
    low: Array
    high: Array


@library_defaults()
def mean_curves_figure(
    methods: Mapping[str, Sequence[Band]],
    slot_names: Sequence[str],
    stage_ends: Sequence[int],
    width: float = WIDE,
) -> Figure:
    """Return the success of every task over the whole run, one line for each method, with its interval over seeds.

    Args:
        methods: for each label the bands of the N slots.
        slot_names: one for each slot.
        stage_ends: the step at which each finished stage ended, in order.
        width: of the figure, in inches.
    """
    last = max(
        [1, *stage_ends, *(int(band.steps[-1]) for bands in methods.values() for band in bands if len(band[0]))]
    )
    figure, rows, divisor = _curve_rows(slot_names, stage_ends, last, width, colour="#8a8a8a", height=1.05)
    for n, bands in enumerate(methods.values()):
        colour, stroke = line_style(n)
        for axes, band in zip(rows, bands, strict=True):
            steps = band.steps / divisor
            axes.fill_between(steps, band.low, band.high, color=colour, alpha=0.18, lw=0, zorder=2)
            axes.plot(steps, band.mean, color=colour, ls=stroke, lw=1.6, zorder=3)
    line_legend(figure, rows[0].get_lines()[-len(methods) :], list(methods), width)
    return figure


def _curve_rows(
    slot_names: Sequence[str],
    stage_ends: Sequence[int],
    last: int,
    width: float,
    colour: str | None = None,
    height: float = 0.85,
    own_stages: bool = True,
) -> tuple[Figure, list[Axes], int]:
    """Return empty axes for the success of each slot over the steps of a run, and what the steps are divided by.

    The own stage of each slot is shaded in `colour`, by default that of the slot.
    """
    slots = len(slot_names)
    figure = Figure(figsize=(width, 0.7 + height * slots), layout="constrained")
    rows = quiet_axes(figure, slots, 1)
    # A stage that has not ended reaches to the last score.
    bounds = [0, *stage_ends, last]
    unit, divisor = _steps_unit(last)
    names = shorten_all(slot_names, 28 if width >= WIDE else 14)
    for slot, (axes, name) in enumerate(zip(rows, names, strict=True)):
        if own_stages and (stage := own_stage(slot)) < len(bounds):
            own = bounds[stage - 1] / divisor, bounds[stage] / divisor
            axes.axvspan(*own, color=colour or PALETTE[slot % len(PALETTE)], alpha=0.14, lw=0)
        for end in stage_ends:
            axes.axvline(end / divisor, color=INK, lw=0.7, ls=(0, (2, 3)), zorder=1)
        axes.set(xlim=(0, last / divisor), ylim=(-0.04, 1.04))
        axes.set_yticks([0, 1], ["0", "1"])
        axes.set_ylabel(
            name,
            rotation=0,
            ha="right",
            va="center",
            color=INK,
            size=10,
            labelpad=8,
            parse_math=False,
        )
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(length=3, labelbottom=axes is rows[-1])
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
