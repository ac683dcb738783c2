"""A Slurm of this machine alone, in a folder of its own: the high partition preempts the low one."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

# What is requeued waits until the credentials of its last start have expired, two minutes by default.
CONFIGURATION = """
ClusterName=clrobot
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmdPort={node_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=15
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=2
MpiDefault=none
ReturnToService=2
SlurmdTimeout=30
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
NodeName={host} NodeAddr=127.0.0.1 Port={node_port} CPUs=2 RealMemory=1000 State=UNKNOWN
PartitionName=low Nodes={host} Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=20
PartitionName=high Nodes={host} MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""


@dataclass(frozen=True)
class Cluster:
    """A Slurm that runs; its commands find it by the variable SLURM_CONF."""

    folder: Path

    @property
    def configuration(self) -> Path:
        return self.folder / "slurm.conf"

    def ask(self, *words: str) -> str:
        environment = os.environ | {"SLURM_CONF": str(self.configuration)}
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(words)}: {done.stderr}")
        return done.stdout

    def start_node(self) -> None:
        self.ask("slurmd", "-f", str(self.configuration))
        _wait_for(lambda: self.ask("sinfo", "-h", "-p", "low", "-o", "%t").strip() in ("idle", "mix", "alloc"))

    def kill_node(self) -> None:
        """As by a machine's out-of-memory killer: what it started goes on."""
        _end(self.folder / "slurmd.pid", signal.SIGKILL)

    def preempt(self, seconds: float = 1.0) -> str:
        """Let a job of the high partition take the whole node, and return once it is over."""
        words = ("--partition=high", "--exclusive", f"--output={self.folder}/high.log", f"--wrap=sleep {seconds}")
        (number,) = self.ask("sbatch", "--parsable", *words).split()
        _wait_for(lambda: number not in self.ask("squeue", "-h", "-o", "%A").split(), 120)
        return number

    def states(self) -> dict[str, str]:
        """The states of the jobs that wait or run, by their numbers."""
        return dict(line.split() for line in self.ask("squeue", "-h", "-p", "low", "-o", "%A %T").splitlines())

    @property
    def log(self) -> str:
        return (self.folder / "slurmctld.log").read_text(errors="replace")


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Start the three daemons in `folder`, and stop them by their pid files."""
    for name in ("state", "spool"):
        (folder / name).mkdir()
    os.chmod(folder, 0o711)  # munge refuses a folder that others may write
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    found = Cluster(folder)
    host = socket.gethostname().partition(".")[0]
    found.configuration.write_text(
        CONFIGURATION.format(host=host, folder=folder, port=_free_port(), node_port=_free_port())
    )
    try:
        files = {"key-file": key, "socket": "munge.socket", "pid-file": "munged.pid", "log-file": "munged.log"}
        words = [f"--{name}={folder / path}" for name, path in files.items()]
        found.ask("munged", "--force", *words, f"--seed-file={folder}/munge.seed")
        found.ask("slurmctld", "-f", str(found.configuration))
        _wait_for(lambda: "UP" in found.ask("scontrol", "ping"))
        found.start_node()
        yield found
    finally:
        with suppress(RuntimeError, OSError):
            found.ask("scancel", "--full", "--signal=KILL", "--partition=low")
            found.ask("scancel", "--partition=low,high")
            _wait_for(lambda: not found.ask("squeue", "-h").strip(), 60)
        for name in ("slurmd", "slurmctld", "munged"):
            _end(folder / f"{name}.pid", signal.SIGTERM)


def _end(pid_file: Path, number: signal.Signals) -> None:
    try:
        pid = int(pid_file.read_text())
        os.kill(pid, number)
    except (OSError, ValueError):
        return
    _wait_for(lambda: not Path(f"/proc/{pid}").exists() or " Z " in Path(f"/proc/{pid}/stat").read_text())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(there: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while True:
        with suppress(RuntimeError):
            if there():
                return
        if time.monotonic() > end:
            raise RuntimeError(f"not so within {seconds:.0f} s")
        time.sleep(0.2)
