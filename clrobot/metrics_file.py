"""`metrics.json`: written by a training after every stage, and anew from a run's scores when references are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import ArrayLike

from clrobot.errors import UserError
from clrobot.files import MANIFEST
from clrobot.metrics import Score, read_scores, run_metrics, stage_ends
from clrobot.run_folder import RunFolder


@dataclass(frozen=True)
class Costs:
    """What the scores of a run do not tell."""

    parameters: Mapping[str, int]
    """`trainable` and `total`."""
    memory_bytes: int
    """What the method keeps beside the policy."""
    seconds: Mapping[str, float]
    """Wall-clock time by what it went into."""
    gradient_steps: int | None = None
    """Optimizer steps; None where they were not counted."""
    other: Mapping[str, Any] = field(default_factory=dict)
    """Everything else in the file, as it is to stand there."""


def write_metrics(
    run: RunFolder, scores: Sequence[Score], ends: Sequence[int], costs: Costs, reference: ArrayLike | None = None
) -> dict[str, Any]:
    """Write a run's `metrics.json` and note its checksum; return the content.

    Args:
        run: the folder.
        scores: in the order of the file.
        ends: the step at which each finished stage ended.
        costs: what the scores do not tell.
        reference: area under the curve of each slot's task learned from scratch, (N,), nan where there is none.
    """
    content = run_metrics(
        scores,
        run.config.curriculum.slots,
        ends,
        parameters=costs.parameters,
        memory_bytes=costs.memory_bytes,
        seconds=costs.seconds,
        gradient_steps=costs.gradient_steps,
        reference=reference,
    )
    content = dict(costs.other) | content
    # The checksums go first: a process that is killed in between leaves a run without them rather than a damaged one.
    (run.path / MANIFEST).unlink(missing_ok=True)
    run.write_json("metrics.json", content)
    run.record()
    return content


def rebuild_metrics(run: RunFolder, reference: ArrayLike | None = None) -> dict[str, Any]:
    """Write `metrics.json` anew from `scores.jsonl`; what scores do not tell is taken over from the old file.

    Raises:
        UserError: a file is missing or damaged, or the scores are of another curriculum.
    """
    old = run.read_metrics()
    scores = read_scores(run.scores_file)
    try:
        ends = stage_ends(scores, len(run.config.curriculum.stages))
        costs = Costs(old["parameters"], old["memory_bytes"], old["seconds"], old.get("gradient_steps"), old)
        return write_metrics(run, scores, ends, costs, reference)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{run.path / 'metrics.json'} does not fit the run's scores ({error}); train again"
        ) from error
