"""What is shown in a terminal, as it is: no name is markup, the code of a picture, or a command to the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text
from typing_extensions import override

from clrobot.errors import printable


class LiteralConsole(Console):
    """A terminal, or what stands in its place, that shows every text as it is.

    Runs, folders, curricula and tasks have names that a user, or a stranger, chose: `ewc[lr=0.1]`, `:fire:`. Only
    rich's `Text` and the argument `style` give form to anything; a character that a terminal would obey is a `?`.

    Args:
        file: where it writes; None: the standard output.
        how: as rich's Console takes it.
    """

    def __init__(self, file: IO[str] | None = None, **how: Any) -> None:
        super().__init__(file=file, markup=False, emoji=False, highlight=False, **how)

    @override
    def print(self, *objects: Any, **how: Any) -> None:
        """Print as rich does; a string is one line, whatever the names in it hold."""
        super().print(*(" ".join(o.split("\n")) if isinstance(o, str) else o for o in objects), **how)

    @override
    def render_str(self, text: str, **how: Any) -> Text:
        """Return a string as rich's text; a character that commands is shown as `?`, which rich would leave out."""
        return super().render_str(printable(text), **how)

    @override
    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Yield rich's segments, with the text of each made printable: rich passes ESC on as it comes."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)
