"""When a snapshot is due within a stage, and how it is written."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError

from clrobot.agents.algorithms.learner import Learner
from clrobot.agents.methods.shared.method import Method
from clrobot.agents.vec_env import TrainEnv
from clrobot.errors import cut
from clrobot.experiment.config import CheckpointSettings
from clrobot.runs.lock import check_held
from clrobot.runs.progress import Progress
from clrobot.runs.score_book import ScoreBook
from clrobot.runs.snapshot import snapshots, write_snapshot
from clrobot.training.ledger import Ledger
from clrobot.training.plan import StagePlan


class StageProgress(NamedTuple):
    """Where a stage stands, beside the learner, the costs and the scores."""

    plan: StagePlan
    phase: int  # from 0
    curve_due: list[int]  # steps at which the learning curve is still to be measured
    curve_success: float | None  # the newest point of it
    cut: int  # the number of the newest cut (see `Cuts`)


class Saver:
    """Writes a run's snapshots.

    Args:
        folder: where they go.
        settings: how often.
        learner: what learns.
        method: whose memory is saved too.
        ledger: the costs so far; the seconds of saving are counted there.
        book: the scores so far.
        warn: called with a sentence where a snapshot could not be written.
    """

    def __init__(
        self,
        folder: Path,
        settings: CheckpointSettings,
        learner: Learner,
        method: Method,
        ledger: Ledger,
        book: ScoreBook,
        warn: Callable[[str], None],
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._learner = learner
        self._method = method
        self._ledger = ledger
        self._book = book
        self._warn = warn
        self._saved_at, self._saved_step = time.monotonic(), 0

    @property
    def enabled(self) -> bool:
        """Whether snapshots are written at all."""
        return self._settings.enabled

    @property
    def newest(self) -> Path | None:
        """The newest snapshot that there is."""
        return next(iter(snapshots(self._folder)), None)

    def is_due(self, step: int) -> bool:
        """Return whether the interval between snapshots is over, by a clock that never goes backwards."""
        if self._settings.steps is not None:
            return step - self._saved_step >= self._settings.steps
        return time.monotonic() - self._saved_at >= self._settings.seconds

    def save(self, at: StageProgress, env: TrainEnv) -> None:
        """Write a snapshot; a full disk is a warning, since the one before it is whole.

        Raises:
            UserError: the run was taken over by another process.
        """
        check_held(self._folder.parent)
        started = time.perf_counter()
        progress, learner = self._progress(at), self._learner
        try:
            write_snapshot(self._folder, progress, learner.model, learner.algorithm, self._method, env.get_state())
        except (OSError, SafetensorError) as error:
            self._warn(f"no snapshot was written at step {progress.step:,} ({write_failure(error)})")
        self._ledger.seconds["save"] += time.perf_counter() - started
        self._saved_at, self._saved_step = time.monotonic(), progress.step

    def _progress(self, at: StageProgress) -> Progress:
        model, ledger = self._learner.model, self._ledger
        assert model.ep_success_buffer is not None
        assert model.ep_info_buffer is not None
        ledger.count_worlds()
        return Progress(
            stage=at.plan.stage,
            stage_start=at.plan.start,
            phase=at.phase,
            step=self._learner.step,
            updates=model._n_updates,
            gradient_steps=ledger.gradient_steps,
            method_gradient_steps=ledger.method_gradient_steps,
            method_environment_steps=ledger.method_environment_steps,
            task_inference_steps=ledger.task_inference_steps,
            scores=len(self._book.scores),
            curve_due=at.curve_due,
            curve_success=at.curve_success,
            cut=at.cut,
            episodes=[(float(episode["r"]), int(episode["l"])) for episode in model.ep_info_buffer],
            successes=[float(value) for value in model.ep_success_buffer],
            log={name: float(value) for name, value in model.logger.name_to_value.items()},
            log_excluded={name: list(formats) for name, formats in model.logger.name_to_excluded.items()},
            log_counts={name: count for name, count in model.logger.name_to_count.items() if count},
            seconds=ledger.seconds,
            divergences=ledger.divergences,
            grown=ledger.grown,
            per_stage=ledger.per_stage,
            film_failures=ledger.film_failures,
            worlds_made=ledger.worlds_made,
            worlds_seconds=ledger.worlds_seconds,
        )


def write_failure(error: Exception) -> str:
    """Return why a file was not written, in one line; safetensors has errors of its own for a full disk."""
    return getattr(error, "strerror", None) or cut(str(error), 200)
