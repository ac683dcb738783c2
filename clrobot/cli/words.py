"""A command's words: which verb they call with what, or one sentence that says what is wrong with them."""

from __future__ import annotations

import difflib
import functools
import io
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr
from typing import Any

import tyro

from clrobot.errors import UserError, shown

_PROGRAM = "clrobot"
# What tyro draws around what it says, and between its parts; on a terminal without them it has spaces and hyphens.
_FRAME = re.compile(r"[│╭╮╰╯]|─+")
_RULE = re.compile(r"^[ │]*(?:─+|-{10,})[ │]*$", re.MULTILINE)


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
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            call: Callable[[], None] = tyro.extras.subcommand_cli_from_dict(
                {name: _later(verb) for name, verb in verbs.items()},
                prog=_PROGRAM,
                description=description,
                args=list(words) or ["--help"],
                registry=registry,
            )
    except SystemExit as ended:
        if not ended.code:
            raise
        raise UserError(_sentence(said.getvalue(), next(iter(words), ""))) from None
    sys.stderr.write(said.getvalue())  # such as a library's warning
    return call


def _later(verb: Callable[..., None]) -> Callable[..., Callable[[], None]]:
    """Let tyro call a verb, which then only keeps what it was given: its own errors are not those of the words."""

    @functools.wraps(verb)
    def keep(*values: Any, **named: Any) -> Callable[[], None]:
        return functools.partial(verb, *values, **named)

    return keep


def _sentence(said: str, verb: str) -> str:
    """Return in one sentence what tyro says in a frame of several parts."""
    program = _PROGRAM if verb.startswith("-") else f"{_PROGRAM} {verb}".strip()
    parts = [_FRAME.sub(" ", part) for part in _RULE.split(said.partition("\n")[2])]
    first, *others = [part for part in parts if part.strip()]
    what, others_text = " ".join(first.split()).rstrip("."), "".join(others)
    more = f"; see {program} --help"
    if unknown := re.match(r"Unrecognized (?:or misplaced )?options: ([^()]*)", what):
        given = unknown[1].replace(",", " ").split()
        flags = [word for word in given if word.startswith("-")]
        near = _nearest_flags(flags[0], others_text, program) if flags else ""
        known = f"has no {' and no '.join(flags)}" if flags else f"takes no {shown(given[0])} there"
        return f"{program} {known}{f'; did you mean {near}?' if near else more}"
    if value := re.match(r"Error parsing (\S+): .*?\[(.*?)\]", what):
        expected = re.search(rf"{re.escape(value[1])} (.+)", others_text)
        return f"{value[1]} {value[2]}; expected {_plain(expected[1]) if expected else 'another value'}"
    if choice := re.match(r"Invalid choice (.*) for argument '(.*)'\. Expected one of \((.*)\)", what, re.IGNORECASE):
        return f"{choice[2]} {choice[1]}; expected one of {choice[3].replace(chr(39), '')}"
    if empty := re.match(r"Missing value for argument '(.*)'", what):
        return f"{empty[1]} needs a value{more}"
    if needed := re.findall(r"^ {6}(\S.*?) *\n((?: {10}.*\n?)*)", first, re.MULTILINE):
        help_text = " ".join(needed[0][1].split()).removesuffix("(required)").strip(" .")
        named = f"{needed[0][0]} ({help_text})" if len(needed) == 1 else " and ".join(name for name, _ in needed)
        return f"{program} needs {named}{more}"
    return f"{what[:1].lower()}{what[1:]}{more}"


def _plain(metavar: str) -> str:
    """Return how tyro writes a parameter's values, without what says only that there is a default."""
    return re.sub(r"^\[(\w+) \[\1 \.\.\.\]\]$", r"\1 [\1 ...]", metavar.strip().removeprefix("{None}|"))


def _nearest_flags(flag: str, proposed: str, program: str) -> str:
    """Return of the flags that tyro proposes the verb's own that are nearest, or nothing."""
    entries = re.findall(r"^ {6}(--.*)\n(?: {10}.*\n)*? {10}in (.*?) --help", proposed, re.MULTILINE)
    own = [word for flags, where in entries if where == program for word in re.findall(r"--[^\s,]+", flags)]
    return " or ".join(difflib.get_close_matches(flag, own, n=2, cutoff=0.0))
