"""Numbers as text."""

from __future__ import annotations

DASH = "–"
"""What is undefined, or not measured yet."""


# Numbers as they are shown ---------------------------------------------------------------------------------


def number(value: float | None, *, signed: bool = False) -> str:
    """Two decimals, with a true minus sign and no negative zero; a plus sign where a change is meant."""
    if value is None:
        return DASH
    rounded = round(value, 2) + 0.0
    return f"{rounded:{'+' if signed and rounded else ''}.2f}".replace("-", "−")


def grouped(count: float) -> str:
    """A count in groups of three digits."""
    return f"{count:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def size(count: float) -> str:
    """A number of bytes, in the unit that fits."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def duration(seconds: float) -> str:
    """Seconds, in the units that fit."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
