"""Numbers as text: every table, page, figure and film writes them through these."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any, Final, Literal

DASH: Final = "–"  # what is undefined, or not measured yet

Kind = Literal["rate", "steps", "seconds", "count", "bytes"]


def number(value: float | None, *, signed: bool = False, decimals: int = 2) -> str:
    """Return a number with a true minus sign and no negative zero.

    Args:
        value: the number; None is a dash, and so is nan.
        signed: whether a positive one has a plus sign, as a change has.
        decimals: how many.
    """
    if value is None or math.isnan(value):
        return DASH
    rounded = round(value, decimals) + 0.0
    return f"{rounded:{'+' if signed and rounded else ''}.{decimals}f}".replace("-", "−")


def grouped(count: float | None) -> str:
    """Return a count in groups of three digits."""
    return DASH if count is None else f"{count:,.0f}"


def percent(share: float) -> str:
    """Return a share in [0, 1] as whole percents."""
    return f"{100 * share:.0f} %"


def size(count: float) -> str:
    """Return a number of bytes in the unit that fits."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def duration(seconds: float) -> str:
    """Return a time in the units that fit."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def seconds_alone(seconds: float) -> str:
    """Return a time as seconds without their unit, for a column whose heading says it."""
    return f"{seconds:,.1f}" if seconds < 10 else f"{seconds:,.0f}"


def steps_alone(steps: float) -> str:
    """Return a mean number of control steps."""
    return number(steps, decimals=1)


_WRITE: Final[dict[Kind, Callable[[float], str]]] = {
    "rate": number,
    "steps": steps_alone,
    "seconds": seconds_alone,
    "count": grouped,
    "bytes": size,
}


def json_text(content: Any) -> str:
    """Return content as JSON of printable ASCII: it passes through every terminal, and no name in it commands one."""
    return json.dumps(content, indent=2, allow_nan=False).replace("\x7f", "\\u007f")


def number_of_kind(value: float | None, kind: Kind, *, signed: bool = False) -> str:
    """Return a metric's value as a table shows it; None is a dash.

    Args:
        value: the number.
        kind: how it is written.
        signed: whether a positive one has a plus sign, as a difference has.
    """
    if value is None:
        return DASH
    if not signed:
        return _WRITE[kind](value)
    text = _WRITE[kind](abs(value))
    nothing = text == _WRITE[kind](0.0)
    return text if nothing else f"{'+' if value > 0 else '−'}{text}"
