"""Figures of clrobot's reports on a page, whose colours are the page's."""

from __future__ import annotations

from typing import Final

from clrobot.report.figures.style import NARROW, Draw, to_svg

WIDTH: Final = 6.4  # inches, beside the navigation


def figure(draw: Draw, label: str) -> str:
    """Return a figure as HTML, drawn for a desktop and once more for a phone; the style sheet shows one of them.

    Args:
        draw: draws it, in a width in inches.
        label: what it shows, for those who do not see it; no two on a page have the same.
    """
    drawn = {name: to_svg(draw(width), f"{label} {name}") for name, width in (("wide", WIDTH), ("narrow", NARROW))}
    return "\n\n".join(
        f'<div class="figure {name}" role="img" aria-label="{label}">\n{svg}\n</div>' for name, svg in drawn.items()
    )
