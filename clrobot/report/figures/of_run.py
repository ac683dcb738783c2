"""Every figure of one run: the page shows them, `clrobot plot` writes them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clrobot.report.contents import Contents
from clrobot.report.figures.costs import Cost, StageCosts, cost_figure, stage_costs_figure
from clrobot.report.figures.curves import curves_figure
from clrobot.report.figures.matrices import forgetting_figure, matrix_figure
from clrobot.report.figures.style import Draw


def run_figures(run: Contents) -> dict[str, Draw]:
    """Return every figure of one run, by the name of its file."""
    metrics, names, own_stages = run.metrics, run.metrics.slot_names, run.in_sequence
    any_step, final_step = (np.array(R, float) for R in (metrics.success_matrix, metrics.success_matrix_final))
    figures: dict[str, Draw] = {
        "success_matrix": lambda width: matrix_figure(any_step, names, own_stages),
        "success_matrix_final_step": lambda width: matrix_figure(final_step, names, own_stages),
        "learning_curves": lambda width: curves_figure(
            run.scores, names, metrics.stage_ends, width=width, own_stages=own_stages
        ),
        "cost": lambda width: cost_figure([run_cost(run)], width),
    }
    if metrics.per_stage:
        figures["stage_costs"] = lambda width: stage_costs_figure([stage_costs(run.config.method, [run])], width)
    if len(names) > 1:
        figures["forgetting"] = lambda width: forgetting_figure(np.array(metrics.isolated_forgetting, float), names)
    return figures


def run_cost(run: Contents) -> Cost:
    """Return what one run took."""
    metrics = run.metrics
    return Cost(
        run.config.method,
        metrics.seconds.by_kind,
        metrics.parameters.trainable,
        metrics.parameters.total,
        metrics.memory_bytes,
    )


def stage_costs(label: str, runs: Sequence[Contents]) -> StageCosts:
    """Return what each stage that all runs have finished cost, as the mean over runs of one curriculum."""
    stages = zip(*(_stage_rows(run) for run in runs), strict=False)
    # (K, 3) of K stages
    means = np.array([np.mean(stage, axis=0) for stage in stages])
    parameters, memory, seconds = means.T
    return StageCosts(label, parameters.tolist(), memory.tolist(), seconds.tolist())


def _stage_rows(run: Contents) -> list[tuple[float, float, float]]:
    """Return parameters, bytes and seconds per 100,000 steps after or during each finished stage."""
    metrics = run.metrics
    rows: list[tuple[float, float, float]] = []
    for record, start, end in zip(metrics.per_stage, (0, *metrics.stage_ends), metrics.stage_ends, strict=False):
        seconds = (record.seconds.train + record.seconds.method) / max(1, end - start) * 1e5
        rows.append((record.parameters.total, record.memory_bytes, seconds))
    return rows
