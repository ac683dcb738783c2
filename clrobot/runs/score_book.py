"""`scores.jsonl`: one line for each evaluation."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from clrobot.errors import UserError, explain
from clrobot.files import atomic, read_own
from clrobot.results.scores import Score
from clrobot.runs.lock import check_held

MOST_BYTES: Final = 256 * 2**20  # more than a million evaluations: what is larger is no run's scores


def read_scores(path: Path) -> list[Score]:
    """Read `scores.jsonl`, in the order of the file.

    A last line that a killed run left half-written is left out.

    Raises:
        UserError: the file cannot be read, is no plain file or larger than `MOST_BYTES`, or a line is no score.
    """
    lines = read_own(path, MOST_BYTES).split(b"\n")
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


class ScoreBook:
    """The scores of a run that is being trained: in memory, and in its `scores.jsonl`.

    Attributes:
        scores: in the order of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.scores: list[Score] = []

    def append(self, scores: Sequence[Score]) -> None:
        """Add lines to the file; they are on the disk when this returns.

        Raises:
            UserError: the run was taken over by another process.
        """
        check_held(self._path.parent)
        self.scores += scores
        with self._path.open("a", encoding="utf-8") as file:
            file.write("".join(score.to_line() for score in scores))
            file.flush()
            os.fsync(file.fileno())

    def rewrite(self, scores: Sequence[Score]) -> None:
        """Let the file hold these lines alone.

        Raises:
            UserError: the run was taken over by another process.
        """
        check_held(self._path.parent)
        self.scores = list(scores)
        with atomic(self._path) as file:
            file.write_text("".join(score.to_line() for score in self.scores), encoding="utf-8")
