"""What an executor is: it starts one process of a run, once, and waits for its end.

The driver (`clrobot.studies.driver`) decides everything else. It keeps a pool of threads, one for each run that is
being worked at, and calls `Executor.run` in them. Whether a run is finished, the run's folder says, whatever an
executor returns: while it is not, the driver calls again with the command that goes on in the same folder. A process
that was taken away, or that came further than any before it, has not failed; one that failed is tried again twice,
and then listed.

So an executor needs no queue, no retries and no states of its own. It may raise `UserError` for what no run could be
started with, such as a partition that does not exist: the study then ends with that sentence.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

# Runs at a time on a cluster where nobody says: each has a thread and an open log here, and many a machine allows a
# process 1,024 open files.
MOST: Final = 256


@dataclass(frozen=True)
class Job:
    """One process of a run.

    Attributes:
        folder: the run's, which the process makes or goes on in.
        command: the words of the process, the program first.
        log: the file to which its output goes, which is empty when it starts.
        environment: variables that it needs beside those that every process gets there.
        again: the words that go on in the folder once it holds a run; None: the same.
        place: the current folder, which words may go by; where a worker does not have it, its own.
    """

    folder: Path
    command: tuple[str, ...]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    again: tuple[str, ...] | None = None
    place: Path | None = None

    def words(self) -> tuple[str, ...]:
        """Return the words for what the folder holds now: a cluster starts a job again as it was submitted."""
        begun = (self.folder / "config.yaml").exists()
        return self.command if self.again is None or not begun else self.again


class Executor(ABC):
    """Starts processes; `run` is called in several threads at once, the rest in the main thread."""

    @abstractmethod
    def run(self, job: Job, stopped: Callable[[], bool]) -> int | None:
        """Start the job's process once, wait for its end, and return its exit code.

        Args:
            job: the process.
            stopped: whether this study was asked to stop: whoever waits asks it every second or so, and then sees
                that the process saves itself and ends, and waits for that.

        Returns:
            The exit code, negative for a signal as `subprocess` has it; None where the process was taken away without
            a fault of its own: preempted, or the machine that it ran on is gone.

        Raises:
            UserError: nothing can be started in this way; it ends the whole study.
        """

    def threads(self, jobs: int) -> int:
        """Return the threads of the physics for each of `jobs` processes at a time, where the settings leave it open.

        0: all cores that the process may use, as is right where each gets a machine, or cores of its own.
        """
        return 0

    def at_a_time(self, runs: int) -> int:
        """Return how many of these runs go on at a time where nobody says: `MOST`, since a cluster queues them."""
        return min(runs, MOST)

    def stop(self, times: int) -> None:  # noqa: B027
        """Pass on that this process was asked to stop, `times` times so far: save, leave at once, kill.

        It is called within a signal's handler. What `stopped` tells in time needs nothing here.
        """

    def pause(self) -> None:  # noqa: B027
        """Pass on that this process is paused (Ctrl-Z), within a signal's handler."""

    def go_on(self) -> None:  # noqa: B027
        """Pass on that this process goes on, within a signal's handler."""
