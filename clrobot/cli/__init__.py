"""The command line: one file for each group of verbs, which parse, call and print."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from clrobot import __version__
from clrobot.cli.benchmarks import bench, learning, overhead
from clrobot.cli.common import check_environment, errors_as_sentences, print_on_any_terminal
from clrobot.cli.compare import compare, plot, report
from clrobot.cli.demo import demo
from clrobot.cli.evaluate import evaluate, export, record
from clrobot.cli.lists import curricula, methods, sheet, tasks, worlds
from clrobot.cli.publish import publish, tables
from clrobot.cli.references import references
from clrobot.cli.study import study, study_status, sweep
from clrobot.cli.train import extend, resume, train_in_help
from clrobot.cli.transfer import transfer
from clrobot.cli.verify import verify
from clrobot.cli.words import parse
from clrobot.errors import UserError, nearest, shown
from clrobot.files import at_home
from clrobot.imports import import_given

VERBS: dict[str, Callable[..., None]] = {
    "demo": demo,
    "train": train_in_help,
    "evaluate": evaluate,
    "record": record,
    "export": export,
    "resume": resume,
    "extend": extend,
    "sweep": sweep,
    "study": study,
    "study-status": study_status,
    "report": report,
    "plot": plot,
    "compare": compare,
    "references": references,
    "verify": verify,
    "publish": publish,
    "tables": tables,
    "transfer": transfer,
    "tasks": tasks,
    "worlds": worlds,
    "sheet": sheet,
    "methods": methods,
    "curricula": curricula,
    "bench": bench,
    "overhead": overhead,
    "learning": learning,
}
VERSION_FLAG = "--version"

_DESCRIPTION = """Train one robot arm through a sequence of skills, and see what it kept.

--import MODULE, before or after any verb, adds your own tasks and methods.

MODULE is a module's name, or a file's path such as ./my_task.py.

--version, in a verb's place, says which clrobot this is."""


def main(words: Sequence[str] | None = None) -> None:
    """Run the command `clrobot` with these words (None: the process's own)."""
    print_on_any_terminal()
    with errors_as_sentences(), _torch_threads_put_back():
        words = [_at_home(word) for word in (sys.argv[1:] if words is None else words)]
        if words == [VERSION_FLAG]:
            print(f"clrobot {__version__}")
            return
        check_environment()
        words = import_given(words)
        if words and not words[0].startswith("-") and words[0] not in VERBS:
            raise UserError(f"unknown verb {shown(words[0])}{nearest(words[0], VERBS)}")
        verbs, registry = dict(VERBS), None
        if words[:1] == ["train"]:
            from clrobot.cli.settings import train_verb
            from clrobot.experiment.words import COMMAND_LINE

            (verbs["train"], words), registry = train_verb(words), COMMAND_LINE
        parse(verbs, _DESCRIPTION, words, registry)()


@contextmanager
def _torch_threads_put_back() -> Iterator[None]:
    """As `torch_threads_put_back`; where torch is not loaded yet nobody else's threads are there to be kept."""
    torch = sys.modules.get("torch")
    before = None if torch is None else torch.get_num_threads()
    try:
        yield
    finally:
        if torch is not None:
            torch.set_num_threads(before)


def _at_home(word: str) -> str:
    """Return a word in which `~` leads home, also in `--out=~/runs`, where a shell leaves it."""
    flag, equals, value = word.rpartition("=")
    if value.partition("/")[0] != "~" or (equals and not flag.startswith("--")):
        return word
    return f"{flag}{equals}{at_home(Path(value))}"
