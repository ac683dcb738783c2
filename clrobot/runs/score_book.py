"""`scores.jsonl`: one line for each evaluation."""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib
from typing import Any

from clrobot.errors import UserError
from clrobot.files import read_plain
from clrobot.results.scores import Score

_LIMIT = 2**28  # bytes: a million evaluations


def read_scores(path: pathlib.Path) -> list[Score]:
    """Read ``scores.jsonl``, in the order of the file.

    A last line that a killed run left half-written is left out; anything else that is not a score is an error
    that names the line.
    """
    try:
        lines = read_plain(path, _LIMIT).decode("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the scores in {path}: {error}") from None
    scores = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            scores.append(_score(json.loads(line)))
        except (ValueError, RecursionError) as error:
            if number == len(lines) and isinstance(error, json.JSONDecodeError):
                break
            raise UserError(f"{path}, line {number}: not a score: {error}") from None
    return scores


def _score(line: object) -> Score:
    """Check one line of ``scores.jsonl``; a ValueError says what is wrong."""
    if not isinstance(line, dict):
        raise ValueError(f"expected an object, got {line!r}")
    values: dict[str, Any] = {}
    for field in dataclasses.fields(Score):
        optional = field.default is None
        if field.name not in line and not optional:
            raise ValueError(f"{field.name} is missing")
        value = line.get(field.name)
        if value is None and optional:
            continue
        if field.name == "return_mean" and value is None:
            value = math.nan
        if field.type == "int" and (isinstance(value, bool) or not isinstance(value, int)):
            raise ValueError(f"{field.name} = {value!r} is not an integer")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{field.name} = {value!r} is not a number")
        values[field.name] = value if field.type == "int" else float(value)
    for name, least in (("stage", 0), ("step", 0), ("slot", 1), ("episodes", 1)):
        if values[name] < least:
            raise ValueError(f"{name} = {values[name]} is less than {least}")
    for name in ("success_any", "success_final", "stochastic_success_any", "stochastic_success_final"):
        if not 0 <= values.get(name, 0) <= 1:
            raise ValueError(f"{name} = {values[name]} is outside [0, 1]")
    return Score(**values)
