"""Several runs side by side: one row for each method, over its seeds, and why rows may not be comparable."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from clrobot.errors import UserError
from clrobot.files import read_plain
from clrobot.results.statistics import Estimate, Statistic, estimate, forward_transfer_estimate
from clrobot.runs.folder import RunFolder

Kind = Literal["rate", "seconds", "count", "bytes"]


@dataclass(frozen=True)
class Metric:
    """A number of `metrics.json` that runs are compared by."""

    name: str
    """Where it stands, with dots: `parameters.total`."""
    title: str
    better: Literal["higher", "lower"]
    kind: Kind = "rate"


METRICS = (
    Metric("average_success", "average success", "higher"),
    Metric("average_success_final_step", "average success (final step)", "higher"),
    Metric("average_success_stochastic", "average success (sampled actions)", "higher"),
    Metric("forgetting", "forgetting", "lower"),
    Metric("backward_transfer", "backward transfer", "higher"),
    Metric("forward_transfer", "forward transfer", "higher"),
    Metric("zero_shot_transfer", "zero-shot transfer", "higher"),
    Metric("retention", "retention", "higher"),
    Metric("unlearned_share", "unlearned share", "lower"),
    Metric("plasticity", "plasticity", "higher"),
    Metric("parameters.total", "parameters", "lower", "count"),
    Metric("memory_bytes", "memory", "lower", "bytes"),
    Metric("seconds.train", "seconds training", "lower", "seconds"),
    Metric("seconds.evaluate", "seconds evaluating", "lower", "seconds"),
    Metric("seconds.method", "seconds of the method", "lower", "seconds"),
    Metric("seconds.total", "seconds", "lower", "seconds"),
    Metric("environment_steps", "environment steps", "lower", "count"),
    Metric("gradient_steps", "gradient steps", "lower", "count"),
)

# Runs of older versions do not have these; where no run has one, it is not shown.
_OPTIONAL = ("average_success_stochastic", "plasticity", "gradient_steps")

# Settings that change nothing in what is learned or measured, or that differ within a row by design.
_NOT_COMPARED = ("seed", "video", "checkpoint", "memory_limit_mb", "method", "tracker")


@dataclass(frozen=True)
class Group:
    """The runs of one method and one set of settings, each with a seed of its own: a row."""

    label: str
    """The method, and what tells it from other rows of the same method."""
    method: str
    runs: tuple[RunFolder, ...]
    seeds: tuple[int, ...]
    estimates: Mapping[str, Estimate]
    """By the metric's name."""
    final_success: Mapping[str, Estimate]
    """R[N, j] of each slot, by the slot's name, in the curriculum's order."""


@dataclass(frozen=True)
class Comparison:
    """Rows, the metrics that they are compared by, and why they may not be comparable."""

    groups: tuple[Group, ...]
    metrics: tuple[Metric, ...]
    notes: tuple[str, ...]
    """Sentences."""
    statistic: Statistic

    def best(self, metric: str) -> str | None:
        """Return the label of the row that is best in a metric; None where one row or none defines it.

        Of equally good rows it is the first.
        """
        leaders = [group.label for group in self.groups if self.leads(group, metric)]
        return leaders[0] if leaders else None

    def leads(self, group: Group, metric: str) -> bool:
        """Return whether no other row is better than `group` in a metric, and at least one is worse."""
        (found,) = (m for m in self.metrics if m.name == metric)
        values = [v for g in self.groups if (v := g.estimates[metric].value) is not None]
        best = max(values, default=None) if found.better == "higher" else min(values, default=None)
        return len(set(values)) > 1 and group.estimates[metric].value == best


@dataclass(frozen=True)
class _Run:
    """One run's files, read once."""

    folder: RunFolder
    config: dict[str, Any]
    environment: dict[str, Any]
    metrics: dict[str, Any]

    @property
    def name(self) -> str:
        return self.folder.path.name

    @property
    def seed(self) -> int:
        return self.folder.config.seed

    @property
    def method(self) -> str:
        return self.folder.config.method

    @property
    def stages(self) -> str:
        """How far it came; nothing when it is finished."""
        done, stages = self.metrics["stages_done"], self.metrics["stages"]
        return "" if done == stages else f"{done} of {stages} stages"


def compare(runs: Sequence[RunFolder], statistic: Statistic = "mean") -> Comparison:
    """Return the comparison of these runs; those that differ in the seed alone form one row.

    Raises:
        UserError: no run has a finished stage, or a file is missing or damaged.
    """
    read, notes = _read(runs)
    if not read:
        raise UserError("none of the runs has a finished stage; train first, or give other runs")
    read, doubles = _without_doubles(read)
    rows: dict[str, list[_Run]] = {}
    for run in read:
        rows.setdefault(f"{run.method} {run.stages} {json.dumps(_settings(run))}", []).append(run)
    groups = tuple(
        _group(label, sorted(members, key=lambda run: run.seed), statistic)
        for label, members in zip(_labels(list(rows.values())), rows.values(), strict=True)
    )
    there = tuple(m for m in METRICS if m.name not in _OPTIONAL or any(g.estimates[m.name].n for g in groups))
    return Comparison(groups, there, (*notes, *doubles, *_differences(read, groups)), statistic)


def expand(paths: Iterable[Any]) -> list[RunFolder]:
    """Return the runs at these paths; a folder that holds runs stands for those directly inside it.

    Raises:
        UserError: a path is neither, or a run is damaged.
    """
    runs: dict[Any, RunFolder] = {}
    for path in paths:
        inside = [path]
        if path.is_dir() and not (path / "config.yaml").exists():
            inside = sorted(entry for entry in path.iterdir() if (entry / "config.yaml").is_file()) or [path]
        for entry in inside:
            run = RunFolder.open(entry)  # refused first, where it can be no path at all
            runs.setdefault(entry.resolve(), run)
    return list(runs.values())


def _read(runs: Sequence[RunFolder]) -> tuple[list[_Run], list[str]]:
    read, notes = [], []
    for folder in runs:
        if not (folder.path / "metrics.json").exists():
            notes.append(f"{folder.path.name} has no finished stage and is left out.")
            continue
        metrics = folder.read_metrics()
        try:
            environment = json.loads(read_plain(folder.path / "environment.json"))
            versions = dict(environment["versions"])
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise UserError(
                f"{folder.path / 'environment.json'} is missing or damaged ({error}); put it back"
            ) from None
        run = _Run(folder, folder.config.model_dump(mode="json"), environment | {"versions": versions}, metrics)
        try:
            _check(metrics)
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{folder.path / 'metrics.json'} is damaged ({error!r}); train again") from None
        if not metrics["stages_done"]:
            notes.append(f"{run.name} has no finished stage and is left out.")
            continue
        if run.stages:
            notes.append(f"{run.name} is unfinished ({run.stages}): its numbers are of those stages.")
        read.append(run)
    return read, notes


def _check(metrics: Mapping[str, Any]) -> None:
    """Read every number once, so that what is no number is found here."""
    for metric in METRICS:
        _number(metrics, metric.name)
    for task in metrics["per_task"]:
        str(task["task"]), [_float(task[key]) for key in ("final", "auc", "auc_reference")]
    if not 0 <= metrics["stages_done"] <= metrics["stages"]:
        raise ValueError("stages_done")


def _without_doubles(runs: list[_Run]) -> tuple[list[_Run], list[str]]:
    """Leave out runs with the settings and the seed of another: the same bits twice are no second sample."""
    seen: dict[str, _Run] = {}
    notes = []
    for run in runs:
        key = f"{run.method} {run.seed} {run.stages} {json.dumps(_settings(run))}"
        if key in seen:
            notes.append(f"{run.name} has the settings and the seed of {seen[key].name} and is left out.")
        seen.setdefault(key, run)
    return list(seen.values()), notes


def _group(label: str, runs: list[_Run], statistic: Statistic) -> Group:
    estimates = {m.name: estimate([_number(run.metrics, m.name) for run in runs], statistic) for m in METRICS}
    areas, references = (
        np.array([[_float(task[key]) for task in run.metrics["per_task"]] for run in runs])
        for key in ("auc", "auc_reference")
    )
    estimates["forward_transfer"] = forward_transfer_estimate(areas, references, statistic)
    final = {
        str(tasks[0]["task"]): estimate([_float(task["final"]) for task in tasks], statistic)
        for tasks in zip(*(run.metrics["per_task"] for run in runs), strict=True)
    }
    return Group(
        label=label,
        method=runs[0].method,
        runs=tuple(run.folder for run in runs),
        seeds=tuple(run.seed for run in runs),
        estimates=estimates,
        final_success=final,
    )


def _number(metrics: Mapping[str, Any], name: str) -> float:
    """Return a metric of one run, nan where it is undefined."""
    if name == "seconds.total":
        return float(sum(metrics["seconds"].values()))
    if name == "environment_steps":
        return float(metrics["stage_ends"][-1]) if metrics["stage_ends"] else float("nan")
    if name in _OPTIONAL:
        return _float(metrics.get(name))
    value: Any = metrics
    for part in name.split("."):
        value = value[part]
    return _float(value)


def _float(value: Any) -> float:
    return float("nan") if value is None else float(value)


# What tells runs apart -------------------------------------------------------------------------------------


def _settings(run: _Run) -> dict[str, Any]:
    """Return what must agree within a row, by dotted name: all but the seed and other methods' settings."""
    from clrobot.experiment.config import settings_in_use

    in_use = settings_in_use(run.folder.config)
    return dict(_flat({key: value for key, value in in_use.items() if key not in _NOT_COMPARED}))


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _flat(inner, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", inner


def _labels(rows: list[list[_Run]]) -> list[str]:
    """Return each row's label: its method, and the settings in which rows of that method differ."""
    settings = [_settings(row[0]) for row in rows]
    labels = []
    for (first, *_), mine in zip(rows, settings, strict=True):
        same = [s for s, row in zip(settings, rows, strict=True) if row[0].method == first.method]
        differs = sorted({key for other in same for key in mine | other if mine.get(key) != other.get(key)})
        parts = [f"{key}={_shown(mine.get(key))}" for key in differs if not key.startswith("curriculum.")]
        if any(key.startswith("curriculum.") for key in differs):
            parts.insert(0, _curriculum(first))
        if first.stages:
            parts.append(first.stages)
        labels.append(f"{first.method} ({', '.join(parts)})" if parts else first.method)
    return [
        f"{label} #{labels[:i].count(label) + 1}" if label in labels[:i] else label for i, label in enumerate(labels)
    ]


def _curriculum(run: _Run) -> str:
    curriculum = run.folder.config.curriculum
    return f"{curriculum.name}, {sum(stage.steps for stage in curriculum.stages):,} steps"


def _shown(value: Any) -> str:
    return "-".join(map(str, value)) if isinstance(value, list) else str(value)


def _differences(runs: list[_Run], groups: Sequence[Group]) -> list[str]:
    """Return a sentence for each thing that should be equal in runs that are compared, and is not."""
    checks: list[tuple[str, Callable[[_Run], Any]]] = [
        ("Other curricula", lambda run: ", ".join(run.folder.config.curriculum.slots)),
        ("Other worlds", lambda run: ", ".join(s.told or "as it is" for s in run.folder.config.curriculum.stages)),
        ("Other budgets", lambda run: " + ".join(f"{s.steps:,}" for s in run.folder.config.curriculum.stages)),
        ("Other readings of success", lambda run: run.metrics.get("success_reading")),
        ("Other numbers of evaluation episodes", lambda run: run.config["evaluation"]["episodes"]),
        ("Other evaluation seeds", lambda run: run.config["evaluation"]["seed"]),
        ("Other points of the learning curve", lambda run: _curve(run.config["evaluation"])),
    ]
    for package in sorted({name for run in runs for name in run.environment["versions"]}):
        checks.append((f"Other versions of {package}", _version_of(package)))
    notes = [note for what, value in checks if (note := _difference(what, runs, value)) is not None]
    machines = {tuple(str(run.environment.get(key)) for key in ("platform", "machine", "cpu_count")) for run in runs}
    if len(machines) > 1:
        notes.append(f"The runs were made on {len(machines)} kinds of machine: their seconds are not comparable.")
    if len({group.seeds for group in groups}) > 1:
        told = "; ".join(f"{group.label}: {', '.join(map(str, group.seeds))}" for group in groups)
        notes.append(f"The rows have other seeds ({told}).")
    if len({algorithm_settings(run.config) for run in runs}) > 1:
        notes.append("Other algorithm or network settings: the rows differ in more than the method.")
    return notes


def algorithm_settings(config: Mapping[str, Any]) -> str:
    """Return as text what a run learns with beside its method: algorithm, network, threads and device."""
    from clrobot.agents.methods import METHODS

    left_out = {*_NOT_COMPARED, "curriculum", "evaluation", "steps", *(method.name for method in METHODS)}
    return json.dumps({key: value for key, value in config.items() if key not in left_out}, sort_keys=True)


def _version_of(package: str) -> Callable[[_Run], Any]:
    return lambda run: run.environment["versions"].get(package, "not noted")


def _curve(evaluation: Mapping[str, Any]) -> str:
    return f"{evaluation['curve_points']} points of {evaluation['curve_episodes']} episodes"


def _difference(what: str, runs: Sequence[_Run], value: Callable[[_Run], Any]) -> str | None:
    """Return a sentence that says which runs have which value, or None where all have the same."""
    names: dict[str, list[str]] = {}
    for run in runs:
        names.setdefault(str(value(run)), []).append(run.name)
    if len(names) < 2:
        return None
    told = "; ".join(f"{shown} ({_few(members)})" for shown, members in names.items())
    return f"{what}: {told}."


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
