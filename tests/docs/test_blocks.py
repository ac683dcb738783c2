"""Every block of code and every command of the site, as a reader would copy them.

Where a page shows a training of minutes, SHORT puts a tiny one in its place; the page says so at its end.
"""

from __future__ import annotations

import shlex
import signal
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from making import api, benchmarks, methods, tasks
from making.blocks import Block, blocks, commands, note
from support.trainings import TINY

import clrobot
import clrobot.cli.settings
import clrobot.training.after_stage
from clrobot.envs.worlds import examine
from clrobot.experiment.config import RunConfig
from clrobot.training.display import TerminalObserver

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = ROOT / "docs"
WRITTEN = {str(path.relative_to(DOCS)): path.read_text(encoding="utf-8") for path in sorted(DOCS.rglob("*.md"))}

# What a test appends to a command, by its verb.
SHORT = {
    "evaluate": "--episodes 2",
    "extend": "--steps 64",
    "sweep": "--config tiny.yaml --no-references --threads 1",
    "record": "--episodes 1 --threads 1",
    "study": "--no-references",
    "transfer": "--steps 2048 --first-steps 2048 --threads 1",
}
# Of what a sweep is given several of, a test keeps these many.
FEW = {"--method": 1, "--seed": 1, "--values": 1}
TINY_YAML = """
steps: 64
network: {widths: [8]}
ppo: {num_envs: 4, n_steps: 16, batch_size: 32, n_epochs: 1}
evaluation: {episodes: 2, curve_points: 1, curve_episodes: 2}
video: {enabled: false}
"""
# What a test writes at the end of a study's file.
TINY_STUDY = """
settings: {steps: 64, network.widths: 8, ppo.num_envs: 4, ppo.n_steps: 16, ppo.batch_size: 32, ppo.n_epochs: 1,
           evaluation.episodes: 2, evaluation.curve_points: 1, evaluation.curve_episodes: 2, video.enabled: false}
"""
# Settings made from Python, where a page gives none.
PYTHON = TINY | {"steps": 64, "ewc": {"states": 150}}


def lasting(pages: dict[str, str]) -> list[Any]:
    """A parameter for each page that has something to run; slow where it trains."""
    found = []
    for name, page in pages.items():
        if note(page):
            found.append(
                pytest.param(name, page, id=name, marks=[pytest.mark.slow] if "shortened" in note(page) else [])
            )
    return found


def short(words: tuple[str, ...], tiny_flags: tuple[str, ...]) -> list[str]:
    """The command as it is run here."""
    verb = next((word for word in words[1:] if not word.startswith("-")), "")
    if "--help" in words:
        return [*words[1:]]
    extra = list(tiny_flags) if verb == "train" else shlex.split(SHORT.get(verb, ""))
    if "--warm-start.choose" in words:
        extra += shlex.split("--warm-start.trial-envs 2 --warm-start.trial-steps 4 --steps 192")
    given = list(words[1:])
    for flag, few in FEW.items() if verb == "sweep" else ():
        if flag in given:
            first = given.index(flag) + 1
            last = next((n for n, word in enumerate(given[first:], first) if word.startswith("-")), len(given))
            given[first:last] = given[first : min(last, first + few)]
    return [*given, *extra]


@contextmanager
def stopped_in_its_second_stage() -> Iterator[None]:
    """Press Ctrl-C, once, as soon as the training that begins now has learned something of its second stage."""
    stages: list[int] = []
    started = TerminalObserver.stage_started

    def note_stage(observer: TerminalObserver, stage: int, *rest: Any, **named: Any) -> None:
        stages.append(stage)
        started(observer, stage, *rest, **named)

    def press(observer: TerminalObserver, steps: int, success: float | None) -> None:
        if stages == [1, 2]:
            stages.clear()
            signal.raise_signal(signal.SIGINT)

    with patch.multiple(TerminalObserver, stage_started=note_stage, advanced=press):
        yield


class Page:
    """A page that is worked through, in a folder of its own."""

    def __init__(self, cli: Callable[..., Any], tiny_flags: tuple[str, ...], folder: Path) -> None:
        self.cli, self.tiny_flags, self.folder = cli, tiny_flags, folder
        self.names: dict[str, Any] = {"__name__": "page"}
        (folder / "tiny.yaml").write_text(TINY_YAML)

    def run(self, block: Block) -> None:
        """Do what a block says."""
        if block.title is not None:
            (self.folder / block.title).write_text(block.text + (TINY_STUDY if block.title == "study.yaml" else ""))
        elif block.language == "python":
            exec(compile(block.text, "<page>", "exec"), self.names)
        elif block.language == "console":
            for command in commands(block):
                if command.words[0] != "clrobot":  # what sets everything up is run by CI, from the README
                    assert shlex.join(command.words) in {shlex.join(shlex.split(line)) for line in readme_commands()}
                    continue
                with stopped_in_its_second_stage() if command.interrupted else nullcontext():
                    outcome = self.cli(*short(command.words, self.tiny_flags))
                assert outcome.code == (130 if command.interrupted else 0), (command, outcome)
                rest = outcome.out + outcome.err
                for piece in (piece for line in command.printed for piece in line.split("…") if piece):
                    assert piece in rest, f"{command.words} prints no {piece!r} at its place: {outcome}"
                    rest = rest.partition(piece)[2]


def readme_commands() -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return [line.strip() for line in text.splitlines() if line.startswith("    python3 ")]


def readme_verbs() -> list[list[str]]:
    """The words of every command of clrobot in the README, in their order."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("    clrobot ")]
    return [shlex.split(part) for line in lines for part in line.partition("  #")[0].split(";")]


@pytest.fixture
def shortened(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Settings made from Python are tiny where a page does not give them; what looks for first states takes few."""
    make = clrobot.make_config

    def tiny(**settings: Any) -> RunConfig:
        return make(**PYTHON | settings) if "steps" not in settings else make(**settings)

    monkeypatch.setattr(clrobot, "make_config", tiny, raising=False)
    monkeypatch.setattr(examine, "STEPS", 300)
    return


@pytest.mark.usefixtures("own_registries", "quick_training", "shortened")
@pytest.mark.parametrize(("name", "page"), lasting(WRITTEN))
def test_a_written_page(
    name: str, page: str, cli: Callable[..., Any], tiny_flags: tuple[str, ...], tmp_path: Path
) -> None:
    worked = Page(cli, tiny_flags, tmp_path)
    for block in blocks(page):
        worked.run(block)


@pytest.mark.slow
@pytest.mark.usefixtures("own_registries", "quick_training", "shortened")
def test_the_readme(cli: Callable[..., Any], tiny_flags: tuple[str, ...], tmp_path: Path) -> None:
    """Its commands, one after the other; a study on Slurm has tests of its own, and a finished run is not resumed."""
    worked, ran = Page(cli, tiny_flags, tmp_path), []
    for words in readme_verbs():
        if words[1] != "study":
            outcome = cli(*short(tuple(words), tiny_flags))
            assert outcome.code == (2 if words[1] == "resume" else 0), (words, outcome)
            assert words[1] != "resume" or "is finished" in outcome.err
            ran.append(words[1])
    assert {"train", "evaluate", "sweep", "verify", "report", "plot", "record", "export"} <= {*ran}
    (python,) = [block for block in blocks((ROOT / "README.md").read_text(encoding="utf-8")) if block.is_run]
    worked.run(python)


def test_one_s_own_environment_takes_few_lines() -> None:
    """From nothing to a report, in under fifteen."""
    found = blocks(WRITTEN["howto/environment.md"])
    files = [line for block in found if block.title for line in block.text.splitlines() if line.strip()]
    lines = [command for block in found if block.language == "console" for command in commands(block)]
    assert len(files) + len(lines) < 15


def test_the_distribution_s_entry_points_are_those_of_the_one_that_is_there() -> None:
    (shown,) = [block.text for block in blocks(WRITTEN["howto/distribution.md"]) if block.language == "toml"]
    there = tomllib.loads((ROOT / "tests" / "support" / "plugin" / "pyproject.toml").read_text(encoding="utf-8"))
    assert tomllib.loads(shown)["project"]["entry-points"] == there["project"]["entry-points"]


# Pages that are made ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", methods.METHODS, ids=lambda method: method.name)
def test_a_method_s_commands_are_ones(method: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """They are read as the command line reads them, with the settings that they name; each method is trained by the
    tests of methods."""
    monkeypatch.chdir(tmp_path)
    asked: list[RunConfig] = []
    monkeypatch.setattr(clrobot.cli.settings, "train_run", lambda config, *_: asked.append(config))
    monkeypatch.setattr(clrobot.cli.settings, "summarise", lambda *_: None)
    page = methods.method_page(method)
    names: dict[str, Any] = {}
    for block in blocks(page):
        if block.is_run:
            exec(compile(block.text, "<page>", "exec"), names)
        elif block.language == "console":
            (command,) = commands(block)
            assert command.words[:2] == ("clrobot", "train")
            clrobot.cli.main(command.words[1:])
    assert asked == [names["config"]]
    assert asked[0].method == method.name


@pytest.mark.parametrize("task", tasks.TASKS, ids=lambda task: task.id)
def test_a_task_s_python_runs(task: Any) -> None:
    (block,) = [block for block in blocks(tasks.task_page(task)) if block.language == "python"]
    names: dict[str, Any] = {}
    exec(compile(block.text, "<page>", "exec"), names)
    assert names["env"].sim.task.id == task.id


MADE = {
    "methods/index.md": methods.index_page,
    "tasks/index.md": tasks.index_page,
    "reference.md": api.reference,
    "benchmarks.md": benchmarks.benchmarks,
}


@pytest.mark.slow
@pytest.mark.usefixtures("own_registries", "quick_training", "shortened")
@pytest.mark.parametrize("name", MADE)
def test_a_page_that_is_made(name: str, cli: Callable[..., Any], tiny_flags: tuple[str, ...], tmp_path: Path) -> None:
    worked = Page(cli, tiny_flags, tmp_path)
    for block in blocks(MADE[name]()):
        worked.run(block)


# The rules of blocks themselves ----------------------------------------------------------------------------


def test_every_page_s_blocks_are_counted() -> None:
    """Nothing that looks like code slips through: every fence is a block, and none is indented."""
    pages = WRITTEN | methods.pages() | tasks.pages() | {name: make() for name, make in MADE.items()}
    found = [block for page in pages.values() for block in blocks(page)]
    run = sum(block.is_run for block in found)
    lines = sum(len(commands(block)) for block in found if block.language == "console")
    print(f"{len(found)} blocks on {len(pages)} pages: {run} pieces of Python, {lines} commands")
    assert run > 20
    assert lines > 40
    for name, page in pages.items():
        assert "\n    $ " not in page, name
        assert "\n    clrobot " not in page, name


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("```bash\nls\n```\n", "a block in 'bash'"),
        ("```python\nx = 1\n", "1 fences of 0 blocks"),
        ("  ```python\n  x = 1\n  ```\n", "2 fences of 0 blocks"),
    ],
)
def test_a_block_that_would_not_be_run_is_refused(page: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        blocks(page)


def test_a_page_says_what_is_run_of_it() -> None:
    page = (
        '```python\nx = 1\n```\n\n```python title="a.py"\n```\n\n```console\n$ clrobot train\n$ clrobot tasks\n```\n'
    )
    assert "Tests run the 2 commands and piece of Python on this page. What trains is shortened" in note(page)
    assert note("# No code\n") == ""


def test_what_a_command_prints_must_come_in_this_order(cli: Callable[..., Any], tmp_path: Path) -> None:
    worked = Page(cli, (), tmp_path)
    worked.run(Block("console", None, "$ clrobot tasks\nreach\n…\nstack\n"))
    with pytest.raises(AssertionError, match="prints no 'reach'"):
        worked.run(Block("console", None, "$ clrobot tasks\nstack\nreach\n"))
