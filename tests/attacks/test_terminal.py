"""Somebody's names on the terminal, in logs and in captions: literal, and without a character that commands it.

A reader's further name is one more line in NAMES, a further verb one in VERBS.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.table import Table
from rich.text import Text
from support.made_up_runs import made_up_run

from clrobot.cli.common import Column, open_console, print_json, show_rows
from clrobot.errors import UserError, cut, printable, warn
from clrobot.experiment.curriculum import Curriculum
from clrobot.films.captions import Label, label, mosaic
from clrobot.films.pen import CaptionText, Pen
from clrobot.terminal import LiteralConsole
from clrobot.training.display import TerminalObserver

Cli = Callable[..., Any]

NAMES = {
    "clear the screen": "a\x1b[2Jb",
    "the window's title": "a\x1b]0;mine\x07b",
    "eight bits": "a\x9b2Jb",
    "back to the line's start": "a\rb",
    "backspaces": "secret\b\b\b\b\b\bb",
    "another line": "a\nclrobot: error",
    "turned around": "a\u202eb\u2066",
    "delete": "a\x7fb",
    "half a character": "a\ud800b",
    "nothing there": "a\u200bb",
}
# The folder holds a run `RUN`, of a curriculum with such a name, and `BROKEN`, which cannot be opened.
VERBS = {
    "compare": ["compare", "RUN", "OTHER"],
    "compare as csv": ["compare", "RUN", "OTHER", "--format", "csv"],
    "compare as json": ["compare", "RUN", "OTHER", "--format", "json"],
    "compare as markdown": ["compare", "RUN", "OTHER", "--format", "markdown"],
    "compare as latex": ["compare", "RUN", "OTHER", "--format", "latex"],
    "report": ["report", "RUN"],
    "plot": ["plot", "RUN", "--format", "svg"],
    "references": ["references", "RUN", "--store", "store"],
    "evaluate": ["evaluate", "BROKEN"],
    "resume": ["resume", "BROKEN"],
    "export": ["export", "BROKEN", "--out", "NAME"],
    "extend": ["extend", "RUN", "--task", "NAME", "--steps", "64"],
}


def commands(text: str) -> list[str]:
    return [c for c in text if not (c.isprintable() or c == "\n" or unicodedata.category(c) == "Zs")]


@pytest.mark.parametrize("name", NAMES)
def test_no_name_commands_the_terminal(name: str, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = NAMES[name]
    folder = bad.replace("\ud800", "\udcff")  # as Python has a byte of a path that is no UTF-8
    bad = bad.replace("\ud800", "")  # which no setting can be
    monkeypatch.setattr(sys.modules["clrobot.cli.references"], "_train_reference", lambda *_: None)
    curriculum = {"name": bad, "stages": [{"task": "reach", "steps": 64}]}
    rows = [[0.0], [1.0]]
    made_up_run(tmp_path / f"run {folder}", rows, curriculum=curriculum, steps=None, device=bad)
    made_up_run(tmp_path / f"other {folder}", rows, curriculum=curriculum | {"name": "other"}, steps=None)
    broken = tmp_path / f"broken {folder}"
    broken.mkdir()
    (broken / "config.yaml").write_text("a: [")
    places = {"RUN": f"run {folder}", "OTHER": f"other {folder}", "BROKEN": f"broken {folder}", "NAME": folder}
    for verb, words in VERBS.items():
        done = cli(*(places.get(word, word) for word in words))
        assert done.out + done.err, verb
        assert not commands(done.out), (verb, done.out)
        assert not commands(done.err), (verb, done.err)
        assert done.code in (0, 2), (verb, done)
        assert done.code == 0 or done.err.count("\n") == 1, (verb, done.err)
        if verb == "compare as json":
            assert json.loads(done.out)["rows"]


@pytest.mark.parametrize("name", NAMES)
def test_everything_that_prints_is_clean(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    bad = NAMES[name]
    console = open_console()
    console.print(bad, markup=False)
    console.print(Text(bad))
    table = Table(bad, title=Text(bad))
    table.add_row(Text(bad))
    console.print(table)
    show_rows([{"a": bad}], [Column("a", bad)], "table", title=bad)
    show_rows([{"a": bad}], [], "json")
    print_json({bad: bad})
    warn(bad)
    observer = TerminalObserver(Curriculum(name="a", stages=({"task": "reach", "steps": 64},)), bad, console)
    with observer:
        observer.stage_started(1, bad, 64)
        observer.working(bad)
        observer.warn(bad)
    said = capsys.readouterr()
    assert not commands(said.out), said.out
    assert not commands(said.err), said.err
    assert "a" in said.out
    assert printable(str(UserError(bad))) == str(UserError(bad))
    assert cut(bad).isprintable()


def test_what_a_command_styles_is_still_styled() -> None:
    console = LiteralConsole(io.StringIO(), force_terminal=True, color_system="standard")
    console.print(Text("red\x1b[2J", style="red"))
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == "\x1b[31mred?[2J\x1b[0m\n"


def test_what_people_call_their_runs_stays_as_it_is() -> None:
    for name in ("Läufe", "実験\u30001", "a\u00a0b", "[b]", "a|b", "été — π"):
        assert printable(name) == name


@pytest.mark.parametrize("name", NAMES)
def test_a_caption_is_one_clean_line(name: str) -> None:
    bad = NAMES[name]
    text = CaptionText(bad, 20)
    assert text.content.isprintable()
    pen = Pen((200, 40), 1.0)
    pen.write(0, 20, pen.fitted(text, 100, smallest=8), (0, 0, 0))
    frame = pen.picture((200, 40))
    shown = Label(bad, 1, 2, bad, 0.5, 1, 1)
    assert label(frame, shown).shape[1] == 200
    assert mosaic([[frame]], bad, bad).ndim == 3


def test_a_process_s_own_output_is_clean(tmp_path: Path) -> None:
    """As a sweep's log has it: the folder's name is in what is stopped, warned of and printed."""
    name = "a\x1b[2J\x9b"
    made_up_run(
        tmp_path / name, [[0.0], [1.0]], curriculum={"name": name, "stages": [{"task": "reach", "steps": 64}]}
    )
    done = subprocess.run(
        [sys.executable, "-P", "-m", "clrobot", "compare", name],
        cwd=tmp_path,
        env=os.environ | {"PYTHONIOENCODING": "utf-8:backslashreplace"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not commands(done.stdout + done.stderr)
