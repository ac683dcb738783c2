"""Modules of the user's own, given as `--import MODULE`, which register tasks, methods and curricula.

They are words of the command line and nothing else: no file of a run names one, and no variable of the environment.
What this process starts gets the same words.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from clrobot.errors import UserError, cut, explain, shown
from clrobot.registry import GIVEN, coming_from

_FLAG = "--import"
_given: list[str] = []  # to this process


def import_words() -> list[str]:
    """Return the words with which another `clrobot` imports what this process was given."""
    return [word for module in _given for word in (_FLAG, module)]


def command(verb: str, run: Path) -> str:
    """Return the command that a user types to go on with a run, in the words of a shell.

    It imports what this process was given: without it the run's own task may be missing.
    """
    return shlex.join(["clrobot", verb, str(run), *import_words()])


def import_given(words: Sequence[str]) -> list[str]:
    """Import every module that `--import` names in these words, in their order; return the other words.

    Raises:
        UserError: one has no value, cannot be found or fails.
    """
    rest, modules = [], []
    following = iter(words)
    for word in following:
        if word == _FLAG:
            modules.append(next(following, ""))
        elif word.startswith(f"{_FLAG}="):
            modules.append(word.removeprefix(f"{_FLAG}="))
        else:
            rest.append(word)
    _given[:] = modules
    for module in modules:
        _import(module)
    return rest


def _import(given: str) -> None:
    from pydantic import ValidationError

    is_file = given.endswith(".py") or os.sep in given
    if not given or (given.startswith("-") and not is_file):
        raise UserError(f"{_FLAG} {shown(given)}; expected a module's name, or a file as ./my_task.py")
    if is_file and os.sep not in given:
        raise UserError(f"{_FLAG} {cut(given)} is no module's name; for the file in this folder give ./{cut(given)}")
    try:
        with coming_from(given):
            _import_file(given) if is_file else importlib.import_module(given)
    except ValidationError as error:  # of a curriculum
        raise UserError(f"{_FLAG} {cut(given)}: {explain(error)}") from error
    except UserError as error:
        raise UserError(f"{_FLAG} {cut(given)}: {error}") from error
    except ModuleNotFoundError as error:
        if error.name is None or not f"{given}.".startswith(f"{error.name}."):
            raise UserError(f"{_FLAG} {cut(given)}: {error}; install what it imports") from error
        raise UserError(
            f"{_FLAG} {cut(given)}: there is no such module; install it, or give a file as ./my_task.py"
        ) from error
    except (Exception, SystemExit) as error:
        raise UserError(f"{_FLAG} {cut(given)} fails ({cut(f'{type(error).__name__}: {error}')}); mend it") from error


def _import_file(given: str) -> None:
    """Execute a file as a module, once in this process."""
    place = Path(given).resolve()
    if not place.is_file():
        raise UserError("there is no such file; give the path of a Python file")
    # A name that no other module has: a file may be called random.py.
    name = f"{place.stem}_{hashlib.sha256(os.fsencode(place)).hexdigest()[:8]}"
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, place)
    if spec is None or spec.loader is None:
        raise UserError("it is no Python file; its name must end with .py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    setattr(module, GIVEN, given)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
