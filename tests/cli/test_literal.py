"""What a user or a stranger named something is shown as it is: never markup, a picture's code, or a command."""

from __future__ import annotations

import ast
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.text import Text
from support.made_up_runs import made_up_run
from test_architecture import ROOT, sources

import clrobot.runs.references
from clrobot.comparison.comparison import Comparison, compare
from clrobot.comparison.tables import Format, as_text
from clrobot.errors import cut, warn
from clrobot.experiment.curriculum import Curriculum
from clrobot.results.numbers import json_text
from clrobot.terminal import LiteralConsole
from clrobot.training.display import TerminalObserver

Cli = Callable[..., Any]

# How something is called, and how that is shown.
NAMES = {
    "markup": ("ewc[lr=0.1]", "ewc[lr=0.1]"),
    "markup that ends what nothing began": ("a[/x]", "a[/x]"),
    "bold": ("[bold red]a[/]", "[bold red]a[/]"),
    "a link": ("[link=x]a[/link]", "[link=x]a[/link]"),
    "an escaped bracket": ("a\\[b]", "a\\[b]"),
    "a picture's code": (":fire:", ":fire:"),
    "colours": ("a\x1b[31mb", "a?[31mb"),
    "a title of the window": ("a\x1b]0;b\x07", "a?]0;b?"),
    "a control character of one byte": ("a\x9b31mb", "a?31mb"),
    "letters turned round": ("a\u202eb", "a?b"),
    "letters": ("ü 推す", "ü 推す"),
}
named = pytest.mark.parametrize(("name", "shown"), NAMES.values(), ids=NAMES)


# The console -----------------------------------------------------------------------------------------------


@named
@pytest.mark.parametrize("style", ["", "dim"])
def test_a_console_shows_a_text_as_it_is(name: str, shown: str, style: str) -> None:
    file = io.StringIO()
    LiteralConsole(file, width=200, color_system=None).print(name, style=style)
    assert file.getvalue() == f"{shown}\n"


def test_a_style_and_a_rich_text_still_give_form() -> None:
    file = io.StringIO()
    console = LiteralConsole(file, force_terminal=True, color_system="standard")
    console.print("[b]", style="bold")
    console.print(Text("[b]", "red"))
    assert file.getvalue() == "\x1b[1m[b]\x1b[0m\n\x1b[31m[b]\x1b[0m\n"


@named
def test_json_is_the_same_and_holds_no_command(name: str, shown: str) -> None:
    text = json_text({name: [name]})
    assert json.loads(text) == {name: [name]}
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(text)


def imported(path: Path) -> set[str]:
    """The modules that a file imports when it runs."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)} | {
        alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names
    }


@pytest.mark.parametrize("path", sources("clrobot"), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_other_console_is_made_and_no_column_reads_markup(path: Path) -> None:
    if path.name != "terminal.py":
        assert imported(path).isdisjoint({"rich.console", "rich.markup", "rich.panel"})
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "TextColumn":
            assert "markup" in {keyword.arg for keyword in node.keywords}
        if isinstance(node, ast.Attribute):
            assert node.attr != "from_markup"


# Verbs -----------------------------------------------------------------------------------------------------

ONE_TASK = ["--task", "reach", "--stage", "1", "--episodes", "1"]
# The words, of which RUN is a run of that name and NAME the name, and what is shown.
VERBS: dict[str, tuple[list[str], str]] = {
    "evaluate": (["evaluate", "RUN", "--task", "reach", "--episodes", "2"], "NAME, after stage 3"),
    "record": (["record", "RUN", *ONE_TASK], "videos/NAME/stage_01/reach.mp4  success "),
    "record a film": (["record", "RUN", *ONE_TASK, "--out", "NAME.mp4"], "NAME.mp4  success "),
    "a grid": (["record", "RUN", *ONE_TASK, "--grid", "--out", "NAME.gif"], "NAME.gif\n"),
    "export": (["export", "RUN", "--format", "sb3", "--task", "reach"], "exports/NAME/stage_03-reach.zip  open it"),
    "report": (["report", "RUN"], "NAME/report.html\n"),
    "plot": (["plot", "RUN", "--format", "svg"], "figures/NAME/"),
    "compare": (["compare", "RUN", "--out", "NAME.txt"], "NAME.txt\n"),
    "references": (["references", "RUN"], "NAME\n"),
    "sheet": (["sheet", "--out", "NAME.png", "--size", "16"], "NAME.png\n"),
    "extend": (["extend", "RUN", "--task", "reach", "--steps", "64", "--out", "NAME-2"], "report  NAME-2/report"),
}


@pytest.mark.usefixtures("quick_training")
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("name", "shown"),
    [("[b]a[red]:fire:", "[b]a[red]:fire:"), ("[c]\x1b[31m", "[c]?[31m")],
    ids=["markup", "colours"],
)
def test_a_verb_shows_a_name_as_it_is(
    verb: str, name: str, shown: str, cli: Cli, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLROBOT_RENDER", "raycast")
    monkeypatch.setattr(clrobot.runs.references, "missing_references", lambda *_: {})
    shutil.copytree(tiny_run, tmp_path / name)
    words, expected = VERBS[verb]
    done = cli(*(word.replace("RUN", name).replace("NAME", name) for word in words))
    assert done.code == 0, done
    assert expected.replace("NAME", shown) in "\n".join(line.strip() for line in done.out.splitlines()) + "\n"
    assert "\x1b" not in done.out


@pytest.mark.usefixtures("quick_training")
def test_a_training_shows_its_folder_as_it_is(cli: Cli, tiny_flags: tuple[str, ...]) -> None:
    done = cli("train", "--method", "finetune", *tiny_flags, "--out", "a[/x]:fire:")
    assert done.code == 0, done
    assert "report  a[/x]:fire:/report.html\n" in done.out
    done = cli("train", "--method", "finetune", *tiny_flags, "--out", "a[/x]:fire:")
    assert done.err == ("clrobot: a[/x]:fire: already holds a run; give another --out, or move it elsewhere first\n")


def test_a_training_s_line_shows_its_names_as_they_are() -> None:
    file = io.StringIO()
    console = LiteralConsole(file, width=80, force_terminal=True, color_system=None)
    curriculum = Curriculum.model_construct(name="x", stages=())
    with TerminalObserver(curriculum, "a[/x]", console) as observer:
        observer.working("recording [/y] [b]z")
        observer._progress.refresh()
        observer.warn("[/w] :fire:")
    assert "a[/x] recording [/y] [b]z" in file.getvalue()
    assert "warning: [/w] :fire:" in file.getvalue()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no run at my  runs/a", "no run at my  runs/a"),
        (" a\n  b\t\tc \r\n", "a b c"),
        ("a\x1b[31m", "a?[31m"),
        (" " * 10**6 + "\n" + "x", "x"),
        ("", ""),
    ],
)
def test_a_sentence_is_one_line_in_which_a_path_keeps_its_spaces(text: str, shown: str) -> None:
    assert cut(text) == shown


def test_a_warning_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    warn("a\x1b[31m\nb")
    assert capsys.readouterr().err == "clrobot: warning: a?[31m b\n"


# Tables ----------------------------------------------------------------------------------------------------

R = [[0.0], [1.0]]


def compared(folder: Path, *names: str) -> Comparison:
    """Runs of curricula with these names, which then stand in the rows' labels and in the notes."""
    stages = [{"task": "reach", "steps": 64}]
    curricula = [{"name": name, "stages": stages} for name in names]
    return compare([made_up_run(folder / str(i), R, curriculum=each) for i, each in enumerate(curricula)])


@named
def test_a_table_shows_a_name_as_it_is(name: str, shown: str, tmp_path: Path) -> None:
    slashes = str.maketrans("/\\", "||")  # which no curriculum's name has
    for form in ("table", "csv"):
        text = as_text(compared(tmp_path / form, name.translate(slashes), "other"), form, width=400)
        assert f"ewc ({shown.translate(slashes)}, 64 steps" in text
        assert "\x1b" not in text


MARKDOWN = {
    "**a**": r"\*\*a\*\*",
    "a|b": r"a\|b",
    "<script>": r"\<script\>",
    "[a](b)": r"\[a\](b)",
    "a_b_c `d`": r"a\_b\_c \`d\`",
    "a\n# b": r"a \# b",
    "&lt;": r"\&lt;",
}
LATEX = {
    "a_b": r"a\_b",
    "{a}": r"\{a\}",
    "a~b^c": r"a\textasciitilde{}b\textasciicircum{}c",
    "100 % & $x$ #1": r"100 \% \& \$x\$ \#1",
}


@pytest.mark.parametrize(
    ("form", "name", "shown"),
    [
        *(("markdown", *pair) for pair in MARKDOWN.items()),
        *(("latex", *pair) for pair in LATEX.items()),
    ],
)
def test_a_name_is_no_markup_of_a_page_or_a_paper(form: Format, name: str, shown: str, tmp_path: Path) -> None:
    text = as_text(compared(tmp_path, name, "other"), form)
    assert f"ewc ({shown}, 64 steps" in text


def test_a_note_of_two_lines_is_one_comment_of_latex(tmp_path: Path) -> None:
    """A run's folder may be called so, and LaTeX would read what follows a comment's line."""
    two = {"name": "two", "stages": [{"task": task, "steps": 64} for task in ("reach", "push")]}
    found = compare([made_up_run(tmp_path / "a\n\\input{b}", [[0.0, 0.0], [1.0, 0.0]], curriculum=two)])
    assert any("\n" in note for note in found.notes)
    inputs = [line for line in as_text(found, "latex").splitlines() if "input" in line]
    assert inputs
    assert all(line.startswith("% ") and "a \\input{b} is unfinished" in line for line in inputs)
