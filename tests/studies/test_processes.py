"""Whatever stops, pauses or continues a sweep reaches its trainings once, and nothing is left running or lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from signal import SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGTERM, SIGTSTP

import pytest
import yaml
from support.made_up_runs import made_up_run
from support.trainings import TINY

from clrobot.experiment.config import make_config
from clrobot.experiment.config_file import dump_config
from clrobot.experiment.machine import Machine
from clrobot.files import is_left_over
from clrobot.runs.folder import RunFolder
from clrobot.runs.snapshot import snapshots
from clrobot.studies.study_file import read_study
from clrobot.training.resuming import resume

# In place of a training: it notes what it is told, saves itself at the first word, and leaves at once at the second.
TRAINING = """
import os, signal, sys, time
SAME_REQUEST, asked = 0.5, None
notes = os.open("notes", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
def note(word):  # by one call of the system: a second signal may come while the first is noted
    os.write(notes, word)
def ask(number, frame):
    global asked
    now = time.monotonic()
    if asked is not None and now - asked > SAME_REQUEST:
        note(b"left\\n")
        os._exit(130)
    first, asked = asked is None, now
    if first:
        note(b"asked\\n")
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, ask)
open("pid.part", "w").write(str(os.getpid()))
os.rename("pid.part", "pid")
stubborn = sys.argv[1] == "stubborn"
if stubborn:
    signal.signal(signal.SIGTERM, lambda *_: note(b"deaf\\n"))
save = 4.0 if sys.argv[1] == "slow" else 0.3
while asked is None or stubborn:
    time.sleep(0.02)
end = time.monotonic() + save
while time.monotonic() < end:
    time.sleep(0.02)
note(b"saved\\n")
"""

# The executor alone, which starts a process once, and a study's driver, which starts one again that was taken away.
STARTERS = {
    "executor": """
import sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from clrobot.studies.executors.executor import Job
from clrobot.studies.executors.local import LocalExecutor
from clrobot.studies.signals import Requests
executor = LocalExecutor()
requests = Requests(executor)
job = Job(Path(), (sys.executable, "training.py", sys.argv[1]), Path("log"))
with requests.passed_on(), ThreadPoolExecutor(1) as pool:
    work = pool.submit(executor.run, job, requests.stopped)
    while not work.done():
        time.sleep(0.1)
sys.exit(130 if requests.stopped() else 3)
""",
    "study": """
import sys
from pathlib import Path
from clrobot.cli.common import errors_as_sentences
from clrobot.experiment.config import make_config
from clrobot.studies import driver
from clrobot.studies.executors.executor import Job
from clrobot.studies.plan import Plan
job = Job(Path("run"), (sys.executable, "training.py", sys.argv[1]), Path("run.log"))
driver._Driver._job = lambda self, planned: job
with errors_as_sentences():
    driver.run_all([Plan(Path("run"), make_config())], 1, print)
""",
}

Told = Callable[[int, int], None]  # the sweep's id and its training's


def to_sweep(number: int) -> Told:
    return lambda sweep, training: os.kill(sweep, number)


def to_group(number: int) -> Told:
    return lambda sweep, training: os.killpg(sweep, number)


def to_training(number: int) -> Told:
    return lambda sweep, training: os.kill(training, number)


def to_all(number: int) -> Told:
    """As Slurm and systemd do."""

    def tell(sweep: int, training: int) -> None:
        os.kill(training, number)
        os.killpg(sweep, number)

    return tell


def later(sweep: int, training: int) -> None:
    time.sleep(0.8)


def until_paused(sweep: int, training: int) -> None:
    for process in (sweep, training):
        while "T (stopped)" not in Path(f"/proc/{process}/status").read_text():
            time.sleep(0.02)


ONCE, AT_ONCE = ["asked", "saved"], ["asked", "left"]

# How the sweep is stopped, what its training is, what that notes, and the sweep's exit code (3: it was not told).
WAYS: dict[str, tuple[list[Told], str, list[str], int]] = {
    "Ctrl-C in a terminal": ([to_group(SIGINT)], "plain", ONCE, 130),
    "an IDE's stop": ([to_sweep(SIGINT)], "plain", ONCE, 130),
    "kill": ([to_sweep(SIGTERM)], "plain", ONCE, 130),
    "kill of the group": ([to_group(SIGTERM)], "plain", ONCE, 130),
    "a scheduler's kill of all": ([to_all(SIGTERM)], "plain", ONCE, 130),
    "timeout's two kills": ([to_sweep(SIGTERM), to_group(SIGTERM), to_group(SIGCONT)], "plain", ONCE, 130),
    "a closed terminal": ([to_group(SIGHUP)], "plain", ONCE, 130),
    "a closed terminal, told by shell and kernel": (
        [to_sweep(SIGHUP), later, to_group(SIGHUP), to_group(SIGCONT)],
        "slow",
        ONCE,
        130,
    ),
    "Ctrl-C and then a closed terminal": ([to_group(SIGINT), later, to_group(SIGHUP)], "slow", ONCE, 130),
    "Ctrl-C twice in a row": ([to_group(SIGINT), to_group(SIGINT)], "plain", ONCE, 130),
    "Ctrl-C, and again": ([to_group(SIGINT), later, to_group(SIGINT)], "slow", AT_ONCE, 130),
    "kill, and again": ([to_sweep(SIGTERM), later, to_sweep(SIGTERM)], "slow", AT_ONCE, 130),
    "a training that does not listen": (
        [to_group(SIGINT), later, to_group(SIGINT), later, to_group(SIGINT)],
        "stubborn",
        ["deaf", "deaf"],
        130,
    ),
    "Ctrl-Z, and on, and Ctrl-C": (
        [to_group(SIGTSTP), until_paused, to_group(SIGCONT), to_group(SIGINT)],
        "plain",
        ONCE,
        130,
    ),
    "Ctrl-Z, and the terminal is closed": (
        [to_group(SIGTSTP), until_paused, to_group(SIGHUP), to_group(SIGCONT)],
        "plain",
        ONCE,
        130,
    ),
    "kill of the training": ([to_training(SIGTERM)], "plain", ONCE, 3),
    "kill -INT of the training": ([to_training(SIGINT)], "plain", ONCE, 3),
    "kill -HUP of the training": ([to_training(SIGHUP)], "plain", ONCE, 3),
    "kill -9 of the training": ([to_training(SIGKILL)], "plain", [], 3),
}


def runs(process: int) -> bool:
    try:
        return "Z (zombie)" not in Path(f"/proc/{process}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def begun(folder: Path, kind: str, starter: str = "executor") -> subprocess.Popen[bytes]:
    (folder / "training.py").write_text(TRAINING)
    process = subprocess.Popen([sys.executable, "-c", STARTERS[starter], kind], cwd=folder, start_new_session=True)
    training_of(process, folder)
    return process


def training_of(process: subprocess.Popen[bytes], folder: Path, other_than: int = 0) -> int:
    """The id of the training that this process has started, once it listens."""
    while not (folder / "pid").exists() or (found := int((folder / "pid").read_text())) == other_than:
        assert process.poll() is None
        time.sleep(0.02)
    return found


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks /proc what runs")
@pytest.mark.parametrize("starter", STARTERS)
@pytest.mark.parametrize("way", WAYS)
def test_whatever_stops_a_study_reaches_its_trainings_once(way: str, starter: str, tmp_path: Path) -> None:
    told, kind, notes, code = WAYS[way]
    with begun(tmp_path, kind, starter) as process:
        training = training_of(process, tmp_path)
        try:
            for tell in told:
                tell(process.pid, training)
            if starter == "study" and code == 3:  # its training alone was taken away: it is started again
                training, notes, code = training_of(process, tmp_path, training), [*notes, *ONCE], 130
                to_sweep(SIGTERM)(process.pid, training)
            assert process.wait(timeout=30) == code
        finally:
            process.kill()  # that a failure does not wait for ever
    assert not runs(training)
    assert (tmp_path / "notes").read_text().split() == notes


def test_under_nohup_a_closed_terminal_stops_nothing(tmp_path: Path) -> None:
    before = signal.signal(SIGHUP, signal.SIG_IGN)
    try:
        with begun(tmp_path, "plain") as process:
            os.killpg(process.pid, SIGHUP)
            time.sleep(0.3)
            assert process.poll() is None
            os.kill(process.pid, SIGTERM)
            assert process.wait(timeout=30) == 130
    finally:
        signal.signal(SIGHUP, before)
    assert (tmp_path / "notes").read_text().split() == ONCE


# Real trainings, at moments that a stand-in has not --------------------------------------------------------

TWO = {"name": "two", "stages": [{"task": "reach", "steps": 64}, {"task": "button-press", "steps": 64}]}
ONE = {"name": "one", "stages": [{"task": "reach", "steps": 1_000_000}]}
FILMED = TINY | {"curriculum": TWO, "steps": None, "method": "finetune", "video": {"enabled": True, "episodes": 2}}
ALONE = TINY | {"curriculum": ONE, "steps": None, "method": "finetune"}
RUN = "out/one-finetune-0"
TINY_OF_A_STUDY = {
    name: value for name, value in ALONE.items() if name not in ("curriculum", "method", "steps", "network")
} | {"network.widths": [[8, 8]]}

TRAIN = ["train", "--config", "config.yaml", "--out", "run"]
STUDY_ONE = ["study", "study.yaml", "--jobs", "1", "--out", "out"]
SWEEP_ONE = ["sweep", "--config", "config.yaml", "--method", "finetune", "--seed", "0", "--jobs", "1", "--out", "out"]

# What is started, and how it is stopped.
MOMENTS: dict[str, tuple[list[str], list[Told]]] = {
    "kill while it films": (TRAIN, [to_sweep(SIGTERM)]),
    "Ctrl-C while it films": (TRAIN, [to_group(SIGINT)]),
    "kill while it films, and again": (TRAIN, [to_sweep(SIGTERM), later, to_sweep(SIGTERM)]),
    "kill -9 while it films": (TRAIN, [to_sweep(SIGKILL)]),
    "kill of a sweep while it trains references": (SWEEP_ONE, [to_sweep(SIGTERM)]),
    "kill of a study while it trains references": (STUDY_ONE, [to_sweep(SIGTERM)]),
    "Ctrl-C while a reference is trained": (["references", RUN], [to_group(SIGINT)]),
}


def started(words: list[str], folder: Path, begun: Callable[[], bool]) -> subprocess.Popen[str]:
    """Start the command there, in a group of its own, and wait until it is so far."""
    command = [sys.executable, "-P", "-m", "clrobot", *words]
    with (folder / "told").open("w") as told:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdout=told,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env=os.environ | {"CLROBOT_RENDER": "raycast"},
        )
    while not begun():
        assert process.poll() is None, (folder / "told").read_text()
        time.sleep(0.01)
    return process


def half_films(run: Path) -> list[Path]:
    return [path for path in run.rglob("*") if is_left_over(path)]


@pytest.mark.usefixtures("quick_training")
@pytest.mark.parametrize("moment", [name for name, (words, _) in MOMENTS.items() if words is TRAIN])
def test_a_training_that_is_stopped_while_it_films_loses_nothing(moment: str, tmp_path: Path) -> None:
    words, told = MOMENTS[moment]
    (tmp_path / "config.yaml").write_text(dump_config(make_config(**FILMED)))
    run = tmp_path / "run"
    with started(words, tmp_path, lambda: bool(half_films(run / "videos"))) as process:
        try:
            for tell in told:
                tell(process.pid, process.pid)
            code = process.wait(timeout=600)
        finally:
            process.kill()
    film = run / "videos" / "stage_01" / "reach.mp4"
    if -code == SIGKILL:
        assert not film.exists()  # what is left beside it is removed by later writers, after an hour
    else:
        assert code == 130
        assert (tmp_path / "told").read_text().endswith("go on with: clrobot resume run\n")
        assert half_films(run) == []
        assert film.exists() == ("again" not in moment), (
            "the film that it was at is made; a second kill leaves at once"
        )
    assert not RunFolder.open(run).finished
    assert resume(run, machine=Machine(films="-9" in moment)).finished
    assert ("-9" in moment) <= film.exists()


@pytest.mark.parametrize("moment", [name for name, (words, _) in MOMENTS.items() if words is not TRAIN])
def test_a_reference_that_is_stopped_is_saved_and_nothing_trains_on(moment: str, tmp_path: Path) -> None:
    words, told = MOMENTS[moment]
    config = make_config(**ALONE)
    (tmp_path / "config.yaml").write_text(dump_config(config))
    study = {"name": "one", "curricula": [ONE], "methods": ["finetune"], "settings": TINY_OF_A_STUDY}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    (planned,) = read_study(tmp_path / "study.yaml", tmp_path / "out").plans
    run = planned.folder if words is STUDY_ONE else tmp_path / RUN
    made_up_run(run, [[0.0], [1.0]], **ALONE)
    (run / "stage_01").mkdir()  # it is finished
    store = tmp_path / "out" / "references"
    with started(words, tmp_path, lambda: any(store.glob("reach-*/resume/step_*"))) as process:
        try:
            time.sleep(0.5)  # it trains
            for tell in told:
                tell(process.pid, process.pid)
            assert process.wait(timeout=600) == 130
        finally:
            process.kill()
    (config_file,) = store.glob("reach-*/config.yaml")
    reference = RunFolder.open(config_file.parent)
    reference.lock()  # nobody trains it any more
    reference.unlock()
    assert not reference.finished
    assert len(snapshots(reference.resume)) == 2, "there was no other reason to save again than the signal"
    assert RunFolder.open(run).finished
