"""How far a study has come, as its folders tell it and as a terminal shows it."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.made_up_runs import made_up_run, score
from support.trainings import TINY

from clrobot.errors import TrainingStopped
from clrobot.experiment.config import make_config
from clrobot.runs.folder import RunFolder
from clrobot.studies import shown, status
from clrobot.studies.driver import Board
from clrobot.studies.executors.executor import Job
from clrobot.studies.executors.local import LocalExecutor
from clrobot.studies.plan import Plan
from clrobot.studies.record import write_record
from clrobot.studies.shown import showing, whole
from clrobot.studies.side_by_side import train_side_by_side
from clrobot.studies.status import RunStatus, seconds_left, study_status
from clrobot.studies.study_file import read_study
from clrobot.terminal import LiteralConsole

TWO = {"name": "two", "stages": [{"task": "reach", "steps": 100}, {"task": "push", "steps": 300}]}
SETTINGS = {"curriculum": TWO, "steps": None, "method": "finetune"}
WHOLE = [[0.0, 0.0], [0.5, 0.0], [0.25, 1.0]]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A study of five runs: finished, within its second stage, failed, stopped, not begun."""
    content = {"name": "a study", "curricula": [TWO], "methods": ["finetune"], "seeds": "0..4"}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(content))
    found = read_study(tmp_path / "study.yaml", tmp_path / "out")
    write_record(found.study, found.plans, found.out)
    runs = [plan.folder for plan in found.plans]
    made_up_run(runs[0], WHOLE, **SETTINGS, seed=0)
    (runs[0] / "stage_02").mkdir()
    within = made_up_run(runs[1], WHOLE[:2], **SETTINGS, seed=1)
    with within.scores_file.open("a") as file:
        file.write(score(2, 175, 1, 0.75).to_line() + '{"half')
    (within.resume / "step_000000000200").mkdir(parents=True)
    progress = {"seconds": {"train": 15.0, "evaluate": 4.0, "save": 1.0}}
    (within.resume / "step_000000000200" / "progress.json").write_text(json.dumps(progress))
    for run, last in ((runs[2], "clrobot: the disk is full"), (runs[3], "clrobot: stopped at stage 1, step 0")):
        RunFolder.create(run, make_config(**SETTINGS))
        run.with_name(run.name + ".log").write_text(f"…\n{last}\n")
    return found.out


@pytest.mark.parametrize(
    ("last", "told"),
    [
        ("clrobot: warning: runs/a cannot be locked here (Bad file descriptor)", None),
        ("clrobot: stopped in stage 1 at step 0; go on with: clrobot resume runs/a", None),
        ("clrobot: stopped", None),
        ("clrobot: runs/stopped cannot be read", "clrobot: runs/stopped cannot be read"),
    ],
)
def test_an_error_is_neither_a_stop_nor_a_warning(last: str, told: str | None, tmp_path: Path) -> None:
    (tmp_path / "run.log").write_text(f"…\n{last}\n")
    assert status._error(tmp_path / "run") == told


def test_every_number_comes_from_the_runs_own_files(study: Path) -> None:
    RunFolder(study / "two-finetune-1").lock()
    try:
        found = study_status(study)
    finally:
        RunFolder(study / "two-finetune-1").unlock()
    finished, within, failed, stopped, planned = found.runs
    # A made-up run takes ten seconds; what is within its second stage has taken twenty.
    assert finished == RunStatus("two-finetune-0", "finished", 2, 2, "push", 400, 400, 0.625, 40.0, 0.0)
    assert within == RunStatus("two-finetune-1", "running", 2, 2, "push", 200, 400, 0.75, 10.0, 20.0)
    assert (failed.state, failed.error, failed.step) == ("failed", "clrobot: the disk is full", 0)
    assert (stopped.state, stopped.error, stopped.task) == ("stopped", None, "reach")
    assert (planned.state, planned.success, planned.seconds_left) == ("planned", None, None)
    assert found.counts == {"finished": 1, "running": 1, "failed": 1, "stopped": 1, "planned": 1}
    # One at a time: 20 s of its own, and 400 steps twice at 16 a second, the harmonic mean of 40 and 10.
    assert found.seconds_left == pytest.approx(20.0 + 2 * 400 / 16)


def test_the_time_left_is_no_less_than_the_longest_run_s() -> None:
    runs = [RunStatus(str(n), "running", 1, 1, "a", 0, steps, None, 10.0, None) for n, steps in enumerate((10, 990))]
    assert seconds_left(runs, 1) == 100.0
    assert seconds_left(runs, 2) == 99.0
    assert seconds_left([], 2) is None


def test_it_is_told_as_a_table_and_as_json_and_changes_nothing(study: Path, cli: Callable[..., Any]) -> None:
    before = {path: path.stat().st_mtime_ns for path in study.rglob("*")}
    table = cli("study-status", study)
    assert table.code == 0, table.err
    assert "a study: 1 of 5 runs finished, 1 failed, 2 stopped, 1 planned" in table.out
    assert "two-finetune-2: clrobot: the disk is full" in table.out
    assert max(map(len, table.out.splitlines())) <= 80
    told = json.loads(cli("study-status", study, "--format", "json").out)
    assert told["study"] == "a study"
    assert [run["state"] for run in told["runs"]] == ["finished", "stopped", "failed", "stopped", "planned"]
    assert {path: path.stat().st_mtime_ns for path in study.rglob("*")} == before


def test_what_a_log_ends_with_commands_no_terminal(study: Path, cli: Callable[..., Any]) -> None:
    (study / "two-finetune-2.log").write_text("clrobot: \x1b[2J[b]\u202e\x07\n\n")
    told = cli("study-status", study)
    assert "two-finetune-2: clrobot: ?[2J[b]?" in told.out
    assert not set(told.out) & set("\x1b\u202e\x07")


@pytest.mark.parametrize("name", ["metrics.json", "scores.jsonl"])
@pytest.mark.parametrize("content", ["", "[1]", '{"stages_done": "x", "seconds": [1], "stage_ends": {"a": 1}}', "\0"])
def test_what_is_damaged_tells_nothing_and_stops_nothing(name: str, content: str, study: Path) -> None:
    for run in ("two-finetune-0", "two-finetune-1"):
        (study / run / name).write_text(content)
    assert len(study_status(study).runs) == 5


def test_a_thousand_runs_are_read_without_their_settings(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RunFolder, "open", lambda path: pytest.fail("it reads a run's YAML, for 20 ms"))
    assert len(study_status(study).runs) == 5


def test_nothing_heavy_is_loaded_to_look(study: Path) -> None:
    code = f"import sys; from clrobot.cli import main; main(['study-status', {str(study)!r}]); "
    code += "print([name for name in ('torch', 'mujoco', 'matplotlib', 'scipy') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_run_may_finish_while_it_is_looked_at(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its snapshots are removed between two looks."""
    seen = Path.is_dir
    monkeypatch.setattr(Path, "is_dir", lambda path: seen(path) or path.name == "resume")
    assert len(study_status(study).runs) == 5


def test_a_line_on_the_whole() -> None:
    assert whole({"finished": 3, "running": 2, "failed": 1, "planned": 1000}, 3720.0) == (
        "3 of 1,006 runs finished, 1 failed, 2 running, 1,000 planned, 1 h 02 min left"
    )


# On a terminal, and without one ------------------------------------------------------------------------------


@pytest.mark.parametrize("terminal", [True, False])
def test_what_is_shown_while_it_runs(terminal: bool, study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shown, "_REDRAWN", 0.0)
    monkeypatch.setattr(shown, "_LINE_SECONDS", 0.0)
    plans = [Plan(study / f"two-finetune-{n}", make_config(**SETTINGS, seed=n)) for n in range(5)]
    file = io.StringIO()
    console = LiteralConsole(file, force_terminal=terminal, width=80, height=30)
    with showing(plans, 1, console) as (tell, board):
        assert isinstance(board, Board)
        board.states |= {plans[1].folder: "running", plans[0].folder: "finished", plans[2].folder: "failed"}
        tell("started   [b]")
        board.tick()
        board.states[plans[1].folder] = "finished"
        board.tick()
    text = file.getvalue()
    assert "started   [b]" in text
    assert "1 of 5 runs finished, 1 failed, 1 running, 2 planned, 1 min 10 s left" in text
    assert "2 of 5 runs finished" in text
    assert ("two-finetune-1" in text) == terminal
    assert ("2/2 push" in text) == terminal


def test_the_time_left_is_told_once_there_is_a_pace() -> None:
    """At first the trainings' own starts are all that has taken time."""
    live = shown._Live([], 1, LiteralConsole(io.StringIO()), Board())
    live._first = 0.0, 500  # steps that others did before
    early, later = (RunStatus("a", "running", 1, 1, "push", step, 1500, None, None, None) for step in (519, 520))
    assert live._left([early], 8.0) is None
    assert live._left([later], 8.0) == pytest.approx(8.0 * 980 / 20)


def test_where_it_is_stopped_it_says_how_each_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(self: LocalExecutor, job: Job, stopped: Callable[[], bool]) -> int:
        RunFolder.create(job.folder, make_config(**SETTINGS))
        os.kill(os.getpid(), signal.SIGTERM)
        while not stopped():  # the main thread hears of it
            time.sleep(0.01)
        return 130

    monkeypatch.setattr(LocalExecutor, "run", run)
    configs = {tmp_path / name: make_config(**SETTINGS) for name in ("a", "b")}
    with pytest.raises(TrainingStopped, match=f"stopped; go on with: clrobot resume {tmp_path}/a$"):
        train_side_by_side(configs, LiteralConsole(io.StringIO()), jobs=1)


@pytest.mark.slow
def test_a_few_are_trained_side_by_side(tmp_path: Path, quick_training: None) -> None:
    """As `clrobot demo` may."""
    settings = TINY | {"curriculum": TWO, "steps": 64, "threads": 0}
    configs = {tmp_path / m: make_config(**settings | {"method": m}) for m in ("finetune", "ewc")}
    told = io.StringIO()
    runs = train_side_by_side(configs, LiteralConsole(told, width=200))
    assert [run.path for run in runs] == list(configs)
    assert all(run.finished for run in runs)
    assert told.getvalue().count("finished  ") == 2
