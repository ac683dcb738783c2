"""Why the rows of a comparison may not be comparable, a sentence for each reason."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clrobot.comparison.runs import NOT_COMPARED, ComparedRun
from clrobot.experiment.curriculum import Stage
from clrobot.published.provenance import makings, version_of


def differences(runs: Sequence[ComparedRun]) -> list[str]:
    """Return a sentence for each fact that should be equal in runs that are compared, and is not."""
    checks: list[tuple[str, Callable[[ComparedRun], Any]]] = [
        ("Other curricula", lambda run: ", ".join(run.folder.config.curriculum.planned.slots)),
        (
            "Other worlds",
            lambda run: ", ".join(stage.world_description or "as it is" for stage in _stages(run)),
        ),
        ("Other physics", lambda run: run.physics),
        ("Other heads, order or padding", _arrangement),
        ("Other budgets", lambda run: " + ".join(f"{s.steps:,}" for s in _stages(run))),
        ("Other readings of success", lambda run: run.metrics.success_reading),
        ("Other numbers of evaluation episodes", lambda run: run.config["evaluation"]["episodes"]),
        ("Other evaluation seeds", lambda run: run.config["evaluation"]["seed"]),
        ("Other points of the learning curve", lambda run: _curve(run.config["evaluation"])),
    ]
    measured = [run for run in runs if run.metrics.references]  # forward transfer of the others is undefined
    kinds = _difference("Other references of forward transfer", measured, _references)
    for package in sorted({name for run in runs for name in run.environment["versions"]}):
        checks.append((f"Other versions of {package}", _version_of(package)))
    notes = [note for what, value in checks if (note := _difference(what, runs, value)) is not None]
    machines = {
        tuple(str(made.get(key)) for key in ("platform", "machine", "cpu_count"))
        for run in runs
        for made in makings(run.environment)
    }
    notes += [] if kinds is None else [kinds]
    if len(machines) > 1:
        notes.append(f"The runs were made on {len(machines)} kinds of machine: their seconds are not comparable.")
    return notes


def other_seeds(seeds: Sequence[tuple[str, tuple[int, ...]]]) -> list[str]:
    """Return a sentence where rows, given by label and seeds, have other seeds."""
    if len({own for _, own in seeds}) < 2:
        return []
    each = "; ".join(f"{label}: {', '.join(map(str, own))}" for label, own in seeds)
    return [f"The rows have other seeds ({each})."]


def other_algorithms(runs: Sequence[ComparedRun]) -> list[str]:
    """Return a sentence where runs differ in what they learn with beside the method."""
    if len({_algorithm_settings(run.config) for run in runs}) < 2:
        return []
    return ["Other algorithm or network settings: the rows differ in more than the method."]


def _algorithm_settings(config: Mapping[str, Any]) -> str:
    """Return as text what a run learns with beside its method: algorithm, network, threads and device."""
    from clrobot.agents.methods import METHODS_BY_NAME

    left_out = {*NOT_COMPARED, "curriculum", "evaluation", "steps", *METHODS_BY_NAME}
    return json.dumps({key: value for key, value in config.items() if key not in left_out}, sort_keys=True)


def _version_of(package: str) -> Callable[[ComparedRun], Any]:
    return lambda run: version_of(run.environment, package) or "not noted"


def _references(run: ComparedRun) -> str:
    return " and ".join(sorted(run.metrics.references))


def _stages(run: ComparedRun) -> tuple[Stage, ...]:
    return run.folder.config.curriculum.planned.stages


def _arrangement(run: ComparedRun) -> str:
    """Return how a curriculum's stages are learned, where that is not as usual: `heads: one`."""
    changed = run.folder.config.curriculum.planned.model_dump(mode="json", exclude_defaults=True)
    given = [f"{name}: {value}" for name, value in changed.items() if name not in ("name", "stages", "defaults")]
    return ", ".join(given) or "as usual"


def _curve(evaluation: Mapping[str, Any]) -> str:
    return f"{evaluation['curve_points']} points of {evaluation['curve_episodes']} episodes"


def _difference(what: str, runs: Sequence[ComparedRun], value: Callable[[ComparedRun], Any]) -> str | None:
    """Return a sentence that says which runs have which value, or None where all have the same."""
    names: dict[str, list[str]] = {}
    for run in runs:
        names.setdefault(str(value(run)), []).append(run.name)
    if len(names) < 2:
        return None
    each = "; ".join(f"{found} ({_few(members)})" for found, members in names.items())
    return f"{what}: {each}."


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
