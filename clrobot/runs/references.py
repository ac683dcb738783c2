"""References of one's own: each stage's task learned alone, from a fresh network and on the same budget.

Forward transfer compares a stage's learning curve with that of a reference. A reference is an ordinary run, of one
stage, in `STORE/TASK-KEY`; the key is a hash of all that determines its scores, so that runs which would train the
same reference find it there. Where a stage has none of its own, the curves that come with clrobot stand in for it, if
they were learned in the same way (`clrobot.published.references`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clrobot.agents.algorithms import ALGORITHMS
from clrobot.agents.methods import METHODS_BY_NAME
from clrobot.envs.simulation.physics_version import FIRST
from clrobot.errors import UserError
from clrobot.experiment.config import CHANGES_NO_SCORE, RunConfig, make_config
from clrobot.experiment.method import make_method
from clrobot.published import references as published
from clrobot.published.provenance import physics_of
from clrobot.results.run_metrics import RunMetrics
from clrobot.results.scores import area_until, learning_curve
from clrobot.runs.folder import RunFolder
from clrobot.runs.metrics_file import rebuild_metrics
from clrobot.runs.score_book import read_scores

FORMAT = 2  # raise it when what a reference's scores mean changes: older references are then not found
METHOD = "finetune"  # in a first stage it is the algorithm alone

# What changes no score: a reference has the defaults, but for the threads. The method is none of its own, and before
# a first stage there is nothing to begin with.
_IMMATERIAL = ("method", "steps", "warm_start", "gradient", *CHANGES_NO_SCORE)


def default_store(run: RunFolder) -> Path:
    """Return where a run's references are looked for: `references` beside it."""
    return run.path.resolve().parent / "references"


def reference_config(config: RunConfig, slot: int) -> RunConfig:
    """Return the settings of the reference for slot index `slot` (from 0) of a run with these settings."""
    return make_config(**_determining(config, slot), method=METHOD, video={"enabled": False}, threads=config.threads)


def reference_folder(store: Path, config: RunConfig, slot: int = 0) -> Path:
    """Return where the reference for a slot of a run with these settings lies, or would lie."""
    text = json.dumps({"format": FORMAT} | _determining(config, slot), sort_keys=True)
    key = hashlib.sha256(text.encode()).hexdigest()[:16]
    return store / f"{config.curriculum.stages[slot].name}-{key}"


def find_reference(store: Path, config: RunConfig, slot: int) -> RunFolder | None:
    """Return the finished reference for a slot, or None: not there, unfinished, damaged, or with other settings."""
    folder = reference_folder(store, config, slot)
    if not folder.is_dir():
        return None
    try:
        run = RunFolder.open(folder)
        whole = run.finished and run.read_metrics().stages_done == 1
        return run if whole and reference_folder(store, run.config) == folder else None
    except UserError:
        return None


def reference_areas(config: RunConfig, store: Path, steps: Sequence[int] = ()) -> NDArray[np.float64]:
    """Return the area under each slot's reference curve, (N,); nan where there is no finished reference.

    Args:
        config: a run's settings.
        store: where its references are.
        steps: that its finished stages took: a trial may leave less than a whole iteration over, and a reference
            counts as far. Of a stage that has none here the reference counts wholly.
    """
    areas = np.full(len(config.curriculum.stages), np.nan)
    if config.curriculum.heads == "one" or not store.is_dir():  # what one head learns is not what one learns alone
        return areas
    for slot in range(len(areas)):
        found = find_reference(store, config, slot)
        if found is None:
            continue
        with suppress(UserError):  # it is damaged
            (end,) = found.read_metrics().stage_ends
            curve = learning_curve(read_scores(found.scores_file), 0, [end])
            areas[slot] = area_until(curve, min(end, steps[slot] if slot < len(steps) else end))
    return areas


class References(NamedTuple):
    """What a run's stages are set against.

    Attributes:
        areas: under each slot's reference curve, (N,); nan where there is none.
        shipped: whether it is of the curves that come with clrobot, for each slot.
    """

    areas: NDArray[np.float64]
    shipped: tuple[bool, ...]


def noted_physics(run: RunFolder) -> int:
    """Return the version of the physics that a run was trained in; where no file tells it, the first."""
    try:
        return physics_of(run.read_environment())
    except UserError:
        return FIRST


def find_references(config: RunConfig, store: Path, ends: Sequence[int], physics: int) -> References:
    """Return the references of a run: its own, and where there is none the mean of the shipped ones that match.

    Args:
        config: its settings.
        store: where its own are.
        ends: the step at which each finished stage ended; the others need no reference yet.
        physics: the version of the physics that it was trained in: a shipped curve of another is none of its.

    Raises:
        UserError: the file of shipped ones is damaged.
    """
    areas = reference_areas(config, store, _steps(config, ends))
    shipped = [False] * len(areas)
    for slot, steps in enumerate(_steps(config, ends)):
        if np.isnan(areas[slot]):
            found = published.reference_areas(config, config.curriculum.stages[slot], steps, physics=physics)
            if found.size:
                areas[slot], shipped[slot] = found.mean(), True
    return References(areas, tuple(shipped))


def shipped_areas(config: RunConfig, ends: Sequence[int], physics: int) -> NDArray[np.float64]:
    """Return the areas of the shipped references that fit K finished stages, (S', K); nan where a stage has fewer."""
    stages = config.curriculum.stages
    found = [
        published.reference_areas(config, stages[slot], steps, physics=physics)
        for slot, steps in enumerate(_steps(config, ends))
    ]
    areas = np.full((max(map(len, found), default=0), len(found)), np.nan)
    for slot, own in enumerate(found):
        areas[: len(own), slot] = own
    return areas


def _steps(config: RunConfig, ends: Sequence[int]) -> list[int]:
    """Return the control steps of each finished stage; of none where one head learns all: that is not alone."""
    stages = config.curriculum.stages
    if config.curriculum.heads == "one":
        return []
    return [end - begin for begin, end in zip((0, *ends), ends[: len(stages)], strict=False)]


def reference_remarks(config: RunConfig, metrics: RunMetrics, torch: str, physics: int) -> list[str]:
    """Return what must be said of what forward transfer is measured against, sentences.

    Args:
        config: the run's settings.
        metrics: the run's.
        torch: the version that it was trained with.
        physics: the version of the physics that it was trained in.
    """
    found, without = [], dict[str, list[str]]()
    rows: list[published.Reference] = []
    for slot, steps in enumerate(_steps(config, metrics.stage_ends)):
        task, stage = metrics.per_task[slot], config.curriculum.stages[slot]
        if task.reference == "shipped":
            rows += published.shipped_for(config, stage, steps, physics)
        elif task.auc_reference is None and task.auc is not None:
            why = published.why_none(config, stage, steps, physics=physics)
            if why is not None and why != published.NO_SUCH_WORLD:
                without.setdefault(why, []).append(stage.name)
    if rows:
        seeds = len({row.seed for row in rows})
        found.append(f"Forward transfer is measured against the references that come with clrobot ({seeds} seeds).")
        starts = {row.evaluation_seed for row in rows} - {config.evaluation.seed}
        if starts:
            seeds_there = ", ".join(f"{seed:,}" for seed in sorted(starts))
            found.append(
                f"Their start states are others than the run's (evaluation seed {seeds_there}, and "
                f"{config.evaluation.seed:,}), which is in no interval."
            )
        if others := published.other_torch(torch, rows):
            found.append(f"Those references were made with torch {others}, and the run with {torch}.")
    for why, names in without.items():
        found.append(
            f"No reference that comes with clrobot fits {', '.join(dict.fromkeys(names))}: {why}. "
            "`clrobot references RUN` trains the run's own."
        )
    return found


def missing_references(
    runs: Iterable[RunFolder], store: Path | None = None, *, unless_shipped: bool = False
) -> dict[Path, RunConfig]:
    """Return the references that these runs lack, each once: where it goes, and its settings.

    Args:
        runs: the runs.
        store: where references are kept; None: beside each run.
        unless_shipped: whether a stage of which one comes with clrobot lacks none; the runs are then finished ones.

    Raises:
        UserError: where one would go lies a finished run that cannot be used, or a link, which leads elsewhere.
    """
    missing = {}
    for run in runs:
        if not make_method(run.config).in_sequence(len(run.config.curriculum.stages)):
            continue  # all tasks at once: forward transfer is undefined
        place = default_store(run) if store is None else store
        if store is None and place.is_symlink():
            raise UserError(f"{place} is a link; say where references go: clrobot references --store")
        ends = run.read_metrics().stage_ends if unless_shipped else ()
        there = find_references(run.config, place, ends, noted_physics(run)).shipped if unless_shipped else ()
        for slot in range(len(run.config.curriculum.stages)) if run.config.curriculum.heads != "one" else ():
            if there and there[slot]:
                continue
            folder = reference_folder(place, run.config, slot)
            if folder in missing or find_reference(place, run.config, slot) is not None:
                continue
            if folder.is_symlink():
                raise UserError(f"{folder} is a link; put the reference itself there, or give another --store")
            trained = (folder / "config.yaml").exists() and _is_trained(RunFolder.open(folder))
            if (
                trained and find_reference(place, run.config, slot) is None
            ):  # another process may have just finished it
                raise UserError(f"the reference {folder} is damaged; move it elsewhere, and it will be trained again")
            missing[folder] = reference_config(run.config, slot)
    return missing


def _is_trained(run: RunFolder) -> bool:
    """Return whether a reference's one stage is over, whatever became of its other files since."""
    return 1 in run.stages() and not run.resume.exists()


def use_references(run: RunFolder, store: Path | None = None) -> RunMetrics:
    """Write a run's metrics anew, with the references found in the store; return the metrics.

    Raises:
        UserError: the run has no finished stage, a file is damaged, or another process trains the run.
    """
    ends = run.read_metrics().stage_ends
    found = find_references(run.config, default_store(run) if store is None else store, ends, noted_physics(run))
    run.lock()
    try:
        return rebuild_metrics(run, *found)
    finally:
        run.unlock()


def _determining(config: RunConfig, slot: int) -> dict[str, Any]:
    """Return the settings that determine a reference's scores.

    Where a world begins anew at every snapshot, it matters how many steps lie between two.
    """
    settings = config.model_dump(mode="json")
    stage = settings["curriculum"]["stages"][slot]
    unused = {algorithm.name for algorithm in ALGORITHMS} - {config.algo}
    for name in (*_IMMATERIAL, *unused, *METHODS_BY_NAME):
        settings.pop(name, None)
    if not config.curriculum.stages[slot].saves_state:
        settings["checkpoint"] = {"steps": config.checkpoint.steps}
    return settings | {"curriculum": {"name": config.curriculum.stages[slot].name, "stages": [stage]}}
