"""A few trainings side by side on this machine, each in a process of its own, as `clrobot demo` wants them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from clrobot.envs.cores import usable_cores
from clrobot.errors import TrainingStopped, UserError
from clrobot.experiment.config import RunConfig
from clrobot.imports import command
from clrobot.runs.folder import RunFolder
from clrobot.studies.driver import run_all
from clrobot.studies.plan import Plan
from clrobot.studies.shown import showing
from clrobot.studies.turns import finished_run
from clrobot.terminal import LiteralConsole


def train_side_by_side(
    configs: Mapping[Path, RunConfig], console: LiteralConsole, jobs: int | None = None
) -> list[RunFolder]:
    """Train each of these settings into its folder, and show on the terminal how it goes.

    The bits are those of one training after another: the physics has the same at any number of threads, and torch has
    as many as the settings say. Each run's page is written as `clrobot train` does; its output is in FOLDER.log, and
    its settings are in FOLDER.yaml beside it. What is there and finished already is not trained again.

    Args:
        configs: by the folder of each run; a new one, or one with the same run. `threads: 0` shares the cores.
        console: where rows (on a terminal) or lines are shown.
        jobs: trainings at a time; None: as many as there are, up to two for each core that this process may use. One
            for each core would leave cores idle at the end: three trainings on two take the time of four.

    Returns:
        The runs, in the order of `configs`.

    Raises:
        UserError: a folder holds something else, or a training failed; the others are finished.
        TrainingStopped: this process was asked to stop; the trainings have saved themselves, and it says how each
            goes on.
    """
    plans = [Plan(folder, config) for folder, config in configs.items()]
    at_a_time = min(jobs or 2 * usable_cores(), len(plans))
    try:
        with showing(plans, at_a_time, console) as (tell, board):
            outcome = run_all(plans, at_a_time, tell, board=board)
    except TrainingStopped as stopped:
        begun = [plan.folder for plan in plans if (plan.folder / "config.yaml").exists() and not finished_run(plan)]
        ways = " and ".join(command("resume", folder) for folder in begun)
        raise TrainingStopped(f"stopped; go on with: {ways}" if ways else "stopped") from stopped
    if outcome.failures:
        raise UserError(f"{len(outcome.failures)} of {len(plans)} trainings failed; {outcome.failures[0]}")
    return outcome.runs
