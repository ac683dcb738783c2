"""Run folders with made-up scores, written as a training writes them, without training."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from clrobot.experiment.config import make_config
from clrobot.results.scores import Score
from clrobot.runs.folder import RunFolder
from clrobot.runs.metrics_file import run_metrics

PARAMETERS = {"trainable": 100, "total": 120}
SECONDS = {"train": 8.0, "evaluate": 1.0, "method": 0.5, "record": 0.0, "save": 0.5}


def scores_of(matrix: Sequence[Sequence[float]], steps: int, episodes: int = 50) -> list[Score]:
    """The scores of a matrix R, rows 0 … K, with stages of `steps` steps and one more point halfway in each."""
    scores = []
    for stage, row in enumerate(matrix):
        if stage:
            halfway = (matrix[stage - 1][stage - 1] + row[stage - 1]) / 2
            scores.append(Score(stage, stage * steps - steps // 2, stage, episodes, halfway, halfway / 2, 1.0))
        scores += [Score(stage, stage * steps, slot, episodes, p, p / 2, 1.0) for slot, p in enumerate(row, start=1)]
    return scores


def made_up_run(
    path: Path,
    matrix: Sequence[Sequence[float]],
    *,
    versions: dict[str, str] | None = None,
    reference: Sequence[float] | None = None,
    steps: int = 64,
    **settings: Any,
) -> RunFolder:
    """A run of `quick` with these success rates (50 episodes); fewer than four rows make an unfinished one."""
    config = make_config(**({"curriculum": "quick", "steps": steps} | settings))
    run = RunFolder.create(path, config)
    if versions:
        environment = json.loads((path / "environment.json").read_text())
        run.write_json("environment.json", environment | {"versions": environment["versions"] | versions})
    scores = scores_of(matrix, config.curriculum.stages[0].steps)
    run.scores_file.write_text("".join(json.dumps(dataclasses.asdict(score)) + "\n" for score in scores))
    ends = [score.step for score in scores if score.slot == 1 and score.stage and score.step % steps == 0]
    content = run_metrics(
        scores,
        config.curriculum.slots,
        sorted(set(ends)),
        parameters=PARAMETERS,
        memory_bytes=0,
        seconds=SECONDS,
        reference=reference,
    )
    run.write_json("metrics.json", content | {"diverged_simulations": 0, "failed_recordings": 0})
    run.record()
    return run


NAMES = ["reach", "push"]


def page_run(run: Path, names: list[str] = NAMES, stages_done: int = 2) -> Path:
    """A run of two stages, as training leaves it."""
    rows = [(0, 0, (0.0, 0.125)), (1, 100, (0.875, 0.25)), (2, 300, (0.375, 1.0))][: stages_done + 1]
    scores = [
        Score(stage, step, slot, 8, success, success / 2, 1.0)
        for stage, step, row in rows
        for slot, success in enumerate(row, start=1)
    ]
    metrics = run_metrics(
        scores,
        names,
        [100, 300][:stages_done],
        parameters={"trainable": 1234, "total": 5678},
        memory_bytes=2500,
        seconds={"train": 75.0, "evaluate": 2.5, "method": 0.25},
    )
    config = {
        "curriculum": {"name": "two skills", "stages": [{"task": name, "steps": 100} for name in names]},
        "method": "ewc",
        "seed": 7,
        "strength": 400.0,
    }
    run.mkdir(exist_ok=True)
    (run / "scores.jsonl").write_text("".join(json.dumps(dataclasses.asdict(s)) + "\n" for s in scores))
    (run / "metrics.json").write_text(json.dumps(metrics))
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    (run / "environment.json").write_text(json.dumps({"python": "3.11", "packages": {"torch": "2.9"}}))
    return run
