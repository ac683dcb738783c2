"""Ray: a run's process is started by a task, on this machine or somewhere in a cluster.

A task is never tried again by Ray: when its worker or its node dies the driver starts the run again, wherever there
is room.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import ray
from ray.exceptions import OutOfMemoryError, RayError, RayTaskError, TaskCancelledError
from ray.job_config import JobConfig
from typing_extensions import override

from clrobot.errors import UserError, cut, shown
from clrobot.studies.executors.executor import Executor, Job
from clrobot.studies.executors.settings import RaySettings
from clrobot.studies.executors.there import STOPPED, note, work

_WAIT = 0.5  # seconds between two looks


def make(settings: object = None) -> Executor:
    """Return the executor, with its connection to the cluster, or a cluster of this machine alone.

    Raises:
        UserError: there is none at that address.
    """
    chosen = settings if isinstance(settings, RaySettings) else RaySettings()
    if not ray.is_initialized():  # by whoever uses this as a library
        address = chosen.address or os.environ.get("RAY_ADDRESS")
        try:
            _try_to_reach(address)
            dashboard = None if address else False
            ray.init(
                address=address,
                include_dashboard=dashboard,
                log_to_driver=False,
                logging_level="error",
                job_config=_own_path(address),
            )
        except (OSError, RuntimeError, ValueError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise UserError(
                f"--on ray: no cluster at {shown(address or 'this machine')} ({cut(reason, 200)}); "
                "give the address that `ray start --head` printed: --ray.address"
            ) from error
    most = max((node["Resources"].get("CPU", 0.0) for node in ray.nodes() if node["Alive"]), default=0.0)
    if most < chosen.cpus:
        raise UserError(f"--ray.cpus {chosen.cpus}; expected at most {most:.0f}, which the largest node there has")
    return RayExecutor(chosen)


class RayExecutor(Executor):
    """Starts each process in a task of its own, and waits for its end."""

    def __init__(self, settings: RaySettings) -> None:
        self._settings = settings
        self._work = ray.remote(num_cpus=settings.cpus, max_retries=0)(work)

    @override
    def threads(self, jobs: int) -> int:
        """Return a task's cores."""
        return self._settings.cpus

    @override
    def run(self, job: Job, stopped: Callable[[], bool]) -> int | None:
        """Start the process in a task, and wait for its end."""
        here = Path.cwd()  # a worker's current folder is the one in which its node was started
        job = replace(job, folder=here / job.folder, log=here / job.log, place=here)
        try:
            task, cancelled = self._work.remote(job), False
            while not ray.wait([task], timeout=_WAIT)[0]:
                if stopped() and not cancelled:
                    ray.cancel(task)  # as Ctrl-C in the worker, which tells the training; it then ends by itself
                    cancelled = True
            code: int = ray.get(task)
        except (TaskCancelledError, KeyboardInterrupt):
            return STOPPED
        except RayTaskError as error:  # an exception of the task's own
            note(job, str(error).strip().splitlines()[-1])
            return 1
        except OutOfMemoryError as error:  # Ray ends the worker before the kernel does
            note(job, str(error).strip().splitlines()[0])
            return 1
        except RayError:  # the worker or its node is gone
            return None
        return code


class _NoFolders(list[str]):
    """What Ray adds to its workers' path: the folder of the program, and the current one, whatever lies there."""

    @override
    def extend(self, folders: Iterable[str]) -> None:
        """Add nothing."""


def _own_path(address: str | None) -> JobConfig | None:
    """Return what keeps the current folder off the workers' path.

    None for ray://, where the cluster's own process stands for this one, and its current folder is the one.
    """
    if (address or "").startswith("ray://"):
        return None
    config = JobConfig()
    config._py_driver_sys_path = _NoFolders()  # Ray has no setting for it
    return config


def _try_to_reach(address: str | None) -> None:
    """Raise OSError where nobody listens at HOST:PORT: Ray itself would try for minutes, and say so at length."""
    if found := re.fullmatch(r"(?:ray://)?(?:\[(.+)\]|([^:]+)):([0-9]{1,5})", address or ""):
        socket.create_connection((found[1] or found[2], int(found[3])), timeout=10).close()
