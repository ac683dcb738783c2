"""Studies from YAML files, with errors that name the line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from clrobot.errors import UserError, cut, explain, most_telling, nearest, shown
from clrobot.experiment.choices import algorithm_class
from clrobot.experiment.curricula import CURRICULA
from clrobot.experiment.yaml_file import line_of, load_curriculum, read_yaml
from clrobot.files import at_home
from clrobot.imports import import_given, import_words
from clrobot.studies.plan import Plan, plan_study
from clrobot.studies.study import Study, Wrong


@dataclass(frozen=True)
class StudyFile:
    """A study, and the runs that it stands for."""

    study: Study
    out: Path
    plans: list[Plan]


def read_study(path: Path, out: Path | None = None) -> StudyFile:
    """Return the study in a YAML file of the user's, whole and validated; its modules are imported.

    Args:
        path: the file.
        out: where its runs go; None: runs/NAME.

    Raises:
        UserError: something in it cannot be; the sentence names its line.
    """
    path = at_home(path)
    root, data = read_yaml(path, _named(path))
    with _lines(path, root):
        if not isinstance(data, dict):
            raise Wrong((), f"{type(data).__name__}; expected a mapping with `name`, `curricula` and `methods`")
        imports = [_beside(path, word) for word in _texts(data, "imports")]
        for i, module in enumerate(imports):
            try:
                import_given([*import_words(), "--import", module])
            except UserError as error:
                raise Wrong(("imports", i), str(error)) from error
        if isinstance(data.get("curricula"), list):
            curricula = [_curriculum(path, i, given) for i, given in enumerate(data["curricula"])]
            data = data | {"curricula": curricula}
        study = Study.model_validate(data | ({"imports": imports} if imports else {}))
        for i, algorithm in enumerate(study.algorithms):
            try:
                algorithm_class(algorithm)
            except UserError as error:
                raise Wrong(("algorithms", i), str(error)) from error
        place = Path("runs") / study.name if out is None else at_home(out)
        return StudyFile(study, place, plan_study(study, place))


def read_data(path: Path) -> dict[str, Any]:
    """Return what a study's file holds, without any judgement.

    Raises:
        UserError: it cannot be read, or is no mapping.
    """
    _, data = read_yaml(path, _named(path))
    if not isinstance(data, dict):
        raise UserError(f"{_named(path)} holds no study; move it elsewhere")
    return data


def _named(path: Path) -> str:
    return f"study {cut(str(path))}"


@contextmanager
def _lines(path: Path, root: yaml.Node | None) -> Iterator[None]:
    """Turn what is wrong into one sentence with its line."""
    try:
        yield
    except Wrong as wrong:
        raise UserError(f"{_named(path)}, line {line_of(root, wrong.where)}: {wrong.sentence}") from wrong
    except ValidationError as error:
        first = most_telling(error)
        sentence = explain(error)
        if first["type"] == "extra_forbidden" and len(first["loc"]) == 1:
            sentence += nearest(str(first["loc"][0]), Study.model_fields)
        raise UserError(f"{_named(path)}, line {line_of(root, first['loc'])}: {sentence}") from error


def _texts(data: dict[Any, Any], key: str) -> list[str]:
    found = data.get(key, [])
    if not isinstance(found, list) or not all(isinstance(word, str) for word in found):
        raise Wrong((key,), f"`{key}` is {shown(found)}; expected a list of modules' names or files")
    return found


def _beside(path: Path, word: str) -> str:
    """Return a module's name as it is, and where a file lies that is named from the study's own folder."""
    return str(path.parent.resolve() / at_home(Path(word))) if "/" in word or word.endswith(".py") else word


def _curriculum(path: Path, place: int, given: Any) -> Any:
    if not isinstance(given, str):
        return given
    try:
        return load_curriculum(given if given in CURRICULA else _file(path, given))
    except UserError as error:
        raise Wrong(("curricula", place), str(error)) from error


def _file(path: Path, given: str) -> str:
    """Return where a curriculum's file lies; what looks like a misspelt name stays one, to be told so."""
    beside = path.parent / at_home(Path(given))
    return str(beside) if Path(given).suffix or "/" in given or beside.exists() else given
