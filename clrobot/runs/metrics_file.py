"""`metrics.json`: written by a training after every stage, and anew from a run's scores when references are known."""

from __future__ import annotations

from collections.abc import Sequence

from numpy.typing import ArrayLike
from pydantic import ValidationError

from clrobot.errors import UserError, cut, explain
from clrobot.experiment.method import make_method
from clrobot.manifests import MANIFEST
from clrobot.results.run_metrics import Costs, RunMetrics, run_metrics
from clrobot.results.scores import stage_ends
from clrobot.runs.folder import RunFolder
from clrobot.runs.lock import check_held
from clrobot.runs.score_book import read_scores


def write_metrics(run: RunFolder, metrics: RunMetrics) -> None:
    """Write a run's `metrics.json`, and note the checksums of its files.

    Raises:
        UserError: this process trains the run, and it was taken over by another.
    """
    check_held(run.path)
    # The checksums go first: a process that is killed in between leaves a run without them rather than a damaged one.
    (run.path / MANIFEST).unlink(missing_ok=True)
    run.write_json("metrics.json", metrics.model_dump(mode="json"))
    run.record()


def rebuild_metrics(run: RunFolder, reference: ArrayLike | None = None, shipped: Sequence[bool] = ()) -> RunMetrics:
    """Write `metrics.json` anew, and return it; see `measured_anew`."""
    metrics = measured_anew(run, reference, shipped)
    write_metrics(run, metrics)
    return metrics


def measured_anew(run: RunFolder, reference: ArrayLike | None = None, shipped: Sequence[bool] = ()) -> RunMetrics:
    """Return a run's metrics as its `scores.jsonl` has them; what scores do not tell is taken from `metrics.json`.

    Args:
        run: the folder, of a run with a finished stage.
        reference: area under the curve of each slot's task learned from scratch, (N,), nan where there is none.
        shipped: which of them are of the references that come with clrobot.

    Raises:
        UserError: a file is missing or damaged, or the scores are of another curriculum.
    """
    costs = Costs.of(run.read_metrics())
    scores = read_scores(run.scores_file)
    slots = run.config.curriculum.slots
    method = make_method(run.config)
    in_sequence = method.in_sequence(len(slots))
    try:
        ends = stage_ends(scores, len(slots))
        trained = method.heads(len(ends) - 1, len(slots)) if ends else 0
        return run_metrics(
            scores, slots, ends, costs, reference, shipped=shipped, in_sequence=in_sequence, trained=trained
        )
    except ValueError as error:
        reason = explain(error) if isinstance(error, ValidationError) else cut(str(error), 200)
        raise UserError(
            f"{run.path / 'metrics.json'} does not fit the run's scores ({reason}); train again"
        ) from error
