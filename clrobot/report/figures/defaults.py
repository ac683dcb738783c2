"""Matplotlib without its user's settings, and its user's settings left as they are.

Matplotlib reads a file `matplotlibrc` when it is imported: from the current folder, from where the variable
MATPLOTLIBRC leads, or from the user's own folder. Such a file may ask for LaTeX in every label or for lines of
another width, and one that is a pipe is waited for without end. A figure of a run shall look the same everywhere.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

_log = logging.getLogger(__name__)


def import_matplotlib() -> None:
    """Import matplotlib with its own settings file; then take in the user's, for what the user draws.

    Nothing happens where it is imported already.
    """
    if "matplotlib" in sys.modules:
        return
    spec = importlib.util.find_spec("matplotlib")
    assert spec is not None
    assert spec.origin is not None
    own = Path(spec.origin).with_name("mpl-data") / "matplotlibrc"
    exists = os.path.exists
    hidden = {"matplotlibrc", os.path.join(_current_folder(), "matplotlibrc")}

    def exists_but_there(path: Any) -> bool:
        return path not in hidden and exists(path)

    # The current folder's file comes before the variable's, and no setting turns that off.
    with mock.patch.object(os.path, "exists", exists_but_there), mock.patch.dict(os.environ, MATPLOTLIBRC=str(own)):
        backend = os.environ.pop("MPLBACKEND", "")  # figures of runs need none
        import matplotlib as mpl
    _take_in_users_settings(mpl)
    if backend:
        try:
            mpl.rcParams["backend"] = backend
        except ValueError:
            _log.warning("MPLBACKEND=%.60r is no backend of matplotlib; unset it, figures of runs need none", backend)


def _current_folder() -> str:
    try:
        return os.getcwd()
    except OSError:  # it has been removed
        return "."


def _take_in_users_settings(mpl: Any) -> None:
    """Set matplotlib's global settings to what an import by the user would have made them."""
    logger = logging.getLogger("matplotlib")
    before, logger.disabled = logger.disabled, True  # what is wrong with the file is no matter of ours
    try:
        path = mpl.matplotlib_fname()
        if os.path.isfile(path):
            with warnings.catch_warnings(action="ignore"):
                mpl.rcParams.update(mpl.rc_params_from_file(path, use_default_template=False))
                mpl.rcParamsOrig = mpl.rcParams.copy()
    except Exception:
        return
    finally:
        logger.disabled = before


@cache
def _defaults() -> dict[str, Any]:
    import matplotlib as mpl

    return {name: value for name, value in dict.items(mpl.rcParamsDefault) if name != "backend"}


@contextmanager
def library_defaults(changes: dict[str, Any] | None = None) -> Iterator[None]:
    """Draw with matplotlib's own defaults inside the block (or the function that this decorates).

    Args:
        changes: settings in which the block differs from the defaults.
    """
    import matplotlib as mpl

    settings: dict[Any, Any] = _defaults() | (changes or {})
    with mpl.rc_context():
        with warnings.catch_warnings(action="ignore", category=mpl.MatplotlibDeprecationWarning):
            mpl.rcParams.update(settings)
        yield
