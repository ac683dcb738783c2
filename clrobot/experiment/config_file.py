"""A configuration as a YAML file."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import (
    ValidationError,
)

from clrobot.errors import UserError, cut, explain
from clrobot.experiment.config import RunConfig, full_config_class, settings_to_keep
from clrobot.experiment.yaml_file import parse_yaml


def read_config(path: Path) -> RunConfig:
    """Return the configuration in a YAML file, such as a run's `config.yaml`.

    Raises:
        UserError: the file cannot be read or is not a configuration.
    """
    what = f"configuration {cut(str(path))}"
    try:
        _, data = parse_yaml(path.read_text(encoding="utf-8"), what)
    except OSError as error:
        raise UserError(f"{what}: {error.strerror}; give a readable YAML file") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{what}: not UTF-8 text; give a YAML file") from error
    except ValueError as error:  # characters that no path has
        raise UserError(f"{what}: no such file; give a readable YAML file") from error
    if not isinstance(data, dict):
        raise UserError(f"{what}: {type(data).__name__}; expected a mapping of settings")
    try:
        return full_config_class().model_validate(data)
    except ValidationError as error:
        raise UserError(f"{what}: {explain(error)}") from error
    except UserError as error:  # an unknown method or curriculum
        raise UserError(f"{what}: {error}") from error


def dump_config(config: RunConfig) -> str:
    """Return the YAML text that `read_config` reads back."""
    return yaml.safe_dump(settings_to_keep(config), sort_keys=False, allow_unicode=True)
