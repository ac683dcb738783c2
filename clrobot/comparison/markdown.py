"""Markdown's tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def _line(words: Iterable[str]) -> str:
    """Return one line of a table."""
    return f"| {' | '.join(words)} |"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    """Return a table; `numbers` are the columns that stand to the right."""
    rule = f"|{'|'.join('---:' if n in numbers else '---' for n in range(len(head)))}|"
    return "\n".join([_line(head), rule, *map(_line, rows)])
