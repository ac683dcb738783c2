"""What a run was made with: the content of its `environment.json`.

A training may go on elsewhere, or with another version of something. What it was begun with stands at the top; what
it was gone on with, and had not been trained with before, is added to the list `resumed`.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from clrobot.envs.simulation.physics_version import PHYSICS_VERSION
from clrobot.experiment.config import RunConfig
from clrobot.published.provenance import RESUMED, STEP, makings
from clrobot.runs.foreign import sources
from clrobot.source import source_commit

_PACKAGES: Final = ("clrobot", "mujoco", "gymnasium", "stable-baselines3", "torch", "numpy")


def versions() -> dict[str, str]:
    """Return those of Python and of what computes."""
    return {"python": platform.python_version()} | {name: _version(name) for name in _PACKAGES}


def environment_here(config: RunConfig) -> dict[str, Any]:
    """Return what a run with these settings is made with by this process; it takes a moment."""
    from clrobot.runs.fingerprint import fingerprint  # which needs torch

    return {
        "versions": versions(),
        "commit": source_commit(),
        "physics": PHYSICS_VERSION,
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpu_count": os.cpu_count(),
        "torch_threads": config.torch_threads,
        "device": config.device,
        "fingerprint": fingerprint(config.torch_threads).model_dump(mode="json"),
    } | foreign_sources(config)


def foreign_sources(config: RunConfig) -> dict[str, Any]:
    """Return where the settings' tasks and methods come from, `{"sources": …}`; nothing where all are clrobot's."""
    found = sources(config)
    return {"sources": found} if found else {}


def gone_on_with(noted: Mapping[str, Any], here: Mapping[str, Any], step: int) -> dict[str, Any] | None:
    """Return the content of `environment.json` of a run that goes on in this environment; None: as it is.

    Args:
        noted: its content.
        here: see `environment_here`.
        step: the control step of the run at which it goes on.
    """
    if dict(here) in makings(noted):
        return None
    resumed = noted.get(RESUMED)
    before = resumed if isinstance(resumed, list) else []
    return {**noted, RESUMED: [*before, {STEP: step, **here}]}


@cache
def _version(package: str) -> str:  # a process that makes many runs reads each package's metadata once
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
