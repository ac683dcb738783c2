"""What a forked process inherits and cannot use: things whose threads stayed in the parent."""

from __future__ import annotations

import ctypes
import os
import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Inherited(Generic[T]):
    """Living things, of which a forked process is told that they are its parent's.

    Args:
        note: is called in a forked process with each. It returns what must never end there, since its end would
            wait for threads that are not there, or None.
    """

    def __init__(self, note: Callable[[T], object]) -> None:
        self._living: weakref.WeakSet[T] = weakref.WeakSet()
        self._note = note
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)

    def add(self, thing: T) -> None:
        """Take one more; it is forgotten when nothing else holds it."""
        self._living.add(thing)

    def _after_fork(self) -> None:
        for thing in self._living:
            if (kept := self._note(thing)) is not None:
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept))
