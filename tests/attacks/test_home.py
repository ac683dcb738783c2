"""`~` is the home folder wherever a user may write a path; a further verb is one more line here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.trainings import TINY

import clrobot
from clrobot.experiment.config import make_config
from clrobot.experiment.config_file import dump_config, read_config
from clrobot.runs.folder import RunFolder
from clrobot.studies.sweep import sweep_study
from clrobot.training.extend import extend
from clrobot.training.training import train

Cli = Callable[..., Any]
pytestmark = pytest.mark.usefixtures("quick_training")

MINE = "name: mine\nstages: [{task: reach, steps: 64}]\n"


@pytest.fixture
def home(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(elsewhere)  # after `cli` went elsewhere
    (home / "mine.yaml").write_text(MINE)
    (home / "base.yaml").write_text(dump_config(make_config(**TINY | {"steps": 64, "method": "finetune"})))
    return home


# Words, and what they make at home; RUN is there already.
WORDS: dict[str, tuple[list[str], str]] = {
    "train": (["train", "--config=~/base.yaml", "--out=~/run"], "run/report.html"),
    "compare": (["compare", "~/tiny", "--format=markdown", "--out=~/table.md"], "table.md"),
    "report": (["report", "~/tiny", "--out=~/page.html"], "page.html"),
    "sheet": (["sheet", "--size", "16", "--out", "~/tasks.png"], "tasks.png"),
    "plot": (["plot", "~/tiny", "--format", "svg", "--out=~/figures"], "figures"),
    "export": (["export", "~/tiny", "--out=~/agent.onnx"], "agent.onnx"),
    "evaluate": (["evaluate", "~/tiny", "--episodes=2"], "tiny"),
}


@pytest.mark.parametrize("verb", WORDS)
def test_a_tilde_leads_home(
    verb: str, cli: Cli, tiny_copy: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, made = WORDS[verb]
    tiny_copy.rename(home / "tiny")
    monkeypatch.chdir(home.parent / "elsewhere")
    done = cli(*words)
    assert done.code == 0, done
    assert (home / made).exists()
    assert list(Path.cwd().iterdir()) == []


def test_from_python_too(home: Path, tmp_path: Path) -> None:
    config = make_config(**TINY | {"curriculum": "~/mine.yaml", "steps": 64, "method": "finetune"})
    run = train(config, Path("~/run"))
    assert run.path == home / "run"
    assert clrobot.load("~/run").stage == 1
    assert extend(RunFolder.open(Path("~/run")), "push", 64, Path("~/longer")).path == home / "longer"
    assert clrobot.load_curriculum("~/mine.yaml").name == "mine"
    assert read_config(Path("~/base.yaml")).method == "finetune"
    assert sweep_study(config, Path("~/out"), ["ewc"], [0])[1][0].folder.parent == home / "out"
    assert list(Path.cwd().iterdir()) == []


def test_only_a_whole_first_part_is_home(cli: Cli, home: Path) -> None:
    for name in ("~x.yaml", "x~", "a/~/b.yaml"):
        assert "No such file" in cli("train", f"--config={name}").err
