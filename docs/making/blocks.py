"""The fenced blocks of a page: what a reader copies, what the tests run, and what a page says about that.

One language, one meaning:

    python              runs, all of a page's one after the other, in one namespace
    console             lines that begin with `$ ` run, as one command each; the others are printed by it, in this
                        order, with anything for `…`, but for `^C`, which is pressed while it trains
    python, yaml, toml  with title="NAME": the file NAME, written before what follows it
    text                is only read

A page shows settings that take minutes; the tests put tiny ones in their place, and the page says so.
"""

from __future__ import annotations

import re
import shlex
from typing import NamedTuple

_FENCE = re.compile(r"^```(?P<language>\w+)(?P<rest>[^\n]*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
_TITLE = re.compile(r'title="([^"]+)"')

LANGUAGES = ("python", "console", "yaml", "toml", "text")

# The verbs of which a test makes training short.
TRAINS = ("demo", "train", "sweep", "resume", "extend", "references", "study", "transfer")


class Block(NamedTuple):
    """A fenced block: its language, the file that it is (or None), and its lines."""

    language: str
    title: str | None
    text: str

    @property
    def is_run(self) -> bool:
        """Whether it is Python that runs, and not a file."""
        return self.language == "python" and self.title is None


class Command(NamedTuple):
    """A line of a console, and what it prints."""

    words: tuple[str, ...]
    printed: tuple[str, ...]
    interrupted: bool  # by Ctrl-C

    @property
    def trains(self) -> bool:
        """Whether it is a verb of clrobot's that trains."""
        return self.words[0] == "clrobot" and any(word in TRAINS for word in self.words[1:4])


def blocks(page: str) -> list[Block]:
    """Return the blocks of a page in Markdown, in order.

    Raises:
        ValueError: a block has a language that has no meaning here, or a fence is never closed.
    """
    found = []
    for match in _FENCE.finditer(page):
        if match["language"] not in LANGUAGES:
            raise ValueError(f"a block in {match['language']!r}; expected one of {LANGUAGES}")
        title = _TITLE.search(match["rest"])
        found.append(Block(match["language"], title and title[1], match["text"]))
    if page.count("```") != 2 * len(found):
        raise ValueError(f"{page.count('```')} fences of {len(found)} blocks; each has two, at the line's beginning")
    return found


def commands(block: Block) -> list[Command]:
    """Return the commands of a console block.

    Raises:
        ValueError: its first line is no command.
    """
    found: list[tuple[str, list[str]]] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append((line.removeprefix("$ "), []))
        elif not found:
            raise ValueError(f"a console begins with a command after `$ `, not with {line!r}")
        elif line.strip():
            found[-1][1].append(line.strip())
    return [
        Command(tuple(shlex.split(words)), tuple(line for line in printed if line != "^C"), "^C" in printed)
        for words, printed in found
    ]


def note(page: str, *, only_read: bool = False) -> str:
    """Return what a page says at its end about its blocks; nothing where it has none that run.

    Args:
        page: in Markdown.
        only_read: whether its commands are read, with all that they set, and what they would train is not trained.
    """
    every = blocks(page)
    pieces = sum(block.is_run for block in every)
    lines = [command for block in every if block.language == "console" for command in commands(block)]
    counted = [_count(len(lines), "command"), _count(pieces, "piece of Python", "pieces of Python")]
    told = " and ".join(filter(None, counted))
    if not told:
        return ""
    if only_read:
        return "\n\n---\n\n*A test reads the command and runs the Python on this page; others train every method.*\n"
    shortened = any(command.trains for command in lines) or any("train(" in block.text for block in every)
    tail = " What trains is shortened there: tiny networks, a few hundred steps." if shortened else ""
    return f"\n\n---\n\n*Tests run the {told} on this page.{tail}*\n"


def _count(n: int, one: str, many: str | None = None) -> str:
    return "" if not n else one if n == 1 else f"{n} {many or one + 's'}"
