"""Places where a run can be made: nothing is there, and nothing that comes there meanwhile is replaced."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clrobot.errors import UserError
from clrobot.files import at_home, atomic, is_left_over


def check_free(path: Path) -> None:
    """Raise UserError unless a run can be made at `path`: nothing there, or an empty folder."""
    path = at_home(path)
    if path.is_dir():
        if not all(is_left_over(entry) for entry in path.iterdir()):
            raise already_holds(path)
    elif path.exists():
        raise UserError(f"{path} is a file; give a new folder with --out")


@contextmanager
def new_run(path: Path) -> Iterator[Path]:
    """Yield the name of a folder that becomes a run at `path`, as `atomic` does.

    Raises:
        UserError: meanwhile another process has put something there.
    """
    try:
        with atomic(path, replace=False) as folder:
            yield folder
    except FileExistsError as error:
        raise already_holds(at_home(path)) from error


def already_holds(path: Path) -> UserError:
    """Return what refuses to make a run where something is."""
    what = "a run" if (path / "config.yaml").exists() else "files"
    return UserError(f"{path} already holds {what}; give another --out, or move it elsewhere first")


def next_free(parent: Path, name: str) -> Path:
    """Return the first of `parent`/`name`-1, -2, … that does not exist."""
    n = 1
    while (parent / f"{name}-{n}").exists():
        n += 1
    return parent / f"{name}-{n}"
