"""Docstrings as Markdown."""

from __future__ import annotations

import inspect
import re
import textwrap

_SECTIONS = re.compile(r"^(Args|Returns|Raises|Attributes|Yields):\n.*", re.DOTALL | re.MULTILINE)
_SOURCE = re.compile(r"(?<=\n\n)((?: {4}.*\n?|\n(?= {4}))+)")  # indented lines after an empty one: equations


def prose(docstring: str | None) -> str:
    """Return a docstring as Markdown: without what is for callers alone, equations as they stand in the code."""
    text = _SECTIONS.sub("", inspect.cleandoc(docstring or "")).strip()
    parts = _SOURCE.split(text + "\n")
    for n, part in enumerate(parts):
        parts[n] = f"```text\n{textwrap.dedent(part).rstrip()}\n```\n" if n % 2 else literal(part)
    return "".join(parts).strip()


def literal(text: str) -> str:
    """Return prose in which `_`, `*`, `<` and `|` stand for themselves, but for what is in backquotes."""
    pieces = re.split(r"(`[^`\n]*`)", text)
    return "".join(piece if n % 2 else re.sub(r"([_*<>|\[\]])", r"\\\1", piece) for n, piece in enumerate(pieces))


def in_a_line(docstring: str | None) -> str:
    """Return a docstring's first paragraph on one line."""
    return literal(" ".join(inspect.cleandoc(docstring or "").split("\n\n")[0].split()))


def page(*parts: str) -> str:
    """Return a page of these parts, but for empty ones, with an empty line between."""
    return "\n\n".join(part for part in parts if part) + "\n"
