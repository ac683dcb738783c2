"""Every figure of a comparison: the page shows them, `clrobot plot` writes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from clrobot.comparison.comparison import Comparison
from clrobot.comparison.groups import Group
from clrobot.comparison.sections import by_baseline
from clrobot.comparison.trade_off import PARTS, TradeOff, trade_offs
from clrobot.experiment.curriculum import Stage
from clrobot.report.contents import Contents
from clrobot.report.figures.bars import Bar, comparison_figure, differences_figure
from clrobot.report.figures.costs import SECONDS, Cost, cost_figure, stage_costs_figure
from clrobot.report.figures.curves import Band, mean_curves_figure
from clrobot.report.figures.dots import transfer_by_task_figure
from clrobot.report.figures.matrices import final_figure
from clrobot.report.figures.of_run import run_cost, stage_costs
from clrobot.report.figures.style import Draw
from clrobot.report.figures.trade_off import Line, trade_off_figure
from clrobot.results.catalogue import DIFFERENCE_PANELS, PANELS, SKILL_PANELS, Metric
from clrobot.results.numbers import number_of_kind
from clrobot.results.scores import success_curve
from clrobot.results.statistics import Estimate, Statistic, aggregate, pointwise_interval
from clrobot.runs.ceiling import best_transfers
from clrobot.runs.transfer_file import published_transfer


class Curves(NamedTuple):
    """The learning curves of methods that were trained through the same stages.

    Attributes:
        curriculum: its name.
        slot_names: one for each slot.
        stage_ends: the step at which each finished stage ended.
        methods: for each label one band for each slot.
    """

    curriculum: str
    slot_names: tuple[str, ...]
    stage_ends: tuple[int, ...]
    methods: Mapping[str, Sequence[Band]]

    def draw(self, width: float) -> Figure:
        """Return the figure, of a width in inches."""
        return mean_curves_figure(self.methods, self.slot_names, self.stage_ends, width)


class FinalSuccess(NamedTuple):
    """What methods that were trained through the same stages can do at the end.

    Attributes:
        curriculum: its name.
        slot_names: one for each slot.
        groups: a row for each.
    """

    curriculum: str
    slot_names: tuple[str, ...]
    groups: Sequence[Group]

    def draw(self, width: float) -> Figure:
        """Return the figure, whose width is that of its cells."""
        values = [[group.final_success[name].value for name in self.slot_names] for group in self.groups]
        return final_figure(np.array(values, float), [group.label for group in self.groups], self.slot_names)


class TransferByTask(NamedTuple):
    """Forward transfer to each task of methods that were trained through the same stages.

    Attributes:
        curriculum: its name.
        slot_names: one for each slot from the second on: the first has nothing to transfer from.
        rows: for each label one estimate for each of them.
        ceiling: what each would get from the best of the earlier ones, by the published transfer matrix; or nothing.
    """

    curriculum: str
    slot_names: tuple[str, ...]
    rows: Mapping[str, Sequence[Estimate]]
    ceiling: Sequence[float]

    def draw(self, width: float) -> Figure:
        """Return the figure, of a width in inches."""
        return transfer_by_task_figure(self.rows, self.slot_names, self.ceiling, width)


def comparison_figures(comparison: Comparison, runs: Mapping[Path, Contents]) -> dict[str, Draw]:
    """Return every figure of a comparison, by the name of its file; `runs` by their folders."""
    figures: dict[str, Draw] = {"cost": lambda width: cost_figure(costs(comparison, runs), width)}
    # Stage by stage nothing can be said of runs each of which has its tasks in an order of its own.
    ordered = [group for group in comparison.groups if group.in_one_order]
    if by_group := [stage_costs(group.label, [runs[run.path] for run in group.runs]) for group in ordered]:
        figures["stage_costs"] = lambda width: stage_costs_figure(by_group, width)
    if panels := bars(comparison):
        figures["comparison"] = lambda width: comparison_figure(panels, width)
    if skill := bars(comparison, SKILL_PANELS):
        figures["skill"] = lambda width: comparison_figure(skill, width)
    for n, each in enumerate(difference_bars(comparison).values(), start=1):
        figures["differences" + (f"_{n}" if n > 1 else "")] = partial(differences_figure, each)
    # Of several curricula each has figures of its own, numbered from the second.
    drawn: list[str] = []
    for trade_off in trade_offs(comparison):
        drawn.append(trade_off.method)
        n = drawn.count(trade_off.method)
        figures[f"trade_off_{trade_off.method}" + (f"_{n}" if n > 1 else "")] = partial(_draw_trade_off, trade_off)
    by_curriculum: dict[str, Sequence[Curves | FinalSuccess | TransferByTask]] = {
        "learning_curves": mean_curves(comparison, runs),
        "final_success": final_successes(comparison),
        "transfer_by_task": transfers_by_task(comparison),
    }
    for name, every in by_curriculum.items():
        figures |= {name + (f"_{n}" if n > 1 else ""): each.draw for n, each in enumerate(every, start=1)}
    return figures


def _draw_trade_off(trade_off: TradeOff, width: float) -> Figure:
    points = trade_off.points
    lines = [
        Line(
            name,
            [point.parts[name].value for point in points],
            [point.parts[name].low for point in points],
            [point.parts[name].high for point in points],
        )
        for name in PARTS
    ]
    values = [point.value for point in points]
    return trade_off_figure(trade_off.setting, values, lines, trade_off.default, width, trade_off.among)


def bars(comparison: Comparison, metrics: Sequence[Metric] = PANELS) -> dict[str, list[Bar]]:
    """Return a panel of bars for each of the metrics that some method defines, by title."""
    panels = {}
    for metric in metrics:
        found = [(group, group.estimates[metric.name]) for group in comparison.groups]
        if any(estimate.value is not None for _, estimate in found):
            panels[metric.title] = [
                _bar(group.label, estimate, list(group.by_seed(metric.name).values()), metric)
                for group, estimate in found
            ]
    return panels


def difference_bars(comparison: Comparison) -> dict[str, dict[str, list[Bar]]]:
    """Return for each baseline's label panels of the differences to it, by title, of what some method defines."""
    found = {}
    for baseline, differences in by_baseline(comparison).items():
        panels = {}
        for metric in DIFFERENCE_PANELS:
            each = [(d, d.estimates[metric.name]) for d in differences]
            if any(estimate.value is not None for _, estimate in each):
                panels[metric.title] = [
                    _bar(d.group.label, estimate, d.samples(metric.name), metric, signed=True) for d, estimate in each
                ]
        if panels:
            found[baseline] = panels
    return found


def _bar(
    label: str, estimate: Estimate, samples: Sequence[float | None], metric: Metric, *, signed: bool = False
) -> Bar:
    text = number_of_kind(estimate.value, metric.kind, signed=signed)
    return Bar(label, estimate.value, estimate.low, estimate.high, samples, text)


def costs(comparison: Comparison, runs: Mapping[Path, Contents]) -> list[Cost]:
    """Return what each method took, the mean over its runs."""
    found = []
    for group in comparison.groups:
        each = [run_cost(runs[run.path]) for run in group.runs]
        found.append(
            Cost(
                group.label,
                {kind: _mean(cost.seconds[kind] for cost in each) for kind in SECONDS},
                _mean(cost.trainable for cost in each),
                _mean(cost.total for cost in each),
                _mean(cost.memory for cost in each),
            )
        )
    return found


def mean_curves(comparison: Comparison, runs: Mapping[Path, Contents]) -> list[Curves]:
    """Return the learning curves over seeds, for each curriculum that was trained in one order by all seeds."""
    found = []
    for (name, slots, _), groups in _by_curriculum(comparison).items():
        members = {group.label: [runs[run.path] for run in group.runs] for group in groups if group.in_one_order}
        if not members:
            continue
        methods = {
            label: [band(each, slot, comparison.statistic) for slot in range(len(slots))]
            for label, each in members.items()
        }
        ends = max((run.metrics.stage_ends for each in members.values() for run in each), key=len)
        found.append(Curves(name, slots, ends, methods))
    return found


def final_successes(comparison: Comparison) -> list[FinalSuccess]:
    """Return the success on each task at the end, for each curriculum that was trained."""
    return [FinalSuccess(name, slots, groups) for (name, slots, _), groups in _by_curriculum(comparison).items()]


def transfers_by_task(comparison: Comparison) -> list[TransferByTask]:
    """Return the forward transfer to each task, for each curriculum of which some is measured."""
    found = []
    for (name, slots, _), groups in _by_curriculum(comparison).items():
        ordered = all(group.in_one_order for group in groups)
        later = slots[1:] if ordered else slots
        rows = {group.label: [group.tasks["forward_transfer"][slot] for slot in later] for group in groups}
        rows = {label: estimates for label, estimates in rows.items() if any(e.n for e in estimates)}
        if rows:
            ceiling = (best_transfers(groups[0].config.curriculum, published_transfer()) if ordered else None) or []
            found.append(TransferByTask(name, later, rows, ceiling))
    return found


def _by_curriculum(comparison: Comparison) -> dict[tuple[str, tuple[str, ...], tuple[Stage, ...]], list[Group]]:
    """Return groups by the name, the slots and the stages of what they were trained through."""
    found: dict[tuple[str, tuple[str, ...], tuple[Stage, ...]], list[Group]] = {}
    for group in comparison.groups:
        curriculum = group.config.curriculum
        key = curriculum.name, tuple(group.final_success), curriculum.stages
        found.setdefault(key, []).append(group)
    return found


def band(runs: Sequence[Contents], slot: int, statistic: Statistic) -> Band:
    """Return the learning curve of a slot (from 0) over the seeds, with its pointwise 95 % interval.

    Between its evaluations a seed's curve is linear; steps that a seed did not reach are left out.
    """
    curves = [success_curve(run.scores, slot) for run in runs]
    if not all(len(curve.steps) for curve in curves):
        return Band(*(np.empty(0) for _ in range(4)))
    steps = np.unique(np.concatenate([curve.steps for curve in curves]))
    first, last = max(curve.steps[0] for curve in curves), min(curve.steps[-1] for curve in curves)
    steps = steps[(steps >= first) & (steps <= last)]
    values = np.array([np.interp(steps, curve.steps, curve.success) for curve in curves])
    mean = aggregate(values, statistic, axis=0)
    return Band(steps, mean, *pointwise_interval(values, statistic, bounds=(0.0, 1.0)))


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))
