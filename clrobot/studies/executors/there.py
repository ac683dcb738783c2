"""A run's process as a worker on another machine starts it: whatever ends the worker lets it save itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from clrobot.errors import cut
from clrobot.runs.folder import RunFolder
from clrobot.safe_path import safe_environment
from clrobot.studies.executors.executor import Job
from clrobot.studies.logs import open_own

STOPPED = 130  # the exit code of a training that was asked to stop
_PAUSE = 0.5  # seconds between two looks

# What a process does before it becomes the training: it asks the kernel (PR_SET_PDEATHSIG) to be told to save itself
# when its parent, of this number, is gone. Under nohup nobody would hear SIGHUP.
_FOLLOWING = """
import ctypes, os, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)
kernel = ctypes.CDLL(None)
if hasattr(kernel, "prctl"):
    kernel.prctl(1, signal.SIGHUP)
    if os.getppid() != int(sys.argv[1]):
        sys.exit(130)
os.execvp(sys.argv[2], sys.argv[2:])
"""

# What a cluster sends to a worker whose time is over. Slurm sends it to all that the worker has started as well, and
# the last two would end a training where it stands.
_ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)
_DEADLY = (signal.SIGUSR1, signal.SIGUSR2)


def work(job: Job, stopped: Callable[[], bool] = lambda: False) -> int:
    """Run a job's process here and return its exit code, negative for a signal.

    Whichever signal ends this process in its main thread, and `stopped` in any, lets the training save itself first;
    if this process is killed, the training saves itself too. A run that another process still trains is waited for:
    such as the one that this job had on a machine that is lost, or that saves itself yet.

    Args:
        job: the process.
        stopped: asked twice a second.
    """
    with _asked_by_signals() as asked:

        def over() -> bool:
            return asked.is_set() or stopped()

        while RunFolder(job.folder).is_busy():
            if over():
                return STOPPED
            time.sleep(_PAUSE)
        if over():
            return STOPPED
        with open_own(job.log) as log, _unheard():
            process = subprocess.Popen(
                [sys.executable, "-I", "-c", _FOLLOWING, str(os.getpid()), *job.words()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=job.place if job.place is not None and job.place.is_dir() else None,
                env={**safe_environment(), "PYTHONIOENCODING": "utf-8:backslashreplace", **job.environment},
            )
        told = False
        while True:
            with suppress(subprocess.TimeoutExpired):
                code = process.wait(_PAUSE)
                return STOPPED if code != 0 and over() else code
            if over() and not told:
                told = True
                # Not SIGTERM, which the cluster may have sent to it a second ago: that twice is to leave at once.
                process.send_signal(signal.SIGHUP)


def note(job: Job, line: str) -> None:
    """Let a job's log end with what became of it, where its process cannot say that."""
    with open_own(job.log) as log:
        log.write(f"{cut(line, 300)}\n".encode())


@contextmanager
def _asked_by_signals() -> Iterator[threading.Event]:
    """Yield what is set when this process is told to end; its handlers come back afterwards."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # only there can signals be taken
        yield asked
        return

    def ask(number: int, frame: FrameType | None) -> None:
        asked.set()

    before = {number: signal.signal(number, ask) for number in _ENDS}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _unheard() -> Iterator[None]:
    """Let what is started in the block never hear of these signals; here they arrive after it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _DEADLY)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
