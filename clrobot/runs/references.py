"""References: each stage's task learned alone, from a fresh network and on the same budget.

Forward transfer compares a stage's learning curve with that of a reference. A reference is an ordinary run, of one
stage, in `STORE/TASK-KEY`; the key is a hash of all that determines its scores, so that runs which would train the
same reference find it there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrobot.agents.algorithms import ALGORITHMS
from clrobot.agents.methods import METHODS_BY_NAME
from clrobot.errors import UserError
from clrobot.experiment.build import make_method
from clrobot.experiment.config import CHANGES_NO_SCORE, RunConfig, make_config
from clrobot.results.run_metrics import RunMetrics
from clrobot.runs.folder import RunFolder
from clrobot.runs.metrics_file import rebuild_metrics

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


def reference_areas(config: RunConfig, store: Path) -> NDArray[np.float64]:
    """Return the area under each slot's reference curve, (N,); nan where there is no finished reference."""
    areas = np.full(len(config.curriculum.stages), np.nan)
    if config.curriculum.heads == "one" or not store.is_dir():  # what one head learns is not what one learns alone
        return areas
    for slot in range(len(areas)):
        found = find_reference(store, config, slot)
        area = None if found is None else found.read_metrics().per_task[0].auc
        areas[slot] = np.nan if area is None else area
    return areas


def missing_references(runs: Iterable[RunFolder], store: Path | None = None) -> dict[Path, RunConfig]:
    """Return the references that these runs lack, each once: where it goes, and its settings.

    Args:
        runs: the runs.
        store: where references are kept; None: beside each run.

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
        for slot in range(len(run.config.curriculum.stages)) if run.config.curriculum.heads != "one" else ():
            folder = reference_folder(place, run.config, slot)
            if folder in missing or find_reference(place, run.config, slot) is not None:
                continue
            if folder.is_symlink():
                raise UserError(f"{folder} is a link; put the reference itself there, or give another --store")
            there = (folder / "config.yaml").exists() and _is_trained(RunFolder.open(folder))
            if there and find_reference(place, run.config, slot) is None:  # another process may have just finished it
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
    areas = reference_areas(run.config, default_store(run) if store is None else store)
    run.lock()
    try:
        return rebuild_metrics(run, areas)
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
