"""Run folders with made-up scores, written as a training writes them, without training."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
