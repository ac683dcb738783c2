"""`metrics.json`: written by a training after every stage, and anew from a run's scores when references are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from clrobot.errors import UserError
from clrobot.files import MANIFEST
from clrobot.results.metrics import (
    average_success,
    backward_transfer,
    forgetting,
    forward_transfer,
    isolated_forgetting,
    learned_after_own_stage,
    mean_or_nan,
    plasticity,
    retention,
    zero_shot_gains,
    zero_shot_transfer,
)
from clrobot.results.scores import Score, finished_rows, stage_auc, stage_ends, success_matrix, to_json
from clrobot.runs.folder import RunFolder
from clrobot.runs.score_book import read_scores


def run_metrics(
    scores: Sequence[Score],
    slot_names: Sequence[str],
    stage_ends: Sequence[int],
    *,
    parameters: Mapping[str, int],
    memory_bytes: int,
    seconds: Mapping[str, float],
    gradient_steps: int | None = None,
    reference: ArrayLike | None = None,
) -> dict[str, Any]:
    """The content of ``metrics.json``.

    An interrupted run, of which K < N stages are done, is measured as the run of K stages that it is: every
    headline number and every entry of ``per_task`` comes from rows 0 … K and columns 1 … K of the matrix.
    So ``average_success`` is over the tasks trained so far, and ``stages_done`` beside ``stages`` says that
    it is not yet the whole curriculum's; tasks not trained yet have ``null`` for every number. The matrices
    keep their full shape: rows not reached are ``null``, tasks not trained yet keep their zero-shot scores.
    A run without a finished stage has no headline numbers at all.

    Args:
        scores: In the order of the file.
        slot_names: One for each of the N slots.
        stage_ends: The step at which each finished stage ended, in order.
        parameters: ``trainable`` and ``total``.
        memory_bytes: What the method keeps besides the policy.
        seconds: Wall-clock time of ``train``, ``evaluate`` and ``method``.
        gradient_steps: Optimizer steps so far; None where they were not counted.
        reference: AUC of each slot's task learned from scratch on the same budget, shape (N,), nan where
            there is none; without it forward transfer is undefined.
    """
    slots = len(slot_names)
    any_step, final_step = (finished_rows(scores, slots, stage_ends, reading) for reading in ("any", "final"))
    done = int(np.isfinite(any_step[1:, 0]).sum()) if slots else 0
    R, R_final = any_step[: done + 1, :done], final_step[: done + 1, :done]
    areas = np.array([stage_auc(scores, slot, stage_ends) for slot in range(1, done + 1)])
    references = np.full(slots, np.nan) if reference is None else np.asarray(reference, float)
    if references.shape != (slots,):
        raise ValueError(f"reference must have shape ({slots},), got {references.shape}")
    transfer, learnable = forward_transfer(areas, references[:done]), plasticity(areas, references[:done])
    sampled = success_matrix(scores, slots, "stochastic")[done, :done]
    forgot, kept, zero_shot = forgetting(R), retention(R), zero_shot_gains(R)

    columns = {
        "learned": learned_after_own_stage(R),
        "final": R[-1],
        "learned_final_step": learned_after_own_stage(R_final),
        "final_final_step": R_final[-1],
        "forgetting": forgot.per_task,
        "retention": kept.per_task,
        "zero_shot_transfer": zero_shot,
        "auc": areas,
        "auc_reference": references[:done],
        "forward_transfer": transfer,
        "plasticity": learnable,
        "final_stochastic": sampled,
    }
    per_task = [
        {"slot": j + 1, "task": name} | {key: (v[j] if j < done else None) for key, v in columns.items()}
        for j, name in enumerate(slot_names)
    ]
    metrics = {
        "stages": slots,
        "stages_done": done,
        "stage_ends": [int(end) for end in stage_ends[:done]],
        "success_reading": "any",
        "average_success": average_success(R),
        "average_success_final_step": average_success(R_final),
        "average_success_stochastic": mean_or_nan(sampled),
        "forgetting": forgot.mean,
        "forgetting_all_tasks": forgot.mean_all,
        "backward_transfer": backward_transfer(R),
        "forward_transfer": mean_or_nan(transfer[np.isfinite(transfer)]),
        "zero_shot_transfer": zero_shot_transfer(R),
        "retention": kept.mean,
        "unlearned_share": kept.unlearned_share,
        "plasticity": mean_or_nan(learnable[np.isfinite(learnable)]),
        "per_task": per_task,
        "success_matrix": any_step,
        "success_matrix_final": final_step,
        "isolated_forgetting": isolated_forgetting(any_step),
        "parameters": dict(parameters),
        "memory_bytes": memory_bytes,
        "seconds": dict(seconds),
        "environment_steps": int(stage_ends[done - 1]) if done else 0,
        "gradient_steps": gradient_steps,
    }
    content: dict[str, Any] = to_json(metrics)
    return content


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
