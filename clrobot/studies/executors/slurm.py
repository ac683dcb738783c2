"""Slurm through submitit: a run's process is a job, which may be preempted, requeued, timed out or killed.

However often Slurm starts it again, it goes on in the run's folder; what ends before that, the driver submits again.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, suppress
from io import StringIO
from pathlib import Path
from typing import Any, Final

from submitit import SlurmExecutor as Submitit
from submitit import SlurmJob
from submitit.core.utils import FailedJobError
from typing_extensions import override

from clrobot.errors import UserError, cut, warn
from clrobot.safe_path import safe_environment
from clrobot.studies.executors.executor import Executor, Job
from clrobot.studies.executors.settings import SlurmSettings
from clrobot.studies.executors.there import STOPPED, note, work

LOOK: Final = 5.0  # seconds between two questions to Slurm, for all jobs at once
_LEFT_AT: Final = 3  # requests to stop, after which no job is waited for
_WAIT: Final = 0.5  # seconds between two looks for a result's file
_MOST: Final = 60.0  # seconds at most until a job is offered again that Slurm could not take
# How Slurm answers when it is not there at the moment, once it has taken a job of this study.
_AWAY = re.compile(r"contact|timed out|temporar", re.IGNORECASE)
# How it answers when it has enough jobs of this user, such as QOSMaxSubmitJobPerUserLimit: what a single job may ask
# for (QOSMaxWallDurationPerJobLimit) it will never allow.
_FULL = re.compile(r"\b(?:QOS|Assoc)\w*Submit\w*|\bMaxSubmit\w*")
# How a job ends that was taken away without a fault of its own.
_TAKEN_AWAY = ("PREEMPTED", "NODE_FAIL", "BOOT_FAIL", "REVOKED", "")
# How one is that has not ended, whether or not squeue shows it.
_ALIVE = (
    *(
        "PENDING",
        "CONFIGURING",
        "RUNNING",
        "SUSPENDED",
        "STOPPED",
        "COMPLETING",
        "STAGE_OUT",
        "SIGNALING",
        "RESIZING",
    ),
    *("REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD"),
)
_LATE = 90.0  # seconds after a job's end in which its result may still come: NFS shows others a file that late
# What a user's shell may hold that sbatch puts above the words of a script: what this study gives, and another
# cluster, of which squeue, scontrol and scancel would not be asked.
_OURS = ("ARRAY_INX", "CLUSTERS", "JOB_NAME", "NO_REQUEUE", "REQUEUE", "SIGNAL", "TIMELIMIT", "WAIT")


def make(settings: object = None) -> Executor:
    """Return the executor, or raise UserError: there is no Slurm here."""
    if shutil.which("sbatch") is None or shutil.which("srun") is None:
        raise UserError("--on slurm finds no sbatch here; start the study on a machine that can submit Slurm's jobs")
    return SlurmExecutor(settings if isinstance(settings, SlurmSettings) else SlurmSettings())


class SlurmExecutor(Executor):
    """Submits each process as a job of its own, and waits for its end."""

    def __init__(self, settings: SlurmSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._submitted, self._looked, self._alive = False, -float("inf"), ""
        self._pause, self._next, self._said = LOOK, -float("inf"), False
        self._requests = 0

    @override
    def threads(self, jobs: int) -> int:
        """Return a job's cores."""
        return self._settings.cpus

    @override
    def run(self, job: Job, stopped: Callable[[], bool]) -> int | None:
        """Submit the process, and wait for its end."""
        while (submitted := self._submit(job)) is None:
            if stopped():
                return STOPPED
            time.sleep(_WAIT)
        try:
            code = self._await(submitted, job, stopped)
        except BaseException:
            _cancel(submitted)  # nobody would wait for it any more
            raise
        if code in (0, STOPPED, None) and self._requests < _LEFT_AT:  # of what failed, or was left, it stays
            shutil.rmtree(submitted.paths.folder, ignore_errors=True)
        return code

    def _await(self, submitted: SlurmJob[Any], job: Job, stopped: Callable[[], bool]) -> int | None:
        """Wait for a job's end; return how it ended, or None where it was taken away."""
        code, unseen, seen = None, 0, self._looked
        cancelled, asked, gone = -float("inf"), -float("inf"), float("inf")
        while True:
            if _is_there(submitted.paths.result_pickle, afresh=unseen > 0):
                code = _result(submitted, job)
                if code != STOPPED or stopped():
                    return code
                with suppress(OSError):
                    submitted.paths.result_pickle.unlink()  # saved, and perhaps requeued: then it will write another
            if stopped() and time.monotonic() - cancelled >= LOOK:  # Slurm may be too busy to hear it
                cancelled = time.monotonic()
                _cancel(submitted)
            if self._requests >= _LEFT_AT:
                note(job, f"left: the study waits no more for job {submitted.job_id}; see `squeue --me`")
                return STOPPED
            time.sleep(_WAIT)
            alive = self._is_alive(submitted.job_id, LOOK if code is None else _WAIT)
            if self._looked != seen:
                seen, unseen = self._looked, 0 if alive else unseen + 1
            if unseen < 2:  # twice: it may be requeued just now
                continue
            if code is not None:
                return code
            if time.monotonic() - asked < LOOK:
                continue
            state, asked = _state(submitted.job_id), time.monotonic()
            if state in _ALIVE:
                unseen = 0
                continue
            gone = min(gone, time.monotonic())
            if state == "COMPLETED" and time.monotonic() - gone < _LATE:
                continue
            return _fate(state, submitted, job)

    @override
    def stop(self, times: int) -> None:
        """Wait for no job any more once this was asked three times: one may end only with its node."""
        self._requests = times

    def _submit(self, job: Job) -> SlurmJob[Any] | None:
        """Submit the process; None where Slurm cannot take it at the moment.

        Then all that wait offer it one job after a pause, which grows until it takes one.
        """
        s = self._settings
        with self._lock:
            if time.monotonic() < self._next:
                return None
            # Results are unpickled from there: a folder that nobody else can have made.
            files = Path(tempfile.mkdtemp(".slurm", f"{job.folder.name}.", job.folder.parent))
            executor = Submitit(files, python=_python())
            executor.update_parameters(
                # Of jobs with one name Slurm starts one at a time: a study that was killed may have left one.
                job_name=f"clrobot-{hashlib.sha256(str(job.folder.resolve()).encode()).hexdigest()[:12]}",
                dependency="singleton",
                time=s.timeout_min,
                signal_delay_s=min(90, s.timeout_min * 20),  # before its limit a job is told
                cpus_per_task=s.cpus,
                srun_args=[f"--cpus-per-task={s.cpus}"],  # since 22.05 srun does not take it from sbatch
                additional_parameters={"requeue": True, **dict(word.split("=", 1) for word in s.extra)},
                **({} if s.partition is None else {"partition": s.partition}),
            )
            try:
                with redirect_stderr(StringIO()), self._as_given():  # submitit prints there what the error says too
                    submitted: SlurmJob[Any] = executor.submit(work, job)
            except FailedJobError as error:
                shutil.rmtree(files, ignore_errors=True)
                answer = str(error).strip()
                said = cut(answer.rpartition("sbatch: error: ")[2] or "nothing more is known", 200)
                full = _FULL.search(answer)
                if full or (self._submitted and _AWAY.search(said)):
                    self._wait(full[0] if full else said)
                    return None
                raise UserError(
                    f"--on slurm: sbatch refuses a job ({said}); see `sinfo`, and give --slurm.partition and the like"
                ) from None
            self._submitted, self._pause = True, LOOK
        return submitted

    @contextmanager
    def _as_given(self) -> Iterator[None]:
        """Let sbatch take what the study gives, whatever the user's shell holds; `self._lock` is held."""
        names = [f"SBATCH_{name}" for name in (*_OURS, *(() if self._settings.partition is None else ("PARTITION",)))]
        before = {name: os.environ.pop(name) for name in names if name in os.environ}
        try:
            yield
        finally:
            os.environ.update(before)

    def _wait(self, said: str) -> None:
        """Let no job be offered for a while."""
        if not self._said:
            self._said = True
            warn(f"Slurm takes no more jobs at the moment ({said}); the other runs wait until it does")
        self._next = time.monotonic() + self._pause
        self._pause = min(_MOST, self._pause * 2)

    def _is_alive(self, job_id: str, age: float) -> bool:
        """Return whether a job waits or runs, as Slurm said `age` seconds ago at most; True if it says nothing."""
        with self._lock:
            if time.monotonic() - self._looked >= age:
                asked = _ask("squeue", "--me", "--all", "--noheader", "--format=%A")
                self._alive = "*" if asked is None else asked
                self._looked = time.monotonic()
            return self._alive == "*" or job_id in self._alive.split()


def _python() -> str:
    """Return the words of a shell that start this Python in a job: it imports nothing from the current folder."""
    path = safe_environment().get("PYTHONPATH")
    there = ("-u", "PYTHONPATH") if path is None else (f"PYTHONPATH={path}",)
    return shlex.join(["env", *there, sys.executable, "-P"])


def _result(submitted: SlurmJob[Any], job: Job) -> int:
    """Return how the process ended."""
    try:
        code: int = submitted.result()
    except Exception as error:  # what submitit reports of that Python
        note(job, (str(error).strip().splitlines() or [type(error).__name__])[-1])
        return 1
    return code


def _fate(state: str, submitted: SlurmJob[Any], job: Job) -> int | None:
    """Return how a job ended that says nothing itself."""
    if state in _TAKEN_AWAY:
        return None
    note(job, f"Slurm ended job {submitted.job_id}: {state}")
    # One that ended well and whose result never came has saved itself, or the run is finished: its folder says so.
    return STOPPED if state == "COMPLETED" else 1


def _state(job_id: str) -> str:
    """Return what Slurm says of a job; nothing where it does not know any more."""
    said = _ask("scontrol", "--all", "--oneliner", "show", "job", job_id) or ""
    if found := re.findall(r"\bJobState=(\w+)", said):
        return str(found[0])
    # The controller forgets a job after a while, on some clusters within seconds; a database may remember.
    said = _ask("sacct", "--noheader", "--allocations", "--parsable2", "--format=State", f"--jobs={job_id}") or ""
    return str((re.findall(r"^[A-Z_]+", said, re.MULTILINE) or [""])[-1])


def _cancel(submitted: SlurmJob[Any]) -> None:
    """Ask Slurm to end a job, as far as it hears it."""
    _ask("scancel", submitted.job_id)


def _is_there(path: Path, *, afresh: bool) -> bool:
    """Return whether a file is there; a disk that does not answer says no.

    Args:
        path: of the file.
        afresh: whether to ask an NFS server again, which remembers for a minute that there was none: a change of the
            folder makes it do so.
    """
    try:
        if afresh:
            path.parent.chmod(path.parent.stat().st_mode)
        return path.exists()
    except OSError:
        return False


def _ask(*words: str) -> str | None:
    """Return what one of Slurm's commands prints, or None where it cannot answer now.

    What a user's shell says of squeue (SQUEUE_STATES, SQUEUE_PARTITION, …) is for people: it hides jobs.
    """
    env = {
        name: value for name, value in os.environ.items() if not name.startswith(("SQUEUE_", "SACCT_", "SCANCEL_"))
    }
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, errors="replace", timeout=60, check=False, env=env
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
