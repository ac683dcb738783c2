"""The verb `transfer`."""

from __future__ import annotations

from pathlib import Path

from clrobot.cli.common import MOST_SEED, MOST_THREADS, at_least, open_console
from clrobot.errors import UserError, shown
from clrobot.files import at_home
from clrobot.results.numbers import number


def transfer(
    out: Path = Path("runs/transfer"),
    tasks: tuple[str, ...] = (),
    seed: int = 0,
    steps: int = 50_000,
    first_steps: int | None = None,
    jobs: int = 1,
    threads: int = 0,
) -> None:
    """Measure how much each task, learned first, helps each other one.

    Each is trained alone, then every other one after it, its head a copy.

    That is set against the task alone: its shipped references, or a training.

    What is in OUT/transfer.csv is not trained again: the same command goes on.

    Args:
        out: the folder of transfer.csv, transfer.svg and transfer.html.
        tasks: two or more; by default all of clrobot's.
        seed: of every training; the matrix keeps the rows of several.
        steps: control steps of the second task.
        first_steps: control steps of the first task; by default the most that one of clrobot's curricula gives it.
        jobs: trainings at a time.
        threads: of the physics, in each training; 0: all cores.
    """
    from clrobot.envs.tasks import TASKS_BY_ID
    from clrobot.experiment.curriculum import MAX_STEPS
    from clrobot.report.transfer_page import write_transfer
    from clrobot.runs.transfer_file import mean_transfer
    from clrobot.training.transfer import TransferStudy, measure_transfer

    at_least(jobs, "--jobs", most=MOST_THREADS)
    at_least(threads, "--threads", 0, MOST_THREADS)
    at_least(seed, "--seed", 0, MOST_SEED)
    at_least(steps, "--steps", most=MAX_STEPS)
    if first_steps is not None:
        at_least(first_steps, "--first-steps", most=MAX_STEPS)
    chosen = tasks or tuple(TASKS_BY_ID.ours)
    for task in chosen:
        _ = TASKS_BY_ID[task]  # refused before anything is trained
    if len(set(chosen)) < len(chosen):
        raise UserError(f"--tasks {shown(' '.join(chosen))} names one twice; name each once")
    if len(chosen) < 2:
        raise UserError(f"--tasks {shown(chosen[0])} is one task; give two or more")
    console = open_console()

    def tell(line: str) -> None:
        console.print(line, soft_wrap=True)

    study = TransferStudy(at_home(out), tuple(chosen), seed, steps, first_steps, threads)
    rows = measure_transfer(study, jobs, tell)
    page = write_transfer(study.out, rows)
    found = mean_transfer(rows)
    for target in chosen:
        gains = {source: found[source, target] for source in chosen if (source, target) in found}
        if not gains:
            tell(f"{target}: solved before any learning, so nothing can be transferred to it")
            continue
        best = max(gains, key=lambda source: gains[source])
        tell(f"{target}: most from {best}, {number(gains[best], signed=True)}")
    tell(f"page  {page}")
