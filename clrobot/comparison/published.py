"""Published runs as rows of a comparison, and why they may not be comparable with a user's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from clrobot.comparison.groups import Group, group_of
from clrobot.comparison.labels import labelled
from clrobot.comparison.runs import ComparedRun
from clrobot.envs.simulation.physics_version import PHYSICS_VERSION
from clrobot.errors import UserError, cut
from clrobot.published.provenance import physics_of, version_of
from clrobot.published.results import PublishedRun, identity
from clrobot.results.statistics import Statistic

SUFFIX = ", published"


def same_curricula(runs: Sequence[ComparedRun], published: Sequence[PublishedRun]) -> list[PublishedRun]:
    """Return the published runs of the curricula that a user's runs have.

    Raises:
        UserError: there is none, or a user's run is one of them: the same bits twice are no second sample.
    """
    mine = [(run, identity(run.folder.config)) for run in runs]
    wanted = {(own["curriculum"], own["stages"]) for _, own in mine}
    found = [run for run in published if (run.first.curriculum, run.first.stages) in wanted]
    if not found:
        named = " and ".join(sorted({cut(str(name), 60) for name, _ in wanted}))
        there = sorted({run.first.curriculum for run in published})
        rest = f"published are {', '.join(there)}" if there else "no results come with this version"
        raise UserError(f"nothing is published for {named} with these stages and steps; {rest}")
    by_place = {_place(run.first.model_dump()): run for run in found}
    for run, own in mine:
        if _place(own) in by_place:
            raise UserError(
                f"{run.name} is published itself ({run.method}, seed {run.seed}), and the same run twice is no "
                "second sample; give runs of other seeds, or leave out --published"
            )
    return found


def _place(which: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(which[name] for name in ("curriculum", "stages", "method", "algo", "fingerprint", "seed"))


def published_groups(runs: Sequence[PublishedRun], statistic: Statistic, suffix: str = SUFFIX) -> list[Group]:
    """Return the rows of published runs: those of one method and one set of settings each, by rising seed.

    Raises:
        UserError: a setting of one is not known today.
    """
    rows: dict[tuple[Any, ...], list[PublishedRun]] = {}
    for run in runs:
        rows.setdefault(run.first.run[:-1], []).append(run)
    several = len({run.first.evaluation_seed for run in runs}) > 1
    return [_group(members, statistic, suffix, several) for members in rows.values()]


def _group(runs: Sequence[PublishedRun], statistic: Statistic, suffix: str, starts: bool) -> Group:
    first = runs[0]
    ends = [first.task_value(slot, "stage_end") for slot in range(len(first.tasks))]
    return group_of(
        _label(first, starts) + suffix,
        first.config,
        runs,
        [run.first.seed for run in runs],
        first.tasks,
        [int(end) for end in ends if end is not None],
        statistic,
        physics=first.first.physics,
    )


def _label(run: PublishedRun, starts: bool) -> str:
    """Return a row's label: its method, what tells it from the method as it is today, and where runs started."""
    parts = [] if run.first.algo == "ppo" else [run.first.algo]
    parts += run.first.settings.split()
    if run.first.physics != PHYSICS_VERSION:
        parts.append(f"physics {run.first.physics}")
    elif run.older:
        parts.append("older defaults")
    if starts:
        parts.append(f"evaluation seed {run.first.evaluation_seed}")
    return labelled(run.first.method, parts)


def published_notes(runs: Sequence[ComparedRun], published: Sequence[PublishedRun]) -> list[str]:
    """Return a sentence for each reason why published rows may not be comparable with these runs."""
    notes = []
    checks: list[tuple[str, Callable[[ComparedRun], Any], Callable[[PublishedRun], Any]]] = [
        ("evaluation seed", lambda r: r.config["evaluation"]["seed"], lambda p: p.first.evaluation_seed),
        ("version of torch", _version("torch"), lambda p: p.first.torch),
        ("version of mujoco", _version("mujoco"), lambda p: p.first.mujoco),
        ("version of physics", lambda r: physics_of(r.environment), lambda p: p.first.physics),
    ]
    for what, mine, theirs in checks:
        here, there = {str(mine(run)) for run in runs}, {str(theirs(run)) for run in published}
        if here != there:
            notes.append(
                f"The published runs have another {what}: {', '.join(sorted(there))}, here {', '.join(sorted(here))}."
            )
    if older := sorted({run.first.method for run in published if run.older}):
        notes.append(f"Published {', '.join(older)}: a default has changed since.")
    notes.append("Published seconds are another machine's, most of them beside other work.")
    return notes


def _version(package: str) -> Callable[[ComparedRun], Any]:
    return lambda run: version_of(run.environment, package) or "not noted"
