"""The verbs for many runs: study, study-status, sweep."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from clrobot.cli.common import MOST_THREADS, Format, at_least, open_console, print_json
from clrobot.errors import UserError
from clrobot.studies.executors.settings import RaySettings, SlurmSettings

if TYPE_CHECKING:
    from clrobot.runs.folder import RunFolder
    from clrobot.studies.executors.executor import Executor
    from clrobot.studies.plan import Plan
    from clrobot.studies.study import Study
    from clrobot.terminal import LiteralConsole

_StudyFile = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
_Folder = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]

_SLURM, _RAY = SlurmSettings(), RaySettings()  # as they are where no flag says anything

_ROWS = 50  # of the table; JSON has every run


def study(
    file: _StudyFile,
    jobs: int | None = None,
    on: str = "local",
    out: Path | None = None,
    references: bool = True,
    slurm: SlurmSettings = _SLURM,
    ray: RaySettings = _RAY,
) -> None:
    """Train the runs that a file describes, compare them, and write a page.

    What is finished is not trained again; what was begun is resumed.

    What fails is tried again twice; the exit code is 1 where a run failed for good.

    Args:
        file: curricula × methods × algorithms × seeds × orders × settings, in YAML.
        jobs: trainings at a time; by default one for each core here, and all at once on a cluster, at most 256.
        on: what starts the trainings: local, slurm or ray.
        out: the folder of the runs; by default runs/NAME.
        references: also train each task from scratch, once, which forward transfer needs; where a reference that
            comes with clrobot fits, it is taken.
        slurm: what jobs ask for, with --on slurm.
        ray: what tasks ask for, with --on ray.
    """
    from clrobot.studies.executors.by_name import make_executor
    from clrobot.studies.study_file import read_study

    if jobs is not None:
        at_least(jobs, "--jobs", most=MOST_THREADS)
    executor = make_executor(on, slurm=slurm, ray=ray)
    found = read_study(file, out)
    _train_and_compare(found.study, found.plans, found.out, jobs, executor, references)


def study_status(folder: _Folder, format: Format = "table") -> None:
    """Show how far each run of a study has come; nothing is written.

    Args:
        folder: the study's folder.
        format: table or json.
    """
    from clrobot.files import at_home
    from clrobot.studies.status import study_status as read_status

    found = read_status(at_home(folder))
    if format == "json":
        print_json(found.to_data())
        return
    from clrobot.studies.shown import status_table, whole

    console = open_console()
    console.print(status_table(found.runs, _ROWS))
    if (more := len(found.runs) - _ROWS) > 0:
        console.print(f"and {more:,} more; --format json has all of them", style="dim")
    console.print(f"{found.study}: {whole(found.counts, found.seconds_left)}", soft_wrap=True)
    for run in found.runs:
        if run.error is not None:
            console.print(f"{run.run}: {run.error}", style="red", soft_wrap=True)


def sweep(
    method: tuple[str, ...] = ("finetune", "ewc", "progressive"),
    seed: tuple[int, ...] = (0, 1, 2),
    curriculum: str | None = None,
    vary: str | None = None,
    values: tuple[float, ...] = (),
    config: Path | None = None,
    jobs: int = 2,
    references: bool = True,
    out: Path | None = None,
    threads: int | None = None,
) -> None:
    """Train methods × seeds (× values of one setting), compare them, and write a page.

    It is a study that needs no file: see `clrobot study`.

    Args:
        method: the methods.
        seed: the seeds.
        curriculum: a curriculum's name or a YAML file; by default that of --config, or quick.
        vary: one more setting to vary, by its full name, such as ewc.strength.
        values: the values of that setting.
        config: every other setting, as in train.
        jobs: trainings at a time.
        references: also train each task from scratch, once, which forward transfer needs; where a reference that
            comes with clrobot fits, it is taken.
        out: the folder of the runs; by default runs/CURRICULUM.
        threads: of the physics, in each training; by default those of --config, or an equal share of the cores.
    """
    from clrobot.experiment.config import make_config
    from clrobot.experiment.config_file import read_config
    from clrobot.experiment.yaml_file import load_curriculum
    from clrobot.studies.executors.by_name import make_executor
    from clrobot.studies.sweep import sweep_study

    at_least(jobs, "--jobs", most=MOST_THREADS)
    if (vary is None) != (not values):
        raise UserError("--vary and --values go together: one setting's name, and its values")
    given = None if curriculum is None else load_curriculum(curriculum)
    if config is not None:
        base = read_config(config, given)
    else:
        base = make_config() if given is None else make_config(curriculum=given)
    if threads is not None:
        base = make_config(**base.model_dump(mode="json") | {"threads": threads})
    folder = out or Path("runs") / base.curriculum.name
    study, plans = sweep_study(base, folder, method, seed, vary, values)
    _train_and_compare(study, plans, folder, jobs, make_executor("local"), references)


def _train_and_compare(
    study: Study, plans: Sequence[Plan], out: Path, jobs: int | None, executor: Executor, references: bool
) -> None:
    """Do what a study asks for; the exit code is 1 where a run or a reference failed for good."""
    from clrobot.files import at_home
    from clrobot.studies.driver import run_all
    from clrobot.studies.record import check_place, no_longer_planned, write_record
    from clrobot.studies.shown import showing

    out = at_home(out)
    check_place(study, out)
    console = open_console()
    if others := no_longer_planned(plans, out):
        names = ", ".join(others[:5]) + (f" and {len(others) - 5} more" if len(others) > 5 else "")
        console.print(f"in {out}, and no longer in the study: {names}", soft_wrap=True)
    write_record(study, plans, out)
    at_a_time = min(executor.at_a_time(len(plans)) if jobs is None else jobs, len(plans))
    with showing(plans, at_a_time, console) as (tell, board):
        outcome = run_all(plans, at_a_time, tell, executor, board)
        failures = outcome.failures
        if references and outcome.runs:
            # Not before: with torch and matplotlib a driver would take three times the memory while it waits.
            from clrobot.report.page import write_report
            from clrobot.studies.references import add_references

            threads = plans[0].config.threads
            failures = [*failures, *add_references(outcome.runs, at_a_time, tell, threads, executor, board)]
            for run in outcome.runs:
                write_report(run.path)
    if outcome.runs:
        _compare(outcome.runs, out, console)
    for failure in failures:
        console.print(f"FAILED    {failure}", style="red", soft_wrap=True)
    if failures:
        sys.exit(1)


def _compare(runs: Sequence[RunFolder], out: Path, console: LiteralConsole) -> None:
    from clrobot.comparison.comparison import compare as compare_runs
    from clrobot.comparison.tables import print_comparison
    from clrobot.report.comparison_page import write_comparison
    from clrobot.report.page import write_report

    print_comparison(compare_runs(runs, "mean"), console)
    page = write_report(runs[0].path) if len(runs) == 1 else write_comparison(runs, out / "report.html")
    console.print(f"report  {page}", soft_wrap=True)
