"""What of a run is a user's own: where its tasks and methods come from, and which of them are missing here."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

from clrobot.agents.methods import METHODS_BY_NAME
from clrobot.envs.tasks import TASKS_BY_ID
from clrobot.envs.worlds.kinds import is_native, kind_of
from clrobot.errors import UserError, cut, shown
from clrobot.experiment.config import RunConfig
from clrobot.experiment.yaml_file import parse_yaml
from clrobot.files import read_plain
from clrobot.registry import Registry

_REGISTRIES: Final[dict[str, Registry[Any]]] = {"tasks": TASKS_BY_ID, "methods": METHODS_BY_NAME}
_DISTRIBUTION: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")


def sources(config: RunConfig) -> dict[str, dict[str, dict[str, str]]]:
    """Return where the tasks and methods of a run come from that are not clrobot's; empty where all are.

    For each, by `tasks` or `methods` and by name: the `distribution` and its `version`, or the `module`.
    """
    stages = config.curriculum.stages
    names = {
        "tasks": dict.fromkeys(stage.task for stage in stages if stage.native),
        "methods": dict.fromkeys(config.method.split("+")),
    }
    found = {
        kind: {name: _source(_REGISTRIES[kind], name) for name in own if name not in _REGISTRIES[kind].ours}
        for kind, own in names.items()
    }
    others = {stage.task: kind_of(stage.task).source(stage.task) for stage in stages if not stage.native}
    found["worlds"] = {task: source for task, source in others.items() if source}
    return {kind: own for kind, own in found.items() if own}


def _source(registry: Registry[Any], name: str) -> dict[str, str]:
    if (distribution := registry.distribution(name)) is not None:
        return {"distribution": distribution.name, "version": distribution.version}
    return {"module": registry.source(name)}


def missing(run: Path) -> str | None:
    """Return a sentence on a task or method that a run needs and that is not here, or None.

    The run's files are only read: what they name is looked up, and never imported.
    """
    try:
        config = parse_yaml(read_plain(run / "config.yaml").decode("utf-8"), "")[1]
        stages = config["curriculum"]["stages"]
        needed = [("tasks" if is_native(task) else "worlds", task) for task in (str(s["task"]) for s in stages)]
        needed += [("methods", part) for part in str(config["method"]).split("+")]
    except (OSError, ValueError, TypeError, LookupError, UserError):
        return None  # damaged: another sentence says how
    for kind, name in needed:
        if kind == "worlds":
            if (sentence := _missing_world(run, name)) is not None:
                return sentence
            continue
        registry = _REGISTRIES[kind]
        if name in registry:
            continue
        what = f"{run} needs the {registry.kind} {shown(name)}"
        if (reason := registry.why_broken(name)) is not None:
            return f"{what}, which cannot be used: {reason}"
        if (cure := _cure(run, kind, name)) is not None:
            return f"{what}, which is not here; {cure}"
    return None


def _missing_world(run: Path, task: str) -> str | None:
    try:
        kind_of(task).check(task)
    except UserError as error:
        cure = _cure(run, "worlds", task)
        return f"{run} needs the world {shown(task)}, which is not here; {cure}" if cure else f"{run}: {error}"
    return None


def _cure(run: Path, kind: str, name: str) -> str | None:
    """Return a clause on what brings a missing one, as the run's `environment.json` notes it, or None."""
    try:
        noted = json.loads(read_plain(run / "environment.json"))["sources"][kind][name]
        distribution, module = noted.get("distribution"), noted.get("module")
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError, UserError):
        return None
    if isinstance(distribution, str) and _DISTRIBUTION.fullmatch(distribution):
        return f"install the distribution it came from: pip install {distribution}"
    if module == "__main__":
        return "it was registered by a notebook or a program: use the run there"
    if isinstance(module, str):
        return f"it came from {cut(module, 80)}: import that with --import, or register it first"
    return None
