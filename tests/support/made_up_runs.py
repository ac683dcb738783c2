"""Run folders with made-up scores, written as a training writes them, without training."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clrobot.experiment.config import make_config
from clrobot.results.run_metrics import Costs, run_metrics
from clrobot.results.scores import Score
from clrobot.results.stage_record import Parameters, Seconds, StageRecord, Steps
from clrobot.results.units import LayerUnits, Units
from clrobot.runs.folder import RunFolder
from clrobot.runs.metrics_file import write_metrics

SECONDS = Seconds(train=8.0, evaluate=1.0, method=0.5, record=0.0, save=0.5)


def score(stage: int, step: int, slot: int, success: float, **others: Any) -> Score:
    """Return a score of a slot (from 0) with half the success at the final step; `others` are the other fields."""
    usual = {"episodes": 10, "success_final": success / 2, "return_mean": 1.0, "length_mean": 50.0}
    return Score(stage=stage, step=step, slot=slot, success_any=success, **usual | others)


def scores_of(matrix: Sequence[Sequence[float]], ends: Sequence[int], episodes: int = 50) -> list[Score]:
    """Return the scores of a matrix R, rows 0 … K, and a learning curve in each stage: its first point is what the
    slot scored after the stage before, and one halfway lies between that and what it ended with.

    Args:
        matrix: its rows.
        ends: the step at which each stage ends.
        episodes: of each evaluation.
    """
    scores = []
    for stage, (row, end) in enumerate(zip(matrix, (0, *ends), strict=False)):
        if stage:
            own, start = stage - 1, (0, *ends)[stage - 1]
            first = matrix[stage - 1][own]
            scores.append(score(stage, start, own, first, episodes=episodes))
            scores.append(score(stage, (start + end) // 2, own, (first + row[own]) / 2, episodes=episodes))
        for slot, success in enumerate(row):
            by_head = (success,) * stage if slot == stage > 0 else None  # of the task that comes next
            scores.append(score(stage, end, slot, success, episodes=episodes, success_by_head=by_head))
    return scores


def costs(stages: int, seconds: Seconds = SECONDS, **others: Any) -> Costs:
    """Return the costs of a run with so many finished stages; `others` are the other fields."""
    parameters = Parameters(trainable=100, total=120)
    layer = LayerUnits(width=8, dormant=0.0, saturated=0.125, still=0.25, effective_rank=7)
    units = Units(actor=(layer,), critic=(layer,))
    records = [
        StageRecord(stage=n, parameters=parameters, memory_bytes=0, units=units, seconds=seconds)
        for n in range(1, stages + 1)
    ]
    usual = {
        "parameters": parameters,
        "memory_bytes": 0,
        "gradient_steps": Steps(learning=12, method=7),
        "method_environment_steps": 30,
        "task_inference_steps": 5,
    }
    return Costs(seconds=seconds, per_stage=tuple(records), **usual | others)


def made_up_run(
    path: Path,
    matrix: Sequence[Sequence[float]],
    *,
    names: Sequence[str] | None = None,
    versions: dict[str, str] | None = None,
    reference: Sequence[float] | None = None,
    steps: int | None = 64,
    costing: dict[str, Any] | None = None,
    **settings: Any,
) -> RunFolder:
    """A run with these success rates (50 episodes); fewer rows than its curriculum has make an unfinished one.

    Args:
        path: the folder.
        matrix: rows 0 … K of R.
        names: of the slots, where the metrics have others than the curriculum.
        versions: of packages, beside the true ones.
        reference: areas of each slot's task learned from scratch.
        steps: of each stage; None leaves the curriculum's own.
        costing: fields of `Costs`.
        settings: as for `make_config`, of the curriculum `quick` if they name none.
    """
    config = make_config(**({"curriculum": "quick", "steps": steps} | settings))
    run = RunFolder.create(path, config)
    if versions:
        environment = json.loads((path / "environment.json").read_text())
        run.write_json("environment.json", environment | {"versions": environment["versions"] | versions})
    ends = list(itertools.accumulate(stage.steps for stage in config.curriculum.stages))[: len(matrix) - 1]
    scores = scores_of(matrix, ends)
    run.scores_file.write_text("".join(score.to_line() for score in scores))
    slots = config.curriculum.slots if names is None else names
    write_metrics(run, run_metrics(scores, slots, ends, costs(len(ends), **costing or {}), reference))
    return run


TWO_SKILLS = {
    "name": "two skills",
    "stages": [{"task": "reach", "steps": 100}, {"task": "push", "steps": 200}],
}
TWO_ROWS = [(0.0, 0.125), (0.875, 0.25), (0.375, 1.0)]


def page_run(path: Path, names: Sequence[str] = ("reach", "push"), stages_done: int = 2) -> Path:
    """The folder of a run of two stages, with numbers that are all different."""
    costing = {
        "parameters": Parameters(trainable=1234, total=5678),
        "memory_bytes": 2500,
        "seconds": Seconds(train=75.0, evaluate=2.5, method=0.25, record=1.5, save=0.75),
    }
    settings = {"curriculum": TWO_SKILLS, "steps": None, "seed": 7, "ewc": {"strength": 400.0}}
    return made_up_run(path, TWO_ROWS[: stages_done + 1], names=names, costing=costing, **settings).path
