"""A run's process as a worker on a cluster starts it, and what the executors are asked for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clrobot.errors import UserError
from clrobot.runs.folder import RunFolder
from clrobot.studies.executors import by_name
from clrobot.studies.executors.by_name import make_executor
from clrobot.studies.executors.executor import Job
from clrobot.studies.executors.settings import SlurmSettings
from clrobot.studies.executors.there import STOPPED, note, work

# In place of a training: it says what it hears, and ends when it has heard SIGHUP or SIGTERM.
LISTENS = """
import os, signal, sys, time
heard = []
for number in (signal.SIGHUP, signal.SIGTERM):
    signal.signal(number, lambda number, _: heard.append(signal.Signals(number).name))
open(sys.argv[1], "w").write(str(os.getpid()))
while not heard:
    time.sleep(0.01)
time.sleep(0.2)
print("heard", *heard, flush=True)
sys.exit(7)
"""


def job(tmp_path: Path, code: str, *words: str, again: tuple[str, ...] | None = None) -> Job:
    command = (sys.executable, "-c", code, *words)
    return Job(tmp_path / "run", command, tmp_path / "run.log", {"MINE": "here"}, again)


def comes(path: Path) -> None:
    end = time.monotonic() + 60
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < end
        time.sleep(0.01)


def when_there(path: Path, act: Callable[[], object]) -> threading.Thread:
    def wait_and_act() -> None:
        comes(path)
        act()

    thread = threading.Thread(target=wait_and_act)
    thread.start()
    return thread


def test_it_says_how_the_process_ended_and_keeps_what_it_printed(tmp_path: Path) -> None:
    code = "import os, sys; print(os.environ['MINE'], flush=True); sys.exit(3)"
    assert work(job(tmp_path, code)) == 3
    note(job(tmp_path, code), "and then it\nwas gone")
    assert (tmp_path / "run.log").read_text() == "here\nand then it was gone\n"


def test_the_words_are_those_for_what_the_folder_holds_by_then(tmp_path: Path) -> None:
    """A cluster starts a job again as it was submitted."""
    both = job(tmp_path, "print('begin')", again=(sys.executable, "-c", "print('again')"))
    work(both)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").touch()
    work(both)
    work(job(tmp_path, "print('begin')"))
    assert (tmp_path / "run.log").read_text() == "begin\nagain\nbegin\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT])
def test_whatever_ends_the_worker_lets_the_training_save_itself(number: signal.Signals, tmp_path: Path) -> None:
    before = signal.getsignal(number)
    thread = when_there(tmp_path / "pid", lambda: os.kill(os.getpid(), number))
    assert work(job(tmp_path, LISTENS, str(tmp_path / "pid"))) == STOPPED
    thread.join()
    assert (tmp_path / "run.log").read_text() == "heard SIGHUP\n"
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_a_signal_to_all_that_the_worker_started_ends_no_training(number: signal.Signals, tmp_path: Path) -> None:
    """Slurm sends it to the whole tree of processes."""

    def tell_both() -> None:
        os.kill(int((tmp_path / "pid").read_text()), number)
        os.kill(os.getpid(), number)

    thread = when_there(tmp_path / "pid", tell_both)
    assert work(job(tmp_path, LISTENS, str(tmp_path / "pid"))) == STOPPED
    thread.join()
    assert (tmp_path / "run.log").read_text() == "heard SIGHUP\n"


def test_a_training_whose_worker_is_killed_saves_itself(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from clrobot.studies.executors.executor import Job;"
        "from clrobot.studies.executors.there import work; here = Path(sys.argv[1]);"
        "work(Job(here / 'run', tuple(sys.argv[2:]), here / 'run.log'))"
    )
    words = [sys.executable, "-c", code, str(tmp_path), sys.executable, "-c", LISTENS, str(tmp_path / "pid")]
    with subprocess.Popen(words) as worker:
        comes(tmp_path / "pid")
        worker.kill()
    comes(tmp_path / "run.log")
    assert (tmp_path / "run.log").read_text() == "heard SIGHUP\n"


def test_a_run_that_is_still_trained_elsewhere_is_waited_for(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    run.config_file.touch()
    run.lock()
    released: list[float] = []

    def release() -> None:
        time.sleep(0.7)
        released.append(time.monotonic())
        run.unlock()

    thread = threading.Thread(target=release)
    thread.start()
    assert work(job(tmp_path, "import time; print(time.monotonic())")) == 0
    thread.join()
    assert float((tmp_path / "run.log").read_text()) > released[0]
    run.lock()
    assert work(job(tmp_path, ""), stopped=lambda: True) == STOPPED
    run.unlock()


# What they are asked for -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["slurm", "ray"])
def test_what_is_not_installed_is_said_in_a_sentence(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_name, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=rf"--on {name} needs .*, which is not installed; pip install 'clrobot\["):
        make_executor(name)


@pytest.mark.parametrize("word", ["", "gres", "=1", "a=", "A=1", "a b=1", "a=1\nrm -rf x", "a=\x00"])
def test_what_is_no_pair_is_refused(word: str) -> None:
    with pytest.raises(UserError, match=r"--slurm\.extra .*; expected KEY=VALUE, such as account=robots"):
        SlurmSettings(extra=(word,))
    with pytest.raises(UserError, match=r"--slurm\.extra 'clusters=far': the study asks the cluster"):
        SlurmSettings(extra=("gres=gpu:1", "clusters=far"))
    assert SlurmSettings(extra=("gres=gpu:1", "mail-user=a@b.c")).extra == ("gres=gpu:1", "mail-user=a@b.c")


@pytest.mark.parametrize(
    "words",
    [
        ("--slurm.timeout-min", "0"),
        ("--slurm.cpus", "0"),
        ("--slurm.cpus", str(10**30)),
        ("--slurm.partition", ""),
        ("--slurm.partition", "a\nb"),
        ("--slurm.extra", "x" * 10**5),
        ("--ray.cpus", "-1"),
        ("--ray.address", "a b"),
    ],
)
def test_what_a_cluster_cannot_be_asked_for_is_one_sentence(words: tuple[str, str], cli: Callable[..., Any]) -> None:
    done = cli("study", "none.yaml", *words)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"clrobot: {words[0]} ")
    assert done.err.count("\n") == 1
    assert len(done.err) < 200
