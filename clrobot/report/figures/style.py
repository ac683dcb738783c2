"""Figures of a run and of several, as vector graphics: for a page, light or dark, and for print.

They are plain ``matplotlib.figure.Figure`` objects: no pyplot, no global state, no window. What is undefined is nan
or None, and is shown as "–".
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

Array = NDArray[np.float64]

INK = "#4d4d4d"
"""Text and axes; a page puts its own in its place."""

PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""One colour per task or method, in turn (Okabe and Ito's palette, less the black and the yellow): told apart by who
does not tell red from green."""

STROKES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (5, 1.5, 1.2, 1.5)), (0, (8, 2)), (0, (3, 3)))
"""One for each colour, so that no line is told by its colour alone."""

HEAT = LinearSegmentedColormap.from_list("success", ["#e6eff6", "#7fb2d6", "#0b5c94"])
"""Success 0 to 1: one hue, ordered by lightness."""

CHANGE = LinearSegmentedColormap.from_list("change", ["#1b7a5a", "#8fcbb4", "#f4f4f2", "#f0a878", "#b34700"])
"""Forgetting -1 (gained) to 1 (lost)."""

WIDE, NARROW = 7.2, 4.2
"""Width in inches on a desk (or on paper) and on a phone; each is drawn for its page, not scaled."""


def array_of(values: Sequence[float | None]) -> Array:
    """Return values (n,) with nan for what is undefined."""
    return np.array([np.nan if value is None else value for value in values], float)


# As files and in pages -------------------------------------------------------------------------------------

_VARIABLES = {INK: "--quiet", "#9fc8e2": "--series-1-faint"} | {
    colour: f"--series-{n}" for n, colour in enumerate(PALETTE, start=1)
}


def to_svg(fig: Figure, salt: str = "") -> str:
    """The figure as an ``<svg>`` element to stand inside a page: text stays text, nothing is loaded.

    Its colours are variables of the page's style (`--quiet`, `--series-1` …), so that it follows the page into the
    dark. The same figure gives the same bytes. Figures of different widths share no ids within a page, nor do
    figures of another `salt`.
    """
    buffer = io.StringIO()
    with _drawing(f"clrobot {fig.get_figwidth()}{salt}"):
        fig.savefig(buffer, format="svg", transparent=True, metadata=_NOBODY)
    text = buffer.getvalue()
    text = text[text.index("<svg") :].strip()
    # Comments hold no "--", and what is written has no "<": neither pattern can begin in a name.
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    # matplotlib's own ids of groups would be those of every figure of the page.
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    for colour, variable in _VARIABLES.items():
        text = re.sub(rf"(<[^<>]*(?:fill|stroke): ){colour}", rf"\1var({variable}, {colour})", text)
    return text


def save(fig: Figure, path: Path) -> None:
    """Write the figure for print, as its suffix says: ``.svg`` (vectors, text as text) or ``.png`` (300 per inch)."""
    with _drawing(f"clrobot {fig.get_figwidth()}"):
        svg = path.suffix == ".svg"
        fig.savefig(path, dpi=300, facecolor="white", metadata=_NOBODY if svg else {"Software": None})


_NOBODY: dict[str, Any] = dict.fromkeys(("Creator", "Date", "Format", "Type"))


@contextmanager
def _drawing(salt: str) -> Iterator[None]:
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}), warnings.catch_warnings():
        # In a vector graphic the reader's own font draws the text, so it does not matter what matplotlib's lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def make_axes(figure: Figure, rows: int, columns: int, *, share: bool = True) -> list[Axes]:
    """Transparent axes in the quiet ink, row by row."""
    grid = figure.subplots(rows, columns, sharex=share and rows > 1, squeeze=False)
    for axes in grid.flat:
        axes.patch.set_alpha(0)
        axes.tick_params(colors=INK, labelsize=9)
        axes.spines[:].set(color=INK, linewidth=0.7)
    return list(grid.flat)


def stage_rows_of(slot_names: Sequence[str]) -> list[str]:
    """Return the name of each stage's row; stages count from 1."""
    return [f"{stage} · {shortened(name)}" for stage, name in enumerate(slot_names, start=1)]


def shortened(name: str, room: int = 28) -> str:
    """A name that leaves room for the figure."""
    return name if len(name) <= room else f"{name[: room - 1]}…"
