"""The verbs that train."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from clrobot.cli.common import RunPath, at_least, open_console
from clrobot.errors import UserError, shown
from clrobot.experiment.machine import Machine
from clrobot.imports import command
from clrobot.results.numbers import grouped, number

if TYPE_CHECKING:
    from rich.table import Table

    from clrobot.experiment.config import RunConfig
    from clrobot.runs.folder import RunFolder
    from clrobot.terminal import LiteralConsole
    from clrobot.training.observer import Observer

# What a verb that goes on with a run is given of this machine, each as a flag of its own: `--device`.
_Here = Annotated[Machine, tyro.conf.arg(name="")]
_AS_THE_RUN_HAS_IT = Machine()


def resume(run: RunPath, machine: _Here = _AS_THE_RUN_HAS_IT) -> None:
    """Go on with a training that was stopped or killed.

    It ends with the same bits as one that never stopped.

    Args:
        run: the run's folder.
        machine: what is given anew here.
    """
    console = open_console()
    summarise(resume_run(run, console, machine), console)


def extend(
    run: RunPath,
    task: str,
    steps: int,
    out: Path | None = None,
    overrides: dict[str, float] | None = None,
    world: str | None = None,
    machine: _Here = _AS_THE_RUN_HAS_IT,
) -> None:
    """Take a finished run further, with a task that nobody planned for.

    The run is copied, and what it learned stays as far as its method keeps it.

    Args:
        run: the finished run's folder.
        task: the task to learn now.
        steps: control steps.
        out: the new run's folder; by default RUN-TASK beside it.
        overrides: what differs in the task's world: names and numbers, such as object.friction 0.3.
        world: what else a curriculum's YAML says of a stage: "{horizon: 200, success: {key: done}}".
        machine: what is given anew here.
    """
    from clrobot.envs.worlds.kinds import kind_of
    from clrobot.envs.worlds.spec import short_name
    from clrobot.runs.folder import RunFolder

    at_least(steps, "--steps")
    said = _stage_text(world)
    kind_of(task).check(task)  # refused before it names a folder
    folder = RunFolder.open(run)
    run = run if run.name not in ("", "..") else run.resolve()  # of `.` there is no folder beside it by name
    target = out or run.with_name(f"{run.resolve().name}-{short_name(task)}")
    from clrobot.training.extend import extend as extend_run

    extended = extend_run(folder, task, steps, target, overrides, machine, world=said)
    console = open_console()
    summarise(resume_run(extended.path, console, machine), console)


def _stage_text(world: str | None) -> dict[str, Any]:
    """Return what `--world` says of a stage."""
    if world is None:
        return {}
    from clrobot.experiment.yaml_file import parse_yaml

    said = parse_yaml(world, "--world")[1]
    if not isinstance(said, dict) or not all(isinstance(name, str) for name in said):
        raise UserError(f"--world {shown(world)}; expected what a curriculum says of a stage, such as 'horizon: 200'")
    return said


def train_in_help() -> None:
    """Train one agent through a curriculum, into a new run folder."""


def train_run(config: RunConfig, out: Path, console: LiteralConsole) -> RunFolder:
    """Train into the new folder `out`, and show in the terminal how it goes."""
    from clrobot.experiment.prepare import prepare
    from clrobot.runs.free import check_free

    check_free(out)  # before anything is shown, and before torch is there
    from clrobot.training.display import TerminalObserver
    from clrobot.training.interrupt import leaving, stopping
    from clrobot.training.training import Training

    config = prepare(config)
    with leaving(out), TerminalObserver(config.curriculum, config.method, console) as observer:
        training = Training.begin(config, out, observer)
        with stopping(training):
            return with_page(training.run(), observer)


def resume_run(run: Path, console: LiteralConsole, machine: Machine | None = None) -> RunFolder:
    """Go on with an unfinished training, and show in the terminal how it goes."""
    from clrobot.runs.folder import RunFolder

    config = RunFolder.open(run).config  # refused at once where it is none: what follows needs torch
    from clrobot.training.display import TerminalObserver
    from clrobot.training.interrupt import leaving, stopping
    from clrobot.training.resuming import open_training

    with leaving(run), TerminalObserver(config.curriculum, config.method, console) as observer:
        training = open_training(run, observer, machine)
        with stopping(training):
            return with_page(training.run(), observer)


def with_page(run: RunFolder, observer: Observer) -> RunFolder:
    """Write a finished run's page; that it fails is a warning, since the run itself is whole."""
    from clrobot.report.page import write_report

    try:
        write_report(run.path)
    except Exception as error:
        observer.warn(f"no report was written ({error}); `{command('report', run.path)}` tries again")
    return run


def summarise(run: RunFolder, console: LiteralConsole) -> None:
    """Show how a training ended."""
    console.print(comparison_table([run]))
    if (page := run.path / "report.html").exists():
        console.print(f"report  {page}", soft_wrap=True)
    metrics = run.read_metrics()
    if metrics.worlds_made:
        share = 100 * metrics.worlds_seconds / max(metrics.seconds.total, metrics.worlds_seconds)
        line = (
            f"EnvPool's simulations were made anew {metrics.worlds_made:,} times, in {metrics.worlds_seconds:.0f} s"
        )
        console.print(f"{line}: {number(share, decimals=1)} % of the run", style="dim", soft_wrap=True)
    tell_failures(run, console)


def tell_failures(run: RunFolder, console: LiteralConsole) -> None:
    """Show what did not stop the training, and yet went wrong."""
    metrics = run.read_metrics()
    if films := metrics.failed_recordings:
        line = f"failed recordings: {films}; film again with: {command('record', run.path)}"
        console.print(line, style="yellow", soft_wrap=True)
    if diverged := metrics.diverged_simulations:
        line = f"simulations that diverged and were reset: {diverged}"
        console.print(line, style="yellow", soft_wrap=True)


def comparison_table(runs: list[RunFolder]) -> Table:
    """Return the table of a few runs' headline numbers."""
    from rich.table import Table

    table = Table("method")
    for column in ("average success", "forgetting", "forward transfer", "seconds", "parameters"):
        table.add_column(column, justify="right")
    for run in runs:
        metrics = run.read_metrics()
        table.add_row(
            run.config.method,
            number(metrics.average_success),
            number(metrics.forgetting),
            number(metrics.forward_transfer),
            f"{metrics.seconds.total:.0f}",
            grouped(metrics.parameters.total),
        )
    return table
