"""What a curriculum may give to a world of others' when it is made: plain values of a stated size that name no file.

A curriculum stands in every run's folder, a run may be a stranger's, and an environment opens what its `kwargs` name:
MuJoCo's `xml_file`, a map, a set of meshes. Nobody can tell one's own folder from a stranger's, so one rule holds for
all: an environment that reads a file is registered with it by a module of the user's own (`--import`), and a
curriculum names that registration.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from typing import Any, Final

from clrobot.errors import shown

# What the experiment itself decides of an environment that it makes; by its name in `kwargs`, what to give instead.
_NOT_HERE: Final = {"render_mode": "films ask for it", "max_episode_steps": "give horizon", "id": "it is the task"}

# More than any environment's arguments; what is beyond would fill a machine, or hang it, before it fails.
_MOST_VALUES: Final = 1_000
_MOST_LEVELS: Final = 8
_MOST_CHARACTERS: Final = 1_000
_MOST_WHOLE: Final = 10**6  # of a number that may count something
_MOST: Final = 1e12  # of any other

_INSTEAD: Final = "register the environment with it in a module of your own (--import)"


def check_kwargs(kwargs: Mapping[str, Any]) -> None:
    """Raise ValueError unless these are what a curriculum may hold."""
    for name in kwargs:
        if name in _NOT_HERE:
            raise ValueError(f"{name} is not for kwargs: {_NOT_HERE[name]}")
    for count, (value, level) in enumerate(_values(kwargs)):
        if level > _MOST_LEVELS:
            raise ValueError(f"more than {_MOST_LEVELS} levels; {_INSTEAD}")
        if count > _MOST_VALUES:
            raise ValueError(f"more than {_MOST_VALUES:,} values; {_INSTEAD}")
        _check_value(value)


def file_here(kwargs: Mapping[str, Any]) -> str | None:
    """Return a text among these that is the name of a file or a folder in the current folder, or None."""
    texts = (value for value, _ in _values(kwargs) if isinstance(value, str) and value)
    return next((text for text in texts if os.path.lexists(text)), None)


def _values(node: Any, level: int = 0) -> Iterator[tuple[Any, int]]:
    """Yield every value with its level, those that hold others too; the keys of mappings are values."""
    yield node, level
    if level > _MOST_LEVELS:
        return
    if isinstance(node, Mapping):
        for key, inner in node.items():
            yield key, level + 1
            yield from _values(inner, level + 1)
    elif isinstance(node, list | tuple):
        for inner in node:
            yield from _values(inner, level + 1)


def _check_value(value: Any) -> None:
    if value is None or isinstance(value, bool | Mapping | list | tuple):
        return
    if isinstance(value, str):
        if len(value) > _MOST_CHARACTERS or not value.isprintable():
            raise ValueError(f"{shown(value)}; expected printable text of at most {_MOST_CHARACTERS:,} characters")
        if _names_a_file(value):
            raise ValueError(f"{shown(value)} could name a file, and a curriculum names none; {_INSTEAD}")
    elif isinstance(value, int):
        if abs(value) > _MOST_WHOLE:
            raise ValueError(f"{shown(value)}; expected a whole number within ±{_MOST_WHOLE:,}, or {_INSTEAD}")
    elif not (isinstance(value, float) and math.isfinite(value) and abs(value) <= _MOST):
        raise ValueError(
            f"{shown(value)}; expected names with numbers (within ±{_MOST:g}), texts, lists and mappings"
        )


def _names_a_file(text: str) -> bool:
    """Return whether text leads somewhere, whatever the current folder is; `file_here` looks for plain names."""
    return "/" in text or "\\" in text or text.startswith(("~", "."))
