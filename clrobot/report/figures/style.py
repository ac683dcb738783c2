"""What figures share: colours, axes, and how they become files and parts of a page.

They are plain `matplotlib.figure.Figure` objects: no pyplot, no global state, no window. What is undefined is nan
or None, and is shown as a dash.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from clrobot.report.figures.defaults import library_defaults

# Draws a figure for a width in inches.
Draw = Callable[[float], Figure]

# Text and axes; a page puts its own colour in its place.
INK: Final = "#4d4d4d"

# One colour per task or method, in turn (Okabe and Ito's palette, less the black and the yellow): who does not
# see red from green sees them apart.
PALETTE: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
PALE: Final = "#9fc8e2"  # the first of them, for what counts less

# One for each colour, so that no line is known by its colour alone.
STROKES: Final[tuple[Any, ...]] = (
    "-",
    (0, (5, 1.5)),
    (0, (1.5, 1.2)),
    (0, (5, 1.5, 1.2, 1.5)),
    (0, (8, 2)),
    (0, (3, 3)),
)


def line_style(n: int) -> tuple[str, Any]:
    """Return colour and stroke of line n (from 0) of several: each pair comes once in 36."""
    return PALETTE[n % len(PALETTE)], STROKES[(n + n // len(PALETTE)) % len(STROKES)]


# Success 0 to 1: one hue, ordered by lightness.
HEAT: Final = LinearSegmentedColormap.from_list("success", ["#e6eff6", "#7fb2d6", "#0b5c94"])

# Forgetting -1 (gained) to 1 (lost).
CHANGE: Final = LinearSegmentedColormap.from_list("change", ["#1b7a5a", "#8fcbb4", "#f4f4f2", "#f0a878", "#b34700"])

# Width in inches on a desk (or on paper) and on a phone; each is drawn for its page, not scaled.
WIDE, NARROW = 7.2, 4.2

# The page's variable for each colour.
_VARIABLES: Final = {INK: "--quiet", PALE: "--series-1-faint"} | {
    colour: f"--series-{n}" for n, colour in enumerate(PALETTE, start=1)
}

_NOBODY: Final[dict[str, Any]] = dict.fromkeys(("Creator", "Date", "Format", "Type"))


def to_svg(fig: Figure, salt: str = "") -> str:
    """Return the figure as an `<svg>` element to stand inside a page: text stays text, nothing is loaded.

    Its colours are variables of the page's style (`--quiet`, `--series-1` …), so that it follows the page into the
    dark. The same figure gives the same bytes. Figures of different widths share no ids within a page, nor do
    figures of another `salt`.
    """
    buffer = io.StringIO()
    with _writing(f"clrobot {fig.get_figwidth()}{salt}"):
        fig.savefig(buffer, format="svg", transparent=True, metadata=_NOBODY)
    text = buffer.getvalue()
    text = text[text.index("<svg") :].strip()
    # Comments hold no "--", and what is written has no "<": neither pattern can begin in a name.
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    # matplotlib's own ids of groups would be those of every figure of the page.
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    return re.sub(r"<[^<>]*>", lambda tag: _PAINTED.sub(_as_variable, tag[0]), text)


_PAINTED: Final = re.compile(rf"(fill|stroke): ({'|'.join(_VARIABLES)})")


def _as_variable(found: re.Match[str]) -> str:
    return f"{found[1]}: var({_VARIABLES[found[2]]}, {found[2]})"


def save(fig: Figure, path: Path) -> None:
    """Write the figure for print, as its suffix says: `.svg` (vectors, text as text) or `.png` (300 per inch)."""
    if path.suffix == ".svg":
        path.write_bytes(svg_bytes(fig))
        return
    with _writing(f"clrobot {fig.get_figwidth()}"):
        fig.savefig(path, dpi=300, facecolor="white", metadata={"Software": None})


def svg_bytes(fig: Figure) -> bytes:
    """Return the figure as a file of its own: vectors, text as text, on white."""
    buffer = io.BytesIO()
    with _writing(f"clrobot {fig.get_figwidth()}"):
        fig.savefig(buffer, format="svg", facecolor="white", metadata=_NOBODY)
    return buffer.getvalue()


@contextmanager
def _writing(salt: str) -> Iterator[None]:
    with library_defaults({"svg.fonttype": "none", "svg.hashsalt": salt}), warnings.catch_warnings():
        # In a vector graphic the reader's own font draws the text, so it does not matter what matplotlib's lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def quiet_axes(figure: Figure, rows: int, columns: int, *, share: bool = True) -> list[Axes]:
    """Return transparent axes in the quiet ink, row by row.

    Args:
        figure: in which they stand.
        rows: how many.
        columns: how many.
        share: whether those below each other have one horizontal axis.
    """
    grid = figure.subplots(rows, columns, sharex=share and rows > 1, squeeze=False)
    for axes in grid.flat:
        axes.patch.set_alpha(0)
        axes.tick_params(colors=INK, labelsize=9)
        axes.spines[:].set(color=INK, linewidth=0.7)
    return list(grid.flat)


def line_legend(figure: Figure, lines: Sequence[Any], labels: Sequence[str], width: float) -> None:
    """Name lines above the figure's axes.

    Args:
        figure: of which they are.
        lines: one for each label.
        labels: of any characters.
        width: of the figure, in inches.
    """
    legend = figure.legend(
        lines,
        [str(n) for n in range(len(lines))],
        loc="outside upper center",
        ncols=max(1, min(len(lines), int(width / 1.8))),
        frameon=False,
        fontsize=9,
        labelcolor=INK,
        handlelength=3,
    )
    # Written afterwards: a name may hold signs of mathematics, or begin as what a legend leaves out.
    for text, label in zip(legend.get_texts(), shorten_all(labels), strict=True):
        text.set(text=label, parse_math=False)


def shorten_all(names: Sequence[str], room: int = 28) -> list[str]:
    """Return the names of one figure, each of at most `room` characters, which leaves room for it.

    They often begin alike (a world's tasks, a method's settings): more of the end stays. Of names that would be cut
    alike all the same, that stays where they part.
    """
    cuts = [_cut(name, room) for name in names]
    alike = {cut: {name for name, theirs in zip(names, cuts, strict=True) if theirs == cut} for cut in cuts}
    return [
        _from_where_they_part(name, alike[cut], room) if len(alike[cut]) > 1 else cut
        for name, cut in zip(names, cuts, strict=True)
    ]


def _cut(name: str, room: int) -> str:
    if len(name) <= room:
        return name
    head = (room - 1) // 3
    return f"{name[:head]}…{name[head + 1 - room :]}"


def _from_where_they_part(name: str, alike: Iterable[str], room: int) -> str:
    parted = next(i for i, letters in enumerate(zip_longest(*alike)) if len(set(letters)) > 1)
    head = (room - 1) // 3
    end = parted + room - head - 2
    return f"{name[:head]}…{name[parted:end]}{'…' if end < len(name) else ''}"
