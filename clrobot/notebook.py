"""How runs, agents and comparisons show themselves in a notebook: as a small table, in which no name is markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from clrobot.errors import cut

_MOST_CHARACTERS = 200  # of a cell: what is read from somebody's files may be long
_MOST_ROWS = 50


def html_table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table as HTML.

    Args:
        caption: stands above it.
        head: of each column; the first is of names, the others of numbers.
        rows: each of as many texts; of more than `_MOST_ROWS` the rest is counted.
    """
    every = [tuple(row) for row in rows]
    shown = every[:_MOST_ROWS]
    if len(every) > len(shown):
        shown.append((f"… {len(every) - len(shown)} more", *[""] * (len(head) - 1)))
    lines = [_row(tag, row) for tag, row in (("th", head), *(("td", row) for row in shown)) if row]
    return f"<table><caption>{_text(caption)}</caption>{''.join(lines)}</table>"


def _row(tag: str, cells: Sequence[str]) -> str:
    sides = ["left", *["right"] * (len(cells) - 1)]
    inner = (
        f'<{tag} style="text-align:{side}">{_text(cell)}</{tag}>' for side, cell in zip(sides, cells, strict=True)
    )
    return f"<tr>{''.join(inner)}</tr>"


def _text(text: str) -> str:
    return escape(cut(text, _MOST_CHARACTERS))
