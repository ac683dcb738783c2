"""Pictures of a Markdown page, drawn from published data into the files that the page's marked blocks name.

A block is what stands between two comments, and holds the picture's place in the page:

    <!-- figure: cr10 transfer -->

    ![Forward transfer to each task of cr10](pictures/cr10-transfer.svg)

    <!-- end -->

It names a curriculum and one of FIGURES, and may choose rows by their labels, each with a name of its own:

    <!-- figure: cr10 transfer: ewc; ewc (warm_start.choose="none") as ewc, begun anew -->
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from clrobot.comparison.comparison import Comparison
from clrobot.comparison.readme import of_curriculum
from clrobot.errors import UserError, nearest, shown
from clrobot.files import atomic, read_plain
from clrobot.published.results import read_results
from clrobot.report.figures.of_comparison import TransferByTask, transfers_by_task
from clrobot.report.figures.style import WIDE, Draw, svg_bytes

_BLOCK: Final = re.compile(r"<!-- figure: *([^\n]*?) *-->\s*!\[[^\]\n]*\]\(([^)\s]+\.svg)\)\s*<!-- end -->")
_MARKER: Final = "<!-- figure:"
_NOTED: Final = re.compile(rb"<!-- of data ([0-9a-f]{16}) -->")


@dataclass(frozen=True)
class Picture:
    """A picture of a page.

    Attributes:
        name: what its block asks for.
        path: its file.
        data: the numbers that it shows, as a hash, which the file notes: pixels and fonts are a library's.
        draw: draws it.
    """

    name: str
    path: Path
    data: str
    draw: Draw

    @property
    def is_drawn(self) -> bool:
        """Whether the file is there, and of this data."""
        try:
            noted = _NOTED.search(read_plain(self.path))
        except OSError:
            return False
        return noted is not None and noted[1].decode() == self.data

    def write(self) -> None:
        """Draw it into its file.

        Raises:
            UserError: the file cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with atomic(self.path) as file:
                file.write_bytes(svg_bytes(self.draw(WIDE)) + f"<!-- of data {self.data} -->\n".encode())
        except OSError as error:
            raise UserError(f"{self.path}: {error.strerror}; give a page whose pictures can be written") from error


def pictures(page: Path, text: str, results: Path | None = None) -> list[Picture]:
    """Return the pictures of a page.

    Args:
        page: its file, from which theirs are told.
        text: what it holds.
        results: the file of results; None: those that come with clrobot.

    Raises:
        UserError: a block asks for something that there is not, names no file, or the results are damaged.
    """
    found = list(_BLOCK.finditer(text))
    if len(found) != text.count(_MARKER):
        raise UserError(
            f"a block of {_MARKER} … --> holds no ![picture](file.svg) and {'<!-- end -->'} after it; give it both"
        )
    if not found:
        return []
    runs = read_results(results)
    drawn = []
    for name, file in (match.groups() for match in found):
        which, _, chosen = name.partition(": ")
        curriculum, _, kind = which.partition(" ")
        what = f"figure {shown(which)}"
        if kind not in FIGURES:
            raise UserError(f"{what}: after the curriculum{nearest(kind, FIGURES)}")
        comparison = of_curriculum(curriculum, runs, what)
        numbers, draw = FIGURES[kind](_with_rows(comparison, chosen, what), what)
        data = hashlib.sha256(repr(numbers).encode()).hexdigest()[:16]
        drawn.append(Picture(name, page.parent / file, data, draw))
    return drawn


def _with_rows(comparison: Comparison, chosen: str, what: str) -> Comparison:
    """Return the comparison with the rows that a block chooses, in its order and with its names; all without any."""
    if not chosen:
        return comparison
    by_label = {group.label: group for group in comparison.groups}
    groups = []
    for label, _, name in (part.strip().partition(" as ") for part in chosen.split(";")):
        if label not in by_label:
            raise UserError(f"{what}: there is no row {shown(label)}{nearest(label, by_label)}")
        groups.append(replace(by_label[label], label=name or label))
    return replace(comparison, groups=tuple(groups))


def _transfer(comparison: Comparison, what: str) -> tuple[Any, Draw]:
    found = transfers_by_task(comparison)
    if not found:
        raise UserError(f"{what}: no forward transfer is published for it; clrobot references makes what it needs")
    if len(found) > 1:
        raise UserError(f"{what}: {len(found)} curricula of that name are published; give the others another")
    return _numbers(found[0]), found[0].draw


def _numbers(transfer: TransferByTask) -> Sequence[Any]:
    rows = [
        (label, [[_rounded(number) for number in (e.value, e.low, e.high)] for e in estimates])
        for label, estimates in transfer.rows.items()
    ]
    return transfer.slot_names, rows, list(map(_rounded, transfer.ceiling))


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 3) + 0.0


# What a block may ask of a curriculum: the numbers that are drawn, and what draws them.
FIGURES: Final[dict[str, Callable[[Comparison, str], tuple[Any, Draw]]]] = {"transfer": _transfer}
