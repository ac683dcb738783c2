"""Modules whose parameters are listed once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import nn
from typing_extensions import override


class Listed(nn.Module):
    """A module that returns its parameters from a list, until it is told that there are others.

    Stable-Baselines3 asks for them at every gradient step, and columns have hundreds.
    """

    _listed: list[nn.Parameter] | None = None

    @override
    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """Return the parameters, from the list."""
        if not recurse:
            return super().parameters(recurse)
        if self._listed is None:
            self._listed = list(super().parameters())
        return iter(self._listed)

    def list_only(self, wanted: Sequence[bool]) -> None:
        """List those of the parameters, in order, for which `wanted` is true, until they are listed anew."""
        self._listed = [p for p, is_wanted in zip(super().parameters(), wanted, strict=True) if is_wanted]

    def list_anew(self) -> None:
        """Say that there are other parameters than there were."""
        self._listed = None
