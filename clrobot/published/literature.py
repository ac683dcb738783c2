"""What others published of the same curricula, to stand beside one's own; how they measured it was not the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from clrobot.published.rows import FOLDER, MaybeFloat, Row, read_rows

FILE: Final = FOLDER / "literature.csv"
WHAT: Final = "published figures of others"

# Of Continual World's figures, whose curricula are all that there is.
PROTOCOL: Final = (
    "Theirs are of Meta-World's first version, with its first rewards and 12 numbers to see, learned by SAC with "
    "four layers of 256 units, means over 20 seeds. clrobot's are of version 3 with version 2's rewards and 39 "
    "numbers, through EnvPool, learned by PPO with two layers of 64. The same are the order, a million control steps "
    "a task, 200 in an episode, a head for each task, and that success at any step counts. So levels may be set "
    "beside one another, and some hundredths say nothing."
)


class Figure(Row):
    """One method's means, as its authors or the benchmark's give them.

    Attributes:
        curriculum: by clrobot's name.
        method: by theirs.
        average_success: after the last task.
        forgetting: as they define it, which is clrobot's definition too.
        forward_transfer: the same.
        source: authors and year.
    """

    curriculum: str
    method: str
    average_success: float
    forgetting: MaybeFloat
    forward_transfer: MaybeFloat
    source: str

    @property
    def order(self) -> tuple[Any, ...]:
        """Where the row stands."""
        return self.curriculum, self.method, self.source


def read_literature(curriculum: str, path: Path = FILE) -> list[Figure]:
    """Return the figures of a curriculum, the best first.

    Raises:
        UserError: the file is damaged.
    """
    rows = [row for row in read_rows(path, Figure, WHAT) if row.curriculum == curriculum]
    return sorted(rows, key=lambda row: -row.average_success)
