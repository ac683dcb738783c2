"""Curricula from YAML files, with errors that name the line."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any, NoReturn

import yaml
from pydantic import ValidationError

from clrobot.errors import UserError, cut, explain, most_telling, nearest, shown
from clrobot.experiment.curricula import CURRICULA
from clrobot.experiment.curriculum import Curriculum
from clrobot.files import read_plain

_Loader = type[yaml.SafeLoader | yaml.CSafeLoader]

# libyaml's where PyYAML was built with it: the same safe data, several times as fast.
_QUICK: _Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_curriculum(source: str | Path) -> Curriculum:
    """Return the curriculum of that name, or the one in that YAML file.

    Raises:
        UserError: no such name or file, or the file is malformed (its line is named).
    """
    text = str(source)
    if text in CURRICULA:
        return CURRICULA[text]
    path = Path(text)
    try:
        content = read_plain(path).decode("utf-8")
    except OSError as error:
        if not path.suffix and error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
            raise UserError(_unknown(text)) from error
        raise UserError(f"curriculum file {cut(repr(text))}: {error.strerror}; give a readable YAML file") from error
    except UnicodeDecodeError as error:
        raise UserError(f"curriculum file {cut(text)}: not UTF-8 text; give a YAML file") from error
    except ValueError as error:  # characters that no path has
        raise UserError(_unknown(text)) from error
    return _parse(content, cut(text))


def _unknown(name: str) -> str:
    near = nearest(name, CURRICULA)
    return f"unknown curriculum {shown(name)}{near.removesuffix('?')}, or give a YAML file{'?' * near.endswith('?')}"


# What no curriculum and no configuration comes near; a bomb of a few hundred bytes passes all of it.
_NODES, _DEPTH, _CHARACTERS = 20_000, 20, 10_000


def read_yaml(path: Path, what: str) -> tuple[Any, Any]:
    """Return a YAML file's composed tree (which knows lines) and its data.

    Raises:
        UserError: it cannot be read, or is none; the sentence begins with `what`.
    """
    try:
        return parse_yaml(read_plain(path).decode("utf-8"), what)
    except OSError as error:
        raise UserError(f"{what}: {error.strerror}; give a readable YAML file") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{what}: not UTF-8 text; give a YAML file") from error
    except ValueError as error:  # characters that no path has
        raise UserError(f"{what}: no such file; give a readable YAML file") from error


def parse_yaml(content: str, what: str) -> tuple[Any, Any]:
    """Return the YAML text's composed tree (which knows lines) and its data.

    Raises:
        UserError: it is not YAML, or more than any configuration; the sentence begins with `what` and names the line.
    """
    try:
        try:
            return _read(content, what, _QUICK)
        except yaml.YAMLError:
            return _read(content, what, yaml.SafeLoader)  # which says better, and the same everywhere, what is wrong
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise UserError(f"{what}{line}: {cut(problem)}; expected YAML") from error
    except UserError:
        raise
    except Exception as error:
        # What PyYAML lets through: `!!int ""`, `!!bool x`, `!!timestamp x`, 2001-99-99, brackets without end, …
        raise UserError(f"{what}: {cut(str(error)) or type(error).__name__}; expected YAML") from error


def _read(content: str, what: str, kind: _Loader) -> tuple[Any, Any]:
    _check_size(content, what, kind)
    loader = kind(content)  # once, for both: it is what opening a run takes longest for
    try:
        root = loader.get_single_node()
        _check_keys(root, what)
        return root, None if root is None else loader.construct_document(root)
    finally:
        loader.dispose()


def _check_size(content: str, what: str, kind: _Loader) -> None:
    """Refuse what would grow: read event by event, nothing is built yet.

    An alias counts as much as what it stands for. Merge keys (`<<`), which copy, are no part of YAML 1.2.
    """

    def refuse(event: yaml.Event, reason: str) -> NoReturn:
        line = event.start_mark.line + 1 if event.start_mark else 1
        raise UserError(f"{what}, line {line}: {reason}")

    anchors: dict[str | None, int] = {}
    open_nodes: list[tuple[str | None, int]] = []  # the anchor of each collection around this place, and its size
    for event in yaml.parse(content, Loader=kind):
        if isinstance(event, yaml.CollectionStartEvent):
            if len(open_nodes) == _DEPTH:
                refuse(event, f"more than {_DEPTH} levels; a curriculum or configuration has four")
            open_nodes.append((event.anchor, 1))
            continue
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, size = open_nodes.pop()
        elif isinstance(event, yaml.AliasEvent):
            anchor = None
            size = anchors.get(event.anchor) or refuse(event, f"*{event.anchor} stands inside what it stands for")
        elif isinstance(event, yaml.ScalarEvent):
            if (event.value == "<<" and event.implicit[0]) or str(event.tag).endswith(":merge"):
                refuse(event, "a merge key `<<`; write the settings out")
            if len(event.value) > _CHARACTERS:  # `1:1:1: …` is a number to base 60
                refuse(event, f"a value of more than {_CHARACTERS:,} characters; expected a name or a number")
            anchor, size = event.anchor, 1
        else:
            continue
        if anchor is not None:
            anchors[anchor] = size
        if open_nodes:
            around, so_far = open_nodes[-1]
            size += so_far
            open_nodes[-1] = around, size
        if size > _NODES:
            refuse(event, f"more than {_NODES:,} values; a curriculum or configuration has fewer")


def _check_keys(root: yaml.Node | None, what: str) -> None:
    """Refuse a key that stands twice, of which PyYAML would take the last; YAML 1.2 allows none."""
    nodes, seen = [root], set()
    while nodes:
        node = nodes.pop()
        if not isinstance(node, yaml.CollectionNode) or id(node) in seen:  # an alias is the node that it stands for
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            nodes += node.value
            continue
        keys: set[tuple[str, str]] = set()
        for key, value in node.value:
            nodes += [key, value]
            if not isinstance(key, yaml.ScalarNode):
                continue
            if (key.tag, key.value) in keys:
                line = key.start_mark.line + 1
                raise UserError(f"{what}, line {line}: {shown(key.value)} stands there twice; give it once")
            keys.add((key.tag, key.value))


def _parse(content: str, name: str) -> Curriculum:
    root, data = parse_yaml(content, f"curriculum file {name}")
    if not isinstance(data, dict):
        raise UserError(
            f"curriculum file {name}, line 1: {type(data).__name__}; expected a mapping with `name` and `stages`"
        )
    try:
        return Curriculum.model_validate(data)
    except ValidationError as error:
        first = most_telling(error)
        where = line_of(root, first["loc"])
        raise UserError(f"curriculum file {name}, line {where}: {explain(error)}") from error


def line_of(node: Any, location: tuple[int | str, ...]) -> int:
    """Return the line (from 1) of the deepest key or item on the way to `location` in a composed YAML tree."""
    line = node
    for part in location:
        if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            line = node = node.value[part]
        elif isinstance(node, yaml.MappingNode):
            found = [(key, value) for key, value in node.value if key.value == part]
            if not found:
                break
            line, node = found[0]
        else:
            break
    return int(line.start_mark.line) + 1 if line is not None else 1
