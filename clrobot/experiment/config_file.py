"""A configuration as a YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from clrobot.errors import UserError, cut, explain, shown
from clrobot.experiment.config import RunConfig, full_config_class, settings_to_keep
from clrobot.experiment.curriculum import Curriculum
from clrobot.experiment.yaml_file import read_yaml


def read_config(path: Path, curriculum: Curriculum | None = None) -> RunConfig:
    """Return the configuration in a YAML file of the user's; its curriculum may be a name or a further file.

    Args:
        path: the file.
        curriculum: in place of the file's.

    Raises:
        UserError: the file cannot be read or is not a configuration.
    """
    return _validated(path, _read(path) | ({} if curriculum is None else {"curriculum": curriculum}))


def read_run_config(path: Path) -> RunConfig:
    """Return the configuration in a run's `config.yaml`, which holds the curriculum itself: no other file is read.

    Raises:
        UserError: the file cannot be read or is not a run's configuration.
    """
    data = _read(path)
    if not isinstance(data.get("curriculum"), dict):
        found = shown(data.get("curriculum"))
        raise UserError(
            f"{_named(path)}: `curriculum` is {found}; a run holds its curriculum itself: train again, or put it back"
        )
    start = data.setdefault("warm_start", {})
    if isinstance(start, dict):
        start.setdefault("choose", "none")  # as all began before there was a choice
    return _validated(path, data)


def _named(path: Path) -> str:
    return f"configuration {cut(str(path))}"


def _read(path: Path) -> dict[Any, Any]:
    what = _named(path)
    _, data = read_yaml(path, what)
    if not isinstance(data, dict):
        raise UserError(f"{what}: {type(data).__name__}; expected a mapping of settings")
    return data


def _validated(path: Path, data: dict[Any, Any]) -> RunConfig:
    try:
        return full_config_class().model_validate(data)
    except ValidationError as error:
        raise UserError(f"{_named(path)}: {explain(error)}") from error
    except UserError as error:  # an unknown method or curriculum
        raise UserError(f"{_named(path)}: {error}") from error


def dump_config(config: RunConfig) -> str:
    """Return the YAML text that `read_config` reads back."""
    return yaml.safe_dump(settings_to_keep(config), sort_keys=False, allow_unicode=True)
