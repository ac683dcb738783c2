"""Text and bars drawn on pictures."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from clrobot.errors import cut

Frame = NDArray[np.uint8]  # (height, width, 3), RGB
Colour = tuple[int, int, int]
BACKGROUND: Final[Colour] = (20, 24, 32)
TEXT: Final[Colour] = (244, 246, 249)
QUIET: Final[Colour] = (163, 172, 186)
TRACK: Final[Colour] = (52, 60, 74)
FILL: Final[Colour] = (96, 156, 240)
SOLVED: Final[Colour] = (46, 160, 92)
PAPER: Final[Colour] = (9, 11, 15)  # between the tiles of a mosaic

DESIGN_WIDTH: Final = 480  # lengths below are in pixels of a film this wide, and grow with it
GAUGE: Final = (84, 10)  # width and height
_LONGEST: Final = 200  # characters of a line: more than any picture shows


@dataclass(frozen=True)
class CaptionText:
    """A line of text as it is written: what cannot be printed is a `?`."""

    content: str
    size: float
    bold: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "content", cut(self.content, _LONGEST))


class Pen:
    """Draws in the design's lengths, several times too large, so that shrinking smooths every edge."""

    OVERSIZE: Final = 4

    def __init__(self, size: tuple[int, int], scale: float, colour: Colour = BACKGROUND) -> None:
        self._canvas = Image.new("RGB", (size[0] * self.OVERSIZE, size[1] * self.OVERSIZE), colour)
        self._draw = ImageDraw.Draw(self._canvas)
        self._scale = scale * self.OVERSIZE

    def picture(self, size: tuple[int, int]) -> Frame:
        """Return what has been drawn, at its final size (width, height)."""
        picture: Frame = np.asarray(self._canvas.resize(size, Image.Resampling.LANCZOS))
        return picture

    def width(self, text: CaptionText) -> float:
        """Return how wide the text is, in pixels of the design."""
        return self._font(text).getlength(text.content) / self._scale

    def write(self, x: float, baseline: float, text: CaptionText, colour: Colour) -> None:
        """Write the text, its left end at `x` and its baseline at `baseline`."""
        place = (x * self._scale, baseline * self._scale)
        self._draw.text(place, text.content, fill=colour, font=self._font(text), anchor="ls")

    def fitted(self, text: CaptionText, room: float, smallest: float) -> CaptionText:
        """Return `text` no wider than `room`: smaller down to `smallest`, then with its end left out."""
        size = max(smallest, min(text.size, text.size * room / max(self.width(text), 1.0)))
        content, fitted = text.content, replace(text, size=size)
        while content and self.width(fitted) > room + 0.5:
            content = content[:-1]
            fitted = replace(fitted, content=content.rstrip("-_ ·") + "…")
        return fitted

    def gauge(self, x: float, y: float, share: float, width: float = GAUGE[0], height: float = GAUGE[1]) -> None:
        """Draw a bar that is filled to `share`."""
        self._rounded(x, y, width, height, TRACK)
        if share > 0:
            self._rounded(x, y, width * min(share, 1.0), height, FILL)

    def badge(self, right: float, baseline: float, text: CaptionText) -> None:
        """Draw a filled pill that ends at `right`: a tick, then the text."""
        k = text.size / 18
        tick, gap, height = 14 * k, 8 * k, 30 * k
        width = self.width(text) + tick + gap + height
        x, y = right - width, baseline - 7 * k - height / 2
        self._rounded(x, y, width, height, SOLVED)
        start = x + height / 2
        corners = [(start, y + 15.5 * k), (start + 5 * k, y + 20.5 * k), (start + tick, y + 9.5 * k)]
        places = [(a * self._scale, b * self._scale) for a, b in corners]
        self._draw.line(places, fill=TEXT, width=round(3 * k * self._scale), joint="curve")
        self.write(start + tick + gap, y + height / 2 + 6.5 * k, text, TEXT)

    def _rounded(self, x: float, y: float, width: float, height: float, colour: Colour) -> None:
        box = [edge * self._scale for edge in (x, y, x + width, y + height)]
        self._draw.rounded_rectangle(box, radius=min(width, height) / 2 * self._scale, fill=colour)

    def _font(self, text: CaptionText) -> ImageFont.FreeTypeFont:
        return font(text.bold, max(1, round(text.size * self._scale)))


@lru_cache(maxsize=64)
def font(bold: bool, size: int) -> ImageFont.FreeTypeFont:
    """Return matplotlib's own DejaVu Sans, the one font that is everywhere clrobot is."""
    found = importlib.util.find_spec("matplotlib")  # not imported: it would read its user's settings
    assert found is not None
    assert found.origin is not None
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / name, size)
