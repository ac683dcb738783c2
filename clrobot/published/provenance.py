"""With what a number was made: the versions that every published row names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from clrobot.envs.simulation.physics_version import FIRST

# The columns of a row, and the packages of `environment.json`.
PACKAGES: Final = {
    "torch": "torch",
    "mujoco": "mujoco",
    "numpy": "numpy",
    "stable_baselines3": "stable-baselines3",
    "gymnasium": "gymnasium",
}


def physics_of(environment: Mapping[str, Any]) -> int:
    """Return the version of the physics that a run was trained in: the noted one, or the first.

    Args:
        environment: the content of the run's `environment.json`.
    """
    noted = environment.get("physics", FIRST)
    return noted if isinstance(noted, int) else FIRST


def provenance(environment: Mapping[str, Any], commit: str | None = None) -> dict[str, Any]:
    """Return the columns that say with what a run was made.

    Args:
        environment: the content of the run's `environment.json`.
        commit: of clrobot, in place of the one that the run noted.
    """
    versions = environment.get("versions", {})
    return {
        "physics": physics_of(environment),
        "commit": commit or environment.get("commit", ""),
        **{column: versions.get(package, "") for column, package in PACKAGES.items()},
    }
