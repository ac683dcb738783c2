"""Nested settings as one flat table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def flatten(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value that is no mapping itself, by its dotted name: `ppo.gamma`.

    Args:
        settings: names, and values or further mappings.
        prefix: what every name begins with.
    """
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
