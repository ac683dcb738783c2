"""From finished runs to rows of published data: results, and what settings were chosen on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from clrobot.errors import UserError, cut, shown
from clrobot.imports import command
from clrobot.published.provenance import provenance
from clrobot.published.results import WHAT, Result, command_of, identity
from clrobot.published.rows import add_rows, read_rows
from clrobot.published.tuning import WHAT as TUNING
from clrobot.published.tuning import Trial, main_setting
from clrobot.results.catalogue import RUN_METRICS, Metric, task_metric
from clrobot.results.cells import BEGINS_FORMULA
from clrobot.results.numbers import Kind
from clrobot.results.run_metrics import RunMetrics
from clrobot.runs.folder import RunFolder
from clrobot.runs.metrics_file import measured_anew
from clrobot.runs.references import find_references, noted_physics

_UNITS: Final[dict[Kind, str]] = {"rate": "1", "steps": "steps", "seconds": "s", "count": "count", "bytes": "bytes"}
_OF_TASKS: Final = (
    "learned",
    "final",
    "forgetting",
    "steps_to_success",
    "relative_return",
    "auc",
    "forward_transfer",
)


def publish(runs: Sequence[RunFolder], out: Path, *, commit: str, loaded: bool, replace: bool) -> int:
    """Put the rows of finished runs into a file of results, and return how many runs it then has.

    Args:
        runs: their folders.
        out: the file; made where there is none.
        commit: of clrobot, where the runs noted none.
        loaded: whether their seconds were measured while the machine did other work too.
        replace: whether a run that the file has already is replaced rather than refused.

    Raises:
        UserError: a run is unfinished or damaged, stands twice among them or is in the file, or the file holds
            something else.
    """
    there = read_rows(out, Result, WHAT) if out.exists() else []
    known = {row.run for row in there}
    given: dict[tuple[Any, ...], RunFolder] = {}
    rows: list[Result] = []
    for run in runs:
        own = list(_results(run, commit, loaded))
        _check_once(given, own[0].run, run)
        if own[0].run in known and not replace:
            raise UserError(f"{out} has {_named(run)} already ({run.path}); leave it out, or give --replace")
        rows += own
    # Of a run that is replaced every row goes: what it no longer has would stand among the new one's as if of it.
    add_rows(out, rows, Result, WHAT, drop=lambda row: row.run in given)
    return len(known | given.keys())


def publish_tuning(runs: Sequence[RunFolder], out: Path, *, commit: str, replace: bool) -> int:
    """Put runs into a file of what settings were chosen on, a row each, and return how many it then has; as above."""
    there = read_rows(out, Trial, TUNING) if out.exists() else []
    known = {row.order for row in there}
    given: dict[tuple[Any, ...], RunFolder] = {}
    rows = []
    for run in runs:
        row = _trial(run, commit)
        _check_once(given, row.order, run)
        if row.order in known and not replace:
            raise UserError(f"{out} has {_named(run)} already ({run.path}); leave it out, or give --replace")
        rows.append(row)
    add_rows(out, rows, Trial, TUNING)
    return len(known | given.keys())


def _check_once(given: dict[tuple[Any, ...], RunFolder], key: tuple[Any, ...], run: RunFolder) -> None:
    if (first := given.setdefault(key, run)) is not run:
        raise UserError(f"{first.path} and {run.path} are the same run twice ({_named(run)}); give one of them")


def _named(run: RunFolder) -> str:
    return f"{cut(run.config.curriculum.name, 60)}, {cut(run.config.method, 60)}, seed {run.config.seed}"


def _measured(run: RunFolder) -> RunMetrics:
    """Return what was measured of a finished run, with forward transfer against the shipped references alone.

    So every published number of it is measured against the same.
    """
    found, name = run.read_metrics(), run.config.curriculum.name
    if name.startswith(BEGINS_FORMULA):
        raise UserError(
            f"{run.path}: a spreadsheet takes the curriculum's name {shown(name)} for a formula; rename it"
        )
    if not run.finished:
        raise UserError(
            f"{run.path} is not finished ({found.stages_done} of {found.stages} stages); go on with it first: "
            f"{command('resume', run.path)}"
        )
    nowhere, physics = run.path / "no references", noted_physics(run)
    return measured_anew(run, *find_references(run.config, nowhere, found.stage_ends, physics))


def _results(run: RunFolder, commit: str, loaded: bool) -> Iterator[Result]:
    metrics = _measured(run)
    made = {"command": command_of(run.config)} | _made(run, commit)
    which = identity(run.config)

    def row(metric: str, value: float | None, unit: str, **of_task: Any) -> Result:
        under = loaded and unit == "s"
        numbers = {"stage": None, "task": "", "metric": metric, "value": value, "unit": unit, "loaded": under}
        return Result(**which | numbers | of_task | made)

    for metric in RUN_METRICS:
        yield row(metric.name, metrics.value(metric.name), _UNITS[metric.kind])
    for slot, end in enumerate(metrics.stage_ends):
        task = {"stage": slot + 1, "task": metrics.per_task[slot].task}
        for name, unit in _task_units():
            yield row(name, metrics.task_value(slot, name), unit, **task)
        yield row("stage_end", float(end), "steps", **task)


def _task_units() -> Iterable[tuple[str, str]]:
    metrics: list[Metric] = [task_metric(name) for name in _OF_TASKS]
    return [*((metric.name, _UNITS[metric.kind]) for metric in metrics), ("auc_reference", "1")]


def _made(run: RunFolder, commit: str) -> dict[str, Any]:
    made = provenance(run.read_environment())
    if not made["commit"]:
        made["commit"] = commit
    if not made["commit"]:
        raise UserError(f"{run.path} does not say which commit of clrobot trained it; give it with --commit")
    return made


def _trial(run: RunFolder, commit: str) -> Trial:
    metrics, which = _measured(run), identity(run.config)
    setting, value = main_setting(run.config)
    return Trial(
        **{name: which[name] for name in ("curriculum", "method", "algo", "settings", "seed", "evaluation_seed")},
        setting=setting,
        tried=value,
        average_success=metrics.average_success,
        average_success_final_step=metrics.average_success_final_step,
        forgetting=metrics.forgetting,
        forward_transfer_from_2=metrics.forward_transfer_from_2,
        mean_area=_mean([metrics.task_value(slot, "auc") for slot in range(metrics.stages_done)]),
        command=command_of(run.config),
        **_made(run, commit),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None
