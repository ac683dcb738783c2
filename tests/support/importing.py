"""What a process of its own was given to import; it imports nothing heavy, so that such a process begins quickly."""

from __future__ import annotations

from clrobot.imports import import_words


def imported(*_: object) -> list[str]:
    """Return the words of `--import` as they hold in the process that calls it."""
    return import_words()
