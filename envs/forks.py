"""What a forked process inherits and cannot use: things whose threads stayed in the parent."""

from __future__ import annotations

import ctypes
import os
import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Inherited(Generic[T]):
    """Objects whose threads stay in the parent when the process is forked: the child is to know that.

    Args:
        after_fork: is called in a forked process with each of them. It returns what must never be freed there, since
            freeing it would wait for threads that are not there, or None.
    """

    def __init__(self, after_fork: Callable[[T], object]) -> None:
        self._objects: weakref.WeakSet[T] = weakref.WeakSet()
        self._after_fork = after_fork
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._in_child)

    def add(self, new: T) -> None:
        """Add one; it is forgotten when nothing else refers to it."""
        self._objects.add(new)

    def _in_child(self) -> None:
        for inherited in self._objects:
            if (kept := self._after_fork(inherited)) is not None:
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept))
