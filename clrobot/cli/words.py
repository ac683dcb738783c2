"""A command's words: which verb they call with what, or one sentence that says what is wrong with them."""

from __future__ import annotations

import difflib
import functools
import io
import itertools
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any

import tyro

from clrobot.errors import UserError, shown

_PROGRAM = "clrobot"
# What tyro draws around what it says, and between its parts; on a terminal without them it has spaces and hyphens.
_FRAME = re.compile(r"[│╭╮╰╯]|─+")
_RULE = re.compile(r"^[ │]*(?:─+|-{10,})[ │]*$", re.MULTILINE)

_Parse = Callable[[Sequence[str]], Callable[[], None]]


def parse(
    verbs: Mapping[str, Callable[..., None]], description: str, words: Sequence[str], registry: Any
) -> Callable[[], None]:
    """Return the call that the words ask for; `--help` is printed here, and ends the process.

    Args:
        verbs: by name; their parameters are what the words may give.
        description: of the program, for its help.
        words: the verb's name, and what it is given.
        registry: tyro's, of how words become values.

    Raises:
        UserError: a word is unknown, missing or no such value.
    """

    def read(given: Sequence[str]) -> Callable[[], None]:
        call: Callable[[], None] = tyro.extras.subcommand_cli_from_dict(
            {name: _later(verb) for name, verb in verbs.items()},
            prog=_PROGRAM,
            description=description,
            args=given,
            registry=registry,
        )
        return call

    said = io.StringIO()
    try:
        with redirect_stderr(said):
            call = read(list(words) or ["--help"])
    except SystemExit as ended:
        if not ended.code:
            raise
        raise UserError(_sentence(words, read)) from None
    sys.stderr.write(said.getvalue())  # such as a library's warning
    return call


def _later(verb: Callable[..., None]) -> Callable[..., Callable[[], None]]:
    """Let tyro call a verb, which then only keeps what it was given: its own errors are not those of the words."""

    @functools.wraps(verb)
    def keep(*values: Any, **named: Any) -> Callable[[], None]:
        return functools.partial(verb, *values, **named)

    return keep


def _printed(read: _Parse, words: Sequence[str]) -> str:
    """Return what tyro prints of words that end the process, as it would for a file: not coloured, and not folded."""
    printed = io.StringIO()
    with _unfolded(), redirect_stdout(printed), redirect_stderr(printed), suppress(SystemExit):
        read(words)
    return printed.getvalue()


@contextmanager
def _unfolded() -> Iterator[None]:
    before = dict(os.environ)
    os.environ["COLUMNS"] = "9999"
    try:
        yield
    finally:
        os.environ.clear()
        os.environ |= before


def _sentence(words: Sequence[str], read: _Parse) -> str:
    """Return in one sentence why tyro refuses the words."""
    verb = [word for word in words[:1] if not word.startswith("-")]
    program, given = " ".join([_PROGRAM, *verb]), words[len(verb) :]
    more = f"; see {program} --help"
    help_text = _FRAME.sub(" ", _printed(read, [*verb, "--help"]))
    flags = dict.fromkeys(re.findall(r"(?<![\w-])--[a-z][\w.-]*", help_text))
    unknown = [name for name in map(_flag_of, given) if name and name not in flags]
    if unknown:
        near = difflib.get_close_matches(unknown[0][2:], [flag[2:] for flag in flags], n=1)
        end = f"; did you mean --{near[0]}?" if near and len(unknown) == 1 else more
        return f"{program} has no {' and no '.join(shown(flag)[1:-1] for flag in unknown[:3])}{end}"
    parts = [_FRAME.sub(" ", part) for part in _RULE.split(_printed(read, words).partition("\n")[2])]
    first = next((part for part in parts if part.strip()), "")
    what = " ".join(first.split()).rstrip(".")
    if (extra := re.match(r"Unrecognized (?:or misplaced )?options: ?([^,(]*)", what)) is not None:
        return f"{program} takes no {shown(_whole(extra[1].strip(), given))} there{more}"
    if wrong := re.match(r"(?:Error parsing |Invalid choice .* for argument ')(--[\w.-]+)", what, re.IGNORECASE):
        expected = _expected(wrong[1], help_text)
        values = _values_of(wrong[1], given)[: 3 if "..." in expected else 1]
        return f"{wrong[1]} {' '.join(map(shown, values))}; expected {expected}"
    if empty := re.match(r"Missing value for argument '(.*?)'\. Expected (\d+)", what):
        return f"{empty[1]} needs {'a value' if empty[2] == '1' else f'{empty[2]} values'}{more}"
    if needed := re.findall(r"^ {6}(\S.*?) *\n((?: {10}.*\n?)*)", first, re.MULTILINE):
        told = " ".join(needed[0][1].split()).removesuffix("(required)").strip(" .")
        named = f"{needed[0][0]} ({told})" if len(needed) == 1 else " and ".join(name for name, _ in needed)
        return f"{program} needs {named}{more}"
    return f"{what[:1].lower()}{what[1:]}{more}"


def _flag_of(word: str) -> str:
    """Return the flag that a word is or begins with, as the help has it; nothing where it is none."""
    return word.partition("=")[0].replace("_", "-") if re.match(r"--[A-Za-z]", word) else ""


def _whole(start: str, given: Sequence[str]) -> str:
    """Return the word that tyro names, of which a comma or a bracket may have left the start."""
    if not start:  # nothing, as a shell's variable that is not set
        return start
    return next((word for word in given if word.startswith(start) and not _flag_of(word)), start)


def _values_of(flag: str, given: Sequence[str]) -> list[str]:
    """Return what the words give a flag, the last time that they name it."""
    named = [at for at, word in enumerate(given) if _flag_of(word) == flag]
    if not named:
        return []
    _, equals, value = given[named[-1]].partition("=")
    further = itertools.takewhile(lambda word: not _flag_of(word), given[named[-1] + 1 :])
    return [*([value] if equals else []), *further]


def _expected(flag: str, help_text: str) -> str:
    """Return what a verb's help says of a flag's values, without what says only that there is a default."""
    found = re.search(rf"{re.escape(flag)}(?:, --[\w.-]+)* (\S.*?)(?:  |$)", help_text, re.MULTILINE)
    values = found[1].removeprefix("{None}|") if found else "another value"
    if re.fullmatch(r"\{\[.*\]\}", values):
        values = values[1:-1]
    values = re.sub(r"^\[(.+) \[\1 \.\.\.\]\]$", r"\1 [\1 ...]", values)
    if choices := re.fullmatch(r"\{([^{}]*)\}", values):
        return f"one of {', '.join(choices[1].split(','))}"
    return values
