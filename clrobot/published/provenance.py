"""With what a number was made: the versions that every published row names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

# In `environment.json`: what a run was gone on with that had not been there before, and the control step of the run
# at which it first was.
RESUMED: Final = "resumed"
STEP: Final = "from_step"


def physics_of(environment: Mapping[str, Any]) -> int:
    """Return the version of the physics that a run was trained in: the noted one, or the first.

    Args:
        environment: the content of the run's `environment.json`.
    """
    noted = environment.get("physics", FIRST)
    return noted if isinstance(noted, int) else FIRST


def makings(noted: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return each environment in which a run was trained, the first one first.

    Args:
        noted: the content of its `environment.json`; what is no such list there counts as none.
    """
    resumed = noted.get(RESUMED)
    later = [entry for entry in resumed if isinstance(entry, dict)] if isinstance(resumed, list) else []
    first = {name: value for name, value in noted.items() if name != RESUMED}
    return [first, *({name: value for name, value in entry.items() if name != STEP} for entry in later)]


def provenance(environment: Mapping[str, Any], commit: str | None = None) -> dict[str, Any]:
    """Return the columns that say with what a run was made: `A then B` where it was gone on with another.

    Args:
        environment: the content of the run's `environment.json`.
        commit: of clrobot, in place of the one that the run noted.
    """
    return {
        "physics": physics_of(environment),
        "commit": commit or _told([made.get("commit") for made in makings(environment)]),
        **{column: version_of(environment, package) for column, package in PACKAGES.items()},
    }


def version_of(environment: Mapping[str, Any], package: str) -> str:
    """Return the version of a package that a run was made with: `A then B` where it was gone on with another.

    Args:
        environment: the content of the run's `environment.json`; nothing is told of what it did not note.
        package: its name there.
    """
    noted = [made.get("versions") for made in makings(environment)]
    return _told([versions.get(package) if isinstance(versions, dict) else None for versions in noted])


def _told(values: Sequence[Any]) -> str:
    """Return one text of what was noted in each environment; where one noted nothing, that of the first."""
    texts = [value if isinstance(value, str) else "" for value in values]
    return " then ".join(dict.fromkeys(texts)) if all(texts) else texts[0]
