"""What others published of the same curricula, to stand beside one's own; how they measured it was not the same."""

from __future__ import annotations

from typing import Any, Final

from clrobot.published.rows import FOLDER, MaybeFloat, Row, read_rows

FILE: Final = FOLDER / "literature.csv"
WHAT: Final = "published figures of others"

# Of Continual World's figures, whose curricula are all that there is.
PROTOCOL: Final = (
    "Theirs are of Meta-World's first version, with its first rewards and 12 numbers to see, learned by SAC with "
    "four layers of 256 units, means over 20 seeds; clrobot's of version 3 with version 2's rewards and 39 numbers, "
    "through EnvPool, by PPO with two layers of 64 where a row says nothing else. Theirs act by sampling, and what "
    "stands at a stage's end is the mean of the last five evaluations; clrobot's take the mean action, and one "
    "evaluation. Their forgetting is a mean over all tasks, the last one's zero among them, and so is their forward "
    "transfer, the first one's among them: over ten tasks clrobot's columns are a ninth larger for the same. Equal "
    "are the order, a million control steps a task, 200 in an episode, a head for each task, and that success at any "
    "step counts. So levels may be set beside one another, and some hundredths say nothing."
)


class Figure(Row):
    """One method's means, as its authors or the benchmark's give them.

    Attributes:
        curriculum: by clrobot's name.
        method: by theirs.
        average_success: after the last task.
        forgetting: over all tasks, the last one's zero too (clrobot's `forgetting_all_tasks`); None where no source
            that was read gives it.
        forward_transfer: over all tasks, the first one too; None as above.
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


def read_literature(curriculum: str) -> list[Figure]:
    """Return the figures of a curriculum, the best first.

    Raises:
        UserError: the file is damaged.
    """
    rows = [row for row in read_rows(FILE, Figure, WHAT) if row.curriculum == curriculum]
    return sorted(rows, key=lambda row: -row.average_success)
