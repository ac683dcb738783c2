"""What the executors are asked for: read before the packages that they need are there."""

from __future__ import annotations

import re
from dataclasses import dataclass

from clrobot.errors import UserError, shown

_MOST_CPUS = 1_024
_MOST_MINUTES = 527_040  # a year


# What a study could not wait for, or gives itself.
_NOT_HERE = {
    "array": "each run is one job",
    "clusters": "the study asks the cluster that it is started on",
    "dependency": "of the jobs of one run one is started at a time",
    "job-name": "jobs have the names of their runs",
    "wait": "the study waits",
}


@dataclass(frozen=True)
class SlurmSettings:
    """Slurm's jobs.

    Raises:
        UserError: a value is out of bounds.
    """

    partition: str | None = None
    """The partition; None: the cluster's default."""
    timeout_min: int = 240
    """Minutes that one job may take; a run that takes longer goes on in another."""
    cpus: int = 1
    """Cores of a job, and threads of its run's physics."""
    extra: tuple[str, ...] = ()
    """What else sbatch is given, each as KEY=VALUE: account=robots, gres=gpu:1, nice=100."""

    def __post_init__(self) -> None:
        _check_word(self.partition, "--slurm.partition")
        _check_number(self.timeout_min, "--slurm.timeout-min", _MOST_MINUTES)
        _check_number(self.cpus, "--slurm.cpus", _MOST_CPUS)
        for word in self.extra:
            if not re.fullmatch(r"[a-z][a-z_-]{0,60}=[^\x00-\x1f]{1,1000}", word):
                raise UserError(f"--slurm.extra {shown(word)}; expected KEY=VALUE, such as account=robots")
            if (key := word.partition("=")[0].replace("_", "-")) in _NOT_HERE:
                raise UserError(f"--slurm.extra {shown(word)}: {_NOT_HERE[key]}; leave it out")


@dataclass(frozen=True)
class RaySettings:
    """Ray's tasks.

    Raises:
        UserError: a value is out of bounds.
    """

    address: str | None = None
    """Of the cluster, such as auto or ray-head:6379; None: RAY_ADDRESS, or a Ray of this machine alone."""
    cpus: int = 1
    """Cores of a task, and threads of its run's physics."""

    def __post_init__(self) -> None:
        _check_word(self.address, "--ray.address")
        _check_number(self.cpus, "--ray.cpus", _MOST_CPUS)


def _check_word(value: str | None, flag: str) -> None:
    if value is not None and not re.fullmatch(r"[!-~]{1,300}", value):
        raise UserError(f"{flag} {shown(value)}; expected one word")


def _check_number(value: int, flag: str, most: int) -> None:
    if not 1 <= value <= most:
        raise UserError(f"{flag} {shown(value)}; expected 1 to {most:,}")
