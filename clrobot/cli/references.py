"""The verb that makes what forward transfer is measured against."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from clrobot.cli.common import (
    MOST_THREADS,
    RunPaths,
    at_least,
    check_file,
    check_seeds,
    expand_runs,
    open_console,
)
from clrobot.errors import Busy, UserError, shown
from clrobot.results.numbers import number

if TYPE_CHECKING:
    from clrobot.experiment.config import RunConfig
    from clrobot.terminal import LiteralConsole


def references(
    runs: RunPaths = (),
    store: Path | None = None,
    task: tuple[str, ...] = (),
    curriculum: tuple[str, ...] = (),
    seed: tuple[int, ...] | None = None,
    steps: int | None = None,
    config: Path | None = None,
    out: Path | None = None,
    threads: int | None = None,
) -> None:
    """Train each stage's task alone, and measure forward transfer against it.

    A reference that several runs need is trained once, and found again later.

    With --out each task is learned alone by each seed, and no run is measured.

    The learning curves become rows of that file; what it has is not trained again.

    Args:
        runs: run folders; a folder that holds runs stands for those in it.
        store: where references are kept; by default the folder references beside each run.
        task: for --out: the tasks.
        curriculum: for --out: curricula, for every world of clrobot's own tasks in them.
        seed: for --out: the seeds; by default 0 to 9.
        steps: for --out: control steps of each; by default twice the longest budget in a curriculum of clrobot's, and
            as many as the transfer matrix takes.
        config: for --out: the algorithm's and the network's settings, as in train.
        out: make curves, into this file.
        threads: of the physics; 0: all cores that the process may use. By default as in the runs, or all.
    """
    if threads is not None:
        at_least(threads, "--threads", 0, MOST_THREADS)
    if out is None and (task or curriculum or any(given is not None for given in (seed, steps, config))):
        raise UserError("--task, --curriculum, --seed, --steps and --config are for curves; give --out FILE for them")
    if out is None:
        _of_runs(runs, store, threads)
        return
    if runs or store is not None:
        raise UserError("--out makes curves and measures no run; give runs, or --out with --task or --curriculum")
    check_file(out)
    if not task and not curriculum:
        raise UserError("no task; give --task, --curriculum or both")
    seeds = tuple(range(10)) if seed is None else seed
    check_seeds(seeds)
    _curves(out, task, curriculum, seeds, steps, config, threads)


def _curves(
    out: Path,
    tasks: tuple[str, ...],
    curricula: tuple[str, ...],
    seeds: tuple[int, ...],
    steps: int | None,
    config: Path | None,
    threads: int | None,
) -> None:
    """Make curves, all worlds with the first seed, then with the next."""
    from clrobot.envs.tasks import TASKS_BY_ID
    from clrobot.experiment.config import make_config
    from clrobot.experiment.config_file import read_config
    from clrobot.experiment.curriculum import MAX_STEPS, Curriculum, Stage
    from clrobot.experiment.yaml_file import load_curriculum
    from clrobot.training.reference_curves import budget_of, reference_config, train_references, worlds_of

    if steps is not None:
        at_least(steps, "--steps", most=MAX_STEPS)
    for name in tasks:
        _ = TASKS_BY_ID[name]  # refused before anything is trained
    alone = tuple(Stage(task=name, steps=1) for name in tasks)
    given = [Curriculum(name="tasks", stages=alone)] if alone else []
    worlds = worlds_of([*given, *map(load_curriculum, curricula)])
    if not worlds:
        names = " ".join(curricula)
        raise UserError(f"--curriculum {shown(names)} has none of clrobot's own tasks, which alone have such curves")
    base = make_config() if config is None else read_config(config)
    if threads is not None:
        base = base.model_copy(update={"threads": threads})
    configs = [reference_config(base, world, seed, steps or budget_of(world)) for seed in seeds for world in worlds]
    console = open_console()
    train_references(out, configs, lambda line: console.print(line, soft_wrap=True))
    console.print(str(out), soft_wrap=True)


def _of_runs(runs: tuple[Path, ...], store: Path | None, threads: int | None) -> None:
    """Train what these runs lack, and measure them."""
    from rich.table import Table

    from clrobot.report.page import write_report
    from clrobot.runs.references import missing_references, use_references
    from clrobot.studies.turns import when_free

    folders = expand_runs(runs)
    for folder in folders:
        folder.read_metrics()  # refused before anything is trained
    console = open_console()
    for path, config in missing_references(folders, store).items():
        console.print(f"reference  {path}", soft_wrap=True)
        here = config if threads is None else config.model_copy(update={"threads": threads})
        when_free(partial(_train_reference, path, here, console))
    for folder in folders:
        metrics = when_free(partial(use_references, folder, store))
        write_report(folder.path)
        table = Table("task", title=folder.path.name, title_justify="left")
        for column in ("area", "reference's area", "forward transfer"):
            table.add_column(column, justify="right")
        for of_task in metrics.per_task:
            table.add_row(of_task.task, *map(number, (of_task.auc, of_task.auc_reference, of_task.forward_transfer)))
        table.add_row("mean", "", "", number(metrics.forward_transfer))
        console.print(table)


def _train_reference(path: Path, config: RunConfig, console: LiteralConsole) -> None:
    """Train a reference, or what is left of it; a Busy says that another process does that now."""
    from clrobot.cli.train import resume_run, train_run
    from clrobot.experiment.machine import Machine
    from clrobot.runs.folder import RunFolder

    if (path / "config.yaml").exists():
        run = RunFolder.open(path)
        if run.finished:  # by whom it was waited for
            return
        run.lock()  # a Busy comes before anything is shown
        run.unlock()
        resume_run(path, console, Machine(threads=config.threads))
        return
    try:
        train_run(config, path, console)
    except UserError as error:
        if (path / "config.yaml").exists() and not isinstance(error, Busy):  # begun by another just now, or resumable
            raise Busy(str(error)) from error
        raise
