"""The executors by name, imported when they are asked for: `--on slurm`."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Final, cast

from clrobot.errors import UserError, nearest, shown
from clrobot.studies.executors.executor import Executor


@dataclass(frozen=True)
class Kind:
    """Where an executor is found.

    Attributes:
        module: which has `make(settings)`; it returns the executor, and is given the verb's settings of its name.
        package: what that module needs of others, as it is imported; None where it needs nothing.
        extra: of clrobot, that installs it.
    """

    module: str
    package: str | None = None
    extra: str | None = None


EXECUTORS: Final[dict[str, Kind]] = {
    "local": Kind("clrobot.studies.executors.local"),
    "slurm": Kind("clrobot.studies.executors.slurm", "submitit", "slurm"),
    "ray": Kind("clrobot.studies.executors.ray", "ray", "ray"),
}


def make_executor(name: str, **settings: object) -> Executor:
    """Return the executor of that name.

    Args:
        name: one of `EXECUTORS`.
        settings: those of executors that have any, by their names.

    Raises:
        UserError: there is none of that name, the package that it needs is not installed, or the settings are of
            another, which would be ignored.
    """
    if name not in EXECUTORS:
        raise UserError(f"--on {shown(name)}{nearest(name, EXECUTORS)}")
    for other, given in settings.items():
        if other != name and given != type(given)():
            raise UserError(
                f"--{other}.… is for --on {other}, and this is --on {name}; give --on {other}, or leave it out"
            )
    kind = EXECUTORS[name]
    if kind.package is not None and find_spec(kind.package) is None:
        raise UserError(
            f"--on {name} needs {kind.package}, which is not installed; pip install 'clrobot[{kind.extra}]'"
        )
    return cast("Executor", import_module(kind.module).make(settings.get(name)))
