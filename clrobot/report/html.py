"""What pages are made of: the template, figures at two widths, and files that a page holds."""

from __future__ import annotations

import base64
import csv
import functools
import hashlib
import importlib.resources
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from markupsafe import Markup

from clrobot.errors import UserError
from clrobot.files import atomic
from clrobot.report.figures.costs import SECONDS
from clrobot.report.figures.style import NARROW, WIDE, Draw, to_svg
from clrobot.report.films import Films
from clrobot.results.catalogue import HEADLINES
from clrobot.results.cells import plain_cell
from clrobot.results.numbers import duration, grouped, number, number_of_kind, percent, size
from clrobot.results.statistics import MANY


class Drawn(NamedTuple):
    """A figure for a desk and for a phone."""

    wide: Markup
    narrow: Markup


class Download(NamedTuple):
    """A file that the page holds."""

    name: str
    address: str


def drawn(draw: Draw, salt: str) -> Drawn:
    """Return a figure at both widths; `salt` keeps its ids apart from other figures'."""
    # matplotlib escapes the names on its own.
    return Drawn(*(Markup(to_svg(draw(width), salt)) for width in (WIDE, NARROW)))


def csv_link(rows: Sequence[Sequence[Any]]) -> str:
    """Return rows as the address of a file of comma-separated values."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([[plain_cell(value) for value in row] for row in rows])
    return data_link("text/csv", text.getvalue())


def data_link(kind: str, text: str) -> str:
    """Return text as the address of a file of this media type."""
    return f"data:{kind};charset=utf-8;base64,{base64.b64encode(_encode(text)).decode()}"


def _encode(text: str) -> bytes:
    """Return UTF-8; what a folder's name has that is none is written as its escape."""
    return text.encode("utf-8", "backslashreplace")


def write_page(path: Path, films: Films, **content: Any) -> Path:
    """Render the page and write it in one step.

    Args:
        path: the page's file.
        films: those that are part of it.
        content: what the template shows.

    Returns:
        The path.

    Raises:
        UserError: the page cannot be written.
    """
    script = _read("script.js")
    return write_html(
        path,
        "page.html.jinja",
        films=films.embedded,
        script=Markup(script),
        # No other script than this one may run, whatever a run's files hold.
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        **content,
    )


def write_html(path: Path, template: str, **content: Any) -> Path:
    """Render a template with the pages' style and write it in one step; return the path.

    Raises:
        UserError: the page cannot be written.
    """
    html = _environment().get_template(template).render(style=Markup(_read("style.css")), **content)
    try:
        with atomic(path) as unfinished:
            unfinished.write_bytes(_encode(html))
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); make room for it and try again") from error
    return path


def _read(name: str) -> str:
    return importlib.resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_read),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"SECONDS": SECONDS, "HEADLINES": HEADLINES, "MANY": MANY}
    environment.filters |= {
        "decimal": number,
        "of_kind": number_of_kind,
        "percent": percent,
        "bytes": size,
        "duration": duration,
        "grouped": grouped,
    }
    return environment
