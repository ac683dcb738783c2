"""The grids of a study: settings by their full names, each with the values that it takes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from clrobot.agents.algorithms import ALGORITHMS
from clrobot.agents.methods import METHODS_BY_NAME
from clrobot.errors import UserError, nearest, shown
from clrobot.experiment.choices import method_classes
from clrobot.experiment.config import RunConfig
from clrobot.experiment.dotted import flatten
from clrobot.studies.study import Study, Where, Wrong

# What a study gives under names of its own.
_ELSEWHERE = {"curriculum": "curricula", "method": "methods", "algo": "algorithms", "seed": "seeds"}


@dataclass(frozen=True)
class Choice:
    """One value of one setting.

    Attributes:
        name: the setting's full name: `ewc.strength`.
        value: of it, in JSON's types.
        where: in the study.
        of: the method or algorithm whose setting it is; None: every run's.
        named: whether it stands in the names of runs: what all of them have as a single value does not.
    """

    name: str
    value: Any
    where: Where
    of: str | None
    named: bool

    @property
    def text(self) -> str:
        """The value as it stands in a name; other values have other texts."""
        return _text(self.value)


Grid = tuple[Choice, ...]


def method_grid(method: str, settings: Mapping[str, Any], usual: RunConfig) -> list[Grid]:
    """Return the values of each of a method's own settings.

    Args:
        method: its name; of two parts each setting says whose it is: `ewc.strength`.
        settings: values, or lists of them, by name.
        usual: every setting's usual value.

    Raises:
        Wrong: there is no such method or setting, or no value.
    """
    root: Where = ("methods", method)
    try:
        parts = [part.name for part in method_classes(method)]
    except UserError as error:
        raise Wrong(root, str(error)) from error
    known = {part: _names(usual, part) for part in parts}
    grid = []
    for name, value, where in _leaves(settings, root):
        head, dot, rest = name.partition(".")
        if dot and head in parts:
            part, own = head, rest
        elif len(parts) == 1:
            part, own = parts[0], name
        else:
            every = [f"{p}.{n}" for p in parts for n in known[p]]
            said = nearest(name, every) if every else ""
            raise Wrong(where, f"`{name}`: {method} has two parts; say whose setting it is{said}")
        if own not in known[part]:
            end = nearest(own, known[part]) if known[part] else "; it has no settings of its own"
            raise Wrong(where, f"{part} has no setting {shown(own)}{end}")
        grid.append(_choices(f"{part}.{own}", value, known[part][own], where, part, named=True))
    return grid


def settings_grid(study: Study, usual: RunConfig) -> list[Grid]:
    """Return the values of each of the settings that all runs have, as far as they concern them.

    Raises:
        Wrong: there is no such setting or no value, no run uses it, or a method is given it too.
    """
    known = {name: value for name, value in flatten(usual.model_dump(mode="json")) if _is_open(name)}
    owners = {*METHODS_BY_NAME, *(algorithm.name for algorithm in ALGORITHMS)}
    used = {*study.algorithms, *(part for method in study.methods for part in method.split("+"))}
    grid = []
    for name, value, where in _leaves(study.settings, ("settings",)):
        group = name.partition(".")[0]
        if group in _ELSEWHERE:
            raise Wrong(where, f"`{name}`: a study gives this as `{_ELSEWHERE[group]}`")
        if name not in known:
            raise Wrong(where, f"there is no setting {shown(name)}{nearest(name, known)}")
        owner = group if group in owners and "." in name else None
        if owner is not None and owner not in used:
            raise Wrong(where, f"`{name}`: no run of this study uses {owner}; leave it out")
        grid.append(_choices(name, value, known[name], where, owner, named=isinstance(value, list | tuple)))
    twice = {choices[0].name for choices in grid}
    for method, own in study.methods.items():
        for name, _, where in _leaves(own, ("methods", method)):
            full = name if name.partition(".")[0] in method.split("+") else f"{method}.{name}"
            if full in twice:
                raise Wrong(where, f"`{full}` stands under `settings` too; give it in one place")
    return grid


def _is_open(name: str) -> bool:
    return name.partition(".")[0] not in _ELSEWHERE


def _names(usual: RunConfig, group: str) -> dict[str, Any]:
    settings = getattr(usual, group, None)
    return {} if settings is None else dict(flatten(settings.model_dump(mode="json")))


def _leaves(settings: Mapping[str, Any], where: Where) -> Iterator[tuple[str, Any, Where]]:
    """Yield every setting's dotted name, its value, and where it stands; groups may be mappings of their own."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            for inner, found, place in _leaves(value, (*where, name)):
                yield f"{name}.{inner}", found, place
        else:
            yield str(name), value, (*where, name)


def _choices(name: str, given: Any, usual: Any, where: Where, of: str | None, *, named: bool) -> Grid:
    """Return the values of one setting; a list is a grid."""
    values = given if isinstance(given, list | tuple) else [given]
    if not values:
        raise Wrong(where, f"`{name}` is an empty list; a list is a grid: give it one value or more")
    found: list[Choice] = []
    for i, value in enumerate(values):
        place = (*where, i) if values is given else where
        choice = Choice(name, _plain(value, usual), place, of, named)
        if any(choice.text == other.text for other in found):
            hint = "; for one value that is a list write [[…]]" if isinstance(usual, list) else "; name each once"
            raise Wrong(place, f"`{name}` has the value {shown(value)} twice{hint}")
        found.append(choice)
    return tuple(found)


def _plain(value: Any, usual: Any) -> Any:
    """Return a value as the setting takes it: text such as `1e-3` is a number, one number stands for a whole list."""
    if isinstance(value, list | tuple):
        return [_plain(inner, None) for inner in value]
    if isinstance(value, str) and not isinstance(usual, str):
        try:
            value = float(value.replace("_", ""))
        except ValueError:
            return value
    if isinstance(value, float) and math.isfinite(value) and value.is_integer() and not isinstance(usual, float):
        value = int(value)
    return [value] * len(usual) if isinstance(usual, list) else value


def _text(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, list):
        return "x".join(map(_text, value))
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    return str(value)
