"""`scores.jsonl`: one line for each evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import ValidationError

from clrobot.errors import UserError, explain
from clrobot.files import read_plain
from clrobot.results.scores import Score

MOST_BYTES: Final = 256 * 2**20  # more than a million evaluations: what is larger is no run's scores


def read_scores(path: Path) -> list[Score]:
    """Read `scores.jsonl`, in the order of the file.

    A last line that a killed run left half-written is left out.

    Raises:
        UserError: the file cannot be read, is no plain file or larger than `MOST_BYTES`, or a line is no score.
    """
    lines = read_plain(path, MOST_BYTES).split(b"\n")
    scores = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            scores.append(Score.model_validate_json(line))
        except ValidationError as error:
            if number == len(lines) and error.errors()[0]["type"] == "json_invalid":
                break
            raise UserError(f"{path}, line {number}: not a score: {explain(error)}") from None
    return scores
