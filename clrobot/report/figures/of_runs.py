"""Every figure of a run and of a comparison, from their contents: the page shows them, `clrobot plot` writes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from clrobot.errors import UserError
from clrobot.experiment.curriculum import Stage
from clrobot.report.contents import Contents, Matrix, read_run
from clrobot.report.figures.bars import (
    SECONDS,
    Bar,
    Cost,
    StageCosts,
    comparison_figure,
    cost_figure,
    stage_costs_figure,
)
from clrobot.report.figures.curves import Band, curves_figure, mean_curves_figure
from clrobot.report.figures.matrices import final_figure, forgetting_figure, matrix_figure
from clrobot.report.figures.style import WIDE, Array, save
from clrobot.report.figures.trade_off import Line, trade_off_figure
from clrobot.results.metrics import isolated_forgetting
from clrobot.results.scores import success_curve

if TYPE_CHECKING:
    from clrobot.comparison.comparison import Comparison, Group
    from clrobot.comparison.trade_off import TradeOff
    from clrobot.results.statistics import Statistic
    from clrobot.runs.folder import RunFolder

Draw = Callable[[float], Figure]
"""Draws a figure for a width in inches."""

COMPARED = (
    ("average_success", "average success"),
    ("forgetting", "forgetting"),
    ("forward_transfer", "forward transfer"),
)
"""Key in ``metrics.json`` and title of each panel of the comparison."""

RESAMPLES = 2_000
"""Of the intervals of learning curves, which are as many as points."""


# One run ---------------------------------------------------------------------------------------------------


def run_figures(run: Contents) -> dict[str, Draw]:
    """Every figure of one run, by the name of its file."""
    metrics, names = run.metrics, run.metrics.slot_names
    figures: dict[str, Draw] = {
        "success_matrix": lambda width: matrix_figure(_array(metrics.success_matrix), names),
        "success_matrix_final_step": lambda width: matrix_figure(_array(metrics.success_matrix_final), names),
        "learning_curves": lambda width: curves_figure(run.scores, names, metrics.stage_ends, width=width),
        "cost": lambda width: cost_figure([run_cost(run)], width),
    }
    if metrics.per_stage:
        figures["stage_costs"] = lambda width: stage_costs_figure([stage_costs(run.config.method, [run])], width)
    if len(names) > 1:
        figures["forgetting"] = lambda width: forgetting_figure(drops(run), names)
    return figures


def drops(run: Contents) -> Array:
    """Isolated forgetting, shape (N, N), as the run's file has it, or of its matrix where an older one has none."""
    drop = run.metrics.isolated_forgetting
    return isolated_forgetting(_array(run.metrics.success_matrix)) if drop is None else _array(drop)


def stage_costs(label: str, runs: Sequence[Contents]) -> StageCosts:
    """What each stage cost, as the mean over runs of one curriculum; None where a run did not note it."""

    def mean(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return float(np.mean(known)) if known and len(known) == len(values) else None

    columns = list(zip(*(_stage_rows(run) for run in runs), strict=False))
    means = [[mean(part) for part in zip(*stage, strict=True)] for stage in columns]
    parameters, memory, seconds = (list(part) for part in zip(*means, strict=True))
    return StageCosts(label, parameters, memory, seconds)


def _stage_rows(run: Contents) -> list[tuple[float | None, float | None, float | None]]:
    """Parameters, bytes and seconds per 100,000 steps after or during each finished stage."""
    rows: list[tuple[float | None, float | None, float | None]] = []
    for record, start, end in zip(
        run.metrics.per_stage, [0, *run.metrics.stage_ends], run.metrics.stage_ends, strict=False
    ):
        spent = record.seconds
        seconds = None if spent is None else (spent.train + spent.method) / max(1, end - start) * 1e5
        rows.append((record.parameters.total if record.parameters else None, record.memory_bytes, seconds))
    return rows


def run_cost(run: Contents) -> Cost:
    """What one run took."""
    seconds, parameters = run.metrics.seconds, run.metrics.parameters
    return Cost(
        run.config.method,
        seconds.by_kind,
        parameters.trainable,
        parameters.total,
        run.metrics.memory_bytes,
    )


# Several runs ----------------------------------------------------------------------------------------------


class Curves(NamedTuple):
    """The learning curves of methods that were trained through the same stages."""

    curriculum: str
    slot_names: tuple[str, ...]
    stage_ends: list[int]
    methods: Mapping[str, Sequence[Band]]

    def draw(self, width: float) -> Figure:
        """The figure."""
        return mean_curves_figure(self.methods, self.slot_names, self.stage_ends, width)


class Final(NamedTuple):
    """What methods that were trained through the same stages can do at the end."""

    curriculum: str
    slot_names: tuple[str, ...]
    groups: Sequence[Group]

    def draw(self, width: float) -> Figure:
        """The figure."""
        values = [[group.final_success[name].value for name in self.slot_names] for group in self.groups]
        return final_figure(_array(values), [group.label for group in self.groups], self.slot_names)


def comparison_figures(comparison: Comparison, runs: Mapping[Path, Contents]) -> dict[str, Draw]:
    """Every figure of a comparison, by the name of its file; `runs` by their folders."""
    from clrobot.comparison.trade_off import trade_offs

    figures: dict[str, Draw] = {
        "cost": lambda width: cost_figure(costs(comparison, runs), width),
    }
    if panels := bars(comparison, runs):
        figures["comparison"] = lambda width: comparison_figure(panels, width)
    if all(run.metrics.per_stage for run in runs.values()):
        by_group = [stage_costs(g.label, [runs[run.path] for run in g.runs]) for g in comparison.groups]
        figures["stage_costs"] = lambda width: stage_costs_figure(by_group, width)
    for trade_off in trade_offs(comparison):
        figures[f"trade_off_{trade_off.method}"] = partial(_draw_trade_off, trade_off)
    # Of several curricula each has figures of its own, numbered from the second.
    for n, curves in enumerate(mean_curves(comparison, runs), start=1):
        figures["learning_curves" + (f"_{n}" if n > 1 else "")] = curves.draw
    for n, final in enumerate(finals(comparison), start=1):
        figures["final_success" + (f"_{n}" if n > 1 else "")] = final.draw
    return figures


def _draw_trade_off(trade_off: TradeOff, width: float) -> Figure:
    from clrobot.comparison.trade_off import PARTS

    lines = [
        Line(
            name,
            [point.parts[name].value for point in trade_off.points],
            [point.parts[name].low for point in trade_off.points],
            [point.parts[name].high for point in trade_off.points],
        )
        for name in PARTS
    ]
    at = [point.value for point in trade_off.points]
    return trade_off_figure(trade_off.setting, at, lines, trade_off.default, width)


def bars(comparison: Comparison, runs: Mapping[Path, Contents]) -> dict[str, list[Bar]]:
    """The panels of the comparison's figure, by title."""
    panels = {}
    for key, title in COMPARED:
        if all(group.estimates[key].value is None for group in comparison.groups):
            continue
        panels[title] = [
            Bar(
                group.label,
                group.estimates[key].value,
                group.estimates[key].low,
                group.estimates[key].high,
                [getattr(runs[run.path].metrics, key) for run in group.runs],
            )
            for group in comparison.groups
        ]
    return panels


def costs(comparison: Comparison, runs: Mapping[Path, Contents]) -> list[Cost]:
    """What each method took, the mean over its runs."""
    found = []
    for group in comparison.groups:
        each = [run_cost(runs[run.path]) for run in group.runs]
        # A kind of time that one of the runs did not measure is not known of the method.
        kinds = [kind for kind in SECONDS if all(kind in cost.seconds for cost in each)]
        found.append(
            Cost(
                group.label,
                {kind: _mean(cost.seconds[kind] for cost in each) for kind in kinds},
                _mean(cost.trainable for cost in each),
                _mean(cost.total for cost in each),
                _mean(cost.memory for cost in each),
            )
        )
    return found


def mean_curves(comparison: Comparison, runs: Mapping[Path, Contents]) -> list[Curves]:
    """The learning curves over seeds, for each curriculum that was trained."""
    found = []
    for (name, slots, _), groups in _by_curriculum(comparison).items():
        members = {group.label: [runs[run.path] for run in group.runs] for group in groups}
        methods = {
            label: [band(each, slot, comparison.statistic) for slot in range(1, len(slots) + 1)]
            for label, each in members.items()
        }
        ends = max((run.metrics.stage_ends for each in members.values() for run in each), key=len)
        found.append(Curves(name, slots, ends, methods))
    return found


def finals(comparison: Comparison) -> list[Final]:
    """Success on each task at the end, for each curriculum that was trained."""
    return [Final(name, slots, groups) for (name, slots, _), groups in _by_curriculum(comparison).items()]


def _by_curriculum(comparison: Comparison) -> dict[tuple[str, tuple[str, ...], tuple[Stage, ...]], list[Group]]:
    """Groups by the name, the slots and the stages of what they were trained through."""
    found: dict[tuple[str, tuple[str, ...], tuple[Stage, ...]], list[Group]] = {}
    for group in comparison.groups:
        curriculum = group.runs[0].config.curriculum
        key = curriculum.name, tuple(group.final_success), curriculum.stages
        found.setdefault(key, []).append(group)
    return found


def band(runs: Sequence[Contents], slot: int, statistic: Statistic) -> Band:
    """The learning curve of a slot over the seeds, with its pointwise 95 % interval.

    Between its evaluations a seed's curve is linear; steps that a seed did not reach are left out.
    """
    from clrobot.results.statistics import CONFIDENCE, SEED, aggregate

    curves = [success_curve(run.scores, slot) for run in runs]
    if not all(len(curve.steps) for curve in curves):
        return Band(*(np.empty(0) for _ in range(4)))
    steps = np.unique(np.concatenate([curve.steps for curve in curves]))
    first, last = max(curve.steps[0] for curve in curves), min(curve.steps[-1] for curve in curves)
    steps = steps[(steps >= first) & (steps <= last)]
    values = np.array([np.interp(steps, curve.steps, curve.success) for curve in curves])
    mean = aggregate(values, statistic, axis=0)
    if len(runs) < 2:
        return Band(steps, mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan))
    # Whole runs are drawn again: (B, S) of them, hence (B, P) curves.
    rows = np.random.default_rng(SEED).integers(len(runs), size=(RESAMPLES, len(runs)))
    drawn = aggregate(values[rows], statistic, axis=1)
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(drawn, [tail, 100 - tail], axis=0)
    return Band(steps, mean, low, high)


# As files --------------------------------------------------------------------------------------------------

Format = Literal["png", "svg"]


def write_figures(figures: Mapping[str, Draw], folder: Path, formats: Sequence[Format]) -> list[Path]:
    """Write each figure into a folder, in each format.

    Raises:
        UserError: The folder cannot be made or written.
    """
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, draw in figures.items():
            for suffix in formats:
                path = folder / f"{name}.{suffix}"
                save(draw(WIDE), path)
                written.append(path)
    except OSError as error:
        raise UserError(f"--out {folder}: {error.strerror}; give a folder that can be written") from error
    return written


def write_all_figures(runs: Sequence[RunFolder], folder: Path, formats: Sequence[Format]) -> list[Path]:
    """Write the figures of a run; or those of a comparison, and each run's into a folder of its own inside.

    Raises:
        UserError: No run has a finished stage, a file is missing or is not what it should be, or the folder cannot be
            written.
    """
    if len(runs) == 1:
        return write_figures(run_figures(read_run(runs[0].path)), folder, formats)
    from clrobot.comparison.comparison import compare

    compared = compare(runs)
    contents = {run.path: read_run(run.path) for group in compared.groups for run in group.runs}
    written = write_figures(comparison_figures(compared, contents), folder, formats)
    for name, run in zip(labels(list(contents.values())), contents.values(), strict=True):
        written += write_figures(run_figures(run), folder / name, formats)
    return written


def labels(runs: Sequence[Contents]) -> list[str]:
    """A name for each run, no two of which are equal and each of which can name a folder."""
    folders = [run.path.resolve() for run in runs]
    names = [folder.name for folder in folders]
    for parent in range(max(len(folder.parts) for folder in folders) - 1):
        if len(set(names)) == len(names):
            break
        names = [
            name
            if names.count(name) == 1 or parent >= len(folder.parents) - 1
            else f"{folder.parents[parent].name}-{name}"
            for folder, name in zip(folders, names, strict=True)
        ]
    return names


def _mean(values: Iterable[float | None]) -> float:
    return float(np.mean([value for value in values if value is not None]))


def _array(matrix: Matrix) -> Array:
    return np.array([[np.nan if value is None else value for value in row] for row in matrix], float)
