"""A module that is imported when something of it is first used."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any


class Deferred(ModuleType):
    """Stands for the module of its name, and imports that when one of its attributes is first asked for.

    What is asked for is kept, so that Python finds it from then on as fast as in the module itself.
    """

    def __getattr__(self, name: str) -> Any:
        value = getattr(importlib.import_module(self.__name__), name)
        setattr(self, name, value)
        return value
