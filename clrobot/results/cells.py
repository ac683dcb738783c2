"""A cell of a file of comma-separated values, as no spreadsheet takes it for a formula."""

from __future__ import annotations

from typing import Any, Final

BEGINS_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def plain_cell(value: Any) -> Any:
    """Return a value as a cell that stands for itself: with an apostrophe before what would begin a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(BEGINS_FORMULA) else value
