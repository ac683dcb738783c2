"""Errors that the person at the keyboard can mend."""

from __future__ import annotations

import difflib
import re
import reprlib
import sys
import unicodedata
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError


class UserError(Exception):
    """A mistake in what the user gave: the message names the bad value and what was expected, and may be printed."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class Busy(UserError):
    """Another process works there now; it is a matter of waiting."""


def warn(message: str) -> None:
    """Write a warning to the standard error; where that is a full disk, the work goes on."""
    with suppress(OSError):
        print(f"clrobot: warning: {cut(message, 480)}", file=sys.stderr)


class RenderError(RuntimeError):
    """No picture can be made with this renderer here; the message says what is missing."""


class TrainingStopped(Exception):
    """A training was stopped from outside; the message says how it goes on."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the end of an error's sentence: the names nearest to `word`, or all of them."""
    known = list(known)
    close = difflib.get_close_matches(word[:100], known, n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(close)}?" if close else f"; expected one of {', '.join(known)}"


def shown(value: Any) -> str:
    """Return a value as an error's sentence shows it: in one line, and cut when it is longer than 60 characters."""
    try:
        text = reprlib.repr(value)
    except (ValueError, RecursionError):  # such as a whole number of more digits than Python prints
        text = type(value).__name__
    return cut(text, 60)


def printable(text: str) -> str:
    """Return text that commands no terminal: ESC, carriage returns, marks that turn text around, … are `?`.

    Lines and every kind of space stay. Whatever a terminal, a log or a caption shows of somebody's names goes through
    here.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" or unicodedata.category(c) == "Zs" else "?" for c in text)


def cut(text: str, room: int = 160) -> str:
    """Return text in one line without unprintable characters, and with its middle left out when it is long.

    Spaces stay as they are: a path may have two.
    """
    words = [part for part in (part.strip() for part in re.split(r"[^\S ]+", text)) if part]
    line = printable(" ".join(words))
    return line if len(line) <= room else f"{line[: room // 2 - 1]}…{line[-room // 2 :]}"


def most_telling(error: ValidationError) -> Any:
    """Return one of the errors: an unknown key before a missing one, since it is often the same, misspelt."""
    errors = error.errors()
    return next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])


def explain(failure: ValidationError) -> str:
    """Return one clause for pydantic's most telling error: where, what was wrong, and the value."""
    error = most_telling(failure)
    where = cut(".".join(str(part + 1 if isinstance(part, int) else part) for part in error["loc"]), 60)
    message = cut(error["msg"].removeprefix("Value error, "), 240 if error["type"] == "value_error" else 160)
    message = message[:1].lower() + message[1:]
    if error["type"] == "missing":
        return f"`{where}` is missing"
    if error["type"] == "extra_forbidden":
        return f"`{where}` is not a known key"
    if error["type"] == "value_error":
        return f"`{where}`: {message}" if where else message
    subject = f"`{where}`" if where else "it"
    return f"{subject} is {shown(error['input'])}; {message}"
