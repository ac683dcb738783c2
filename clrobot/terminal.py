"""What is shown in a terminal, as it is: no name is markup, the code of a picture, or a command to the terminal."""

from __future__ import annotations

import json
import re
from typing import IO, Any, Final

from rich.console import Console
from rich.text import Text
from typing_extensions import override

# What a terminal obeys instead of showing it: control characters but tabs and line ends, and what turns the order of
# letters round.
_OBEYED: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def unobeyed(text: str) -> str:
    """Return text with a `?` for each character that a terminal would obey."""
    return _OBEYED.sub("?", text)


def json_text(content: Any) -> str:
    """Return one JSON document, every character of which a terminal shows: what it would obey is escaped."""
    text = json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False)
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class LiteralConsole(Console):
    """A terminal, or what stands in its place, that shows every text as it is.

    Runs, folders, curricula and tasks have names that a user, or a stranger, chose: `ewc[lr=0.1]`, `:fire:`. Only
    rich's `Text` and the argument `style` give form to anything; a character that a terminal would obey is a `?`.

    Args:
        file: where it writes; None: the standard output.
        how: as rich's Console takes it.
    """

    def __init__(self, file: IO[str] | None = None, **how: Any) -> None:
        super().__init__(file=file, markup=False, emoji=False, highlight=False, **how)

    @override
    def render_str(self, text: str, **how: Any) -> Text:
        return super().render_str(unobeyed(text), **how)
