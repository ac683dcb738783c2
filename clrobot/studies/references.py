"""The references of a study's runs, trained as runs of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from clrobot.runs.folder import RunFolder
from clrobot.runs.references import missing_references, use_references
from clrobot.studies.driver import Board, Failure, run_all
from clrobot.studies.executors.executor import Executor
from clrobot.studies.plan import Plan
from clrobot.studies.turns import when_free


def add_references(
    runs: Sequence[RunFolder],
    jobs: int | None,
    tell: Callable[[str], None],
    threads: int | None = None,
    executor: Executor | None = None,
    board: Board | None = None,
) -> list[Failure]:
    """Train each task of these runs alone, where that was not done yet, and measure forward transfer against it.

    Args:
        runs: finished ones.
        jobs, tell, executor, board: as for `run_all`.
        threads: of the physics; None: as many as the runs say.

    Returns:
        The references that failed; without one the forward transfer to its task stays undefined.

    Raises:
        UserError, TrainingStopped: as `run_all`.
    """
    missing = missing_references(runs, None, unless_shipped=True)
    if threads is not None:
        missing = {path: config.model_copy(update={"threads": threads}) for path, config in missing.items()}
    done = run_all([Plan(path, config) for path, config in missing.items()], jobs, tell, executor, board)
    for run in runs:
        when_free(partial(use_references, run, None))  # a second study may write the same
    return done.failures
