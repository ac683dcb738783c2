"""A path that holds no run: the one sentence names the runs near it, and what to type."""

from __future__ import annotations

from pathlib import Path

import pytest

from clrobot.cli import main
from clrobot.errors import UserError
from clrobot.runs.folder import RunFolder
from clrobot.runs.nearby import runs_inside, why_no_run

PLAIN = "give a folder that `clrobot train` made"


def make_runs(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "config.yaml").touch()


@pytest.fixture(autouse=True)
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work where `demo` holds three runs and what is none."""
    monkeypatch.chdir(tmp_path)
    make_runs(Path("demo"), "finetune", "ewc", "progressive")
    Path("demo/films").mkdir()
    Path("demo/report.html").touch()
    Path("empty").mkdir()


@pytest.mark.parametrize("verb", ["evaluate", "record", "export", "resume", "extend", "verify"])
def test_every_verb_of_one_run_names_the_runs_of_a_folder(verb: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stopped:
        main([verb, "demo", *(["--task", "push", "--steps", "64"] if verb == "extend" else [])])
    assert stopped.value.code == 2
    assert capsys.readouterr().err == (
        "clrobot: demo holds 3 runs and is none itself: ewc, finetune and progressive; "
        "give one run, such as demo/ewc\n"
    )


def test_one_run_is_named_too():
    make_runs(Path("only"), "ewc")
    assert why_no_run(Path("only")) == "only holds a run and is none itself: ewc; give one run, such as only/ewc"


def test_of_many_runs_a_few_are_named_and_the_others_counted():
    make_runs(Path("many"), *(f"seed-{seed:03d}" for seed in range(200)))
    assert "200 runs and is none itself: seed-000, seed-001, seed-002, seed-003 and 196 more;" in why_no_run(
        Path("many")
    )


def test_names_of_any_length_leave_one_sentence(capsys: pytest.CaptureFixture[str]):
    make_runs(Path("long"), *(f"{letter * 200}\x1b[31m" for letter in "abcdef"))
    with pytest.raises(SystemExit):
        main(["evaluate", "long"])
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert len(said) < 500
    assert "\x1b" not in said


def test_what_lies_inside_a_run_leads_to_the_run():
    Path("demo/ewc/stage_02").mkdir()
    Path("demo/ewc/report.html").touch()
    for part in ("stage_02", "report.html"):
        path = Path("demo/ewc") / part
        assert why_no_run(path) == f"{path} is a part of a run; give the run's own folder: demo/ewc"


def test_a_misspelt_run_is_told_from_a_wholly_other_one():
    assert why_no_run(Path("demo/finetun")) == "no run folder at demo/finetun; did you mean demo/finetune?"
    assert why_no_run(Path("demo/replay")) == f"no run folder at demo/replay; {PLAIN}"
    assert why_no_run(Path("nowhere/ewc")) == f"no run folder at nowhere/ewc; {PLAIN}"


def test_a_folder_without_any_says_so():
    assert why_no_run(Path("empty")) == f"empty holds no run (config.yaml is missing); {PLAIN}"
    with pytest.raises(UserError, match="empty holds no run"):
        RunFolder.open(Path("empty"))


def test_what_cannot_be_read_holds_no_runs():
    assert runs_inside(Path("demo/report.html")) == []
    assert runs_inside(Path("nowhere")) == []
    assert runs_inside(Path("demo")) == [Path("demo/ewc"), Path("demo/finetune"), Path("demo/progressive")]
