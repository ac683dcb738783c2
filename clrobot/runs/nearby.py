"""The runs near a path that is none: a sentence that names them, in place of one that only says no."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Final

from clrobot.errors import cut

_NAMED: Final = 4  # runs in a sentence


def runs_inside(folder: Path) -> list[Path]:
    """Return the folders directly inside `folder` that hold a run, by name; none where it cannot be read."""
    try:
        return sorted(entry for entry in folder.iterdir() if (entry / "config.yaml").is_file())
    except OSError:
        return []


def why_no_run(path: Path) -> str:
    """Return the sentence on a path that holds no run: what is there, which runs are near, and what to give."""
    if not path.is_dir() and not _is_part(path):
        near = [str(run) for run in runs_inside(path.parent)]
        close = difflib.get_close_matches(str(path)[:200], near, n=1, cutoff=0.8)
        expected = f"did you mean {cut(close[0])}?" if close else "give a folder that `clrobot train` made"
        return f"no run folder at {path}; {expected}"
    if runs := runs_inside(path):
        several = "a run" if len(runs) == 1 else f"{len(runs)} runs"
        return f"{path} holds {several} and is none itself: {_names(runs)}; give one run, such as {cut(str(runs[0]))}"
    if _is_part(path):
        return f"{path} is a part of a run; give the run's own folder: {cut(str(path.parent))}"
    return f"{path} holds no run (config.yaml is missing); give a folder that `clrobot train` made"


def _is_part(path: Path) -> bool:
    """Return whether a path is something directly inside a run, such as its report or a stage."""
    return path.exists() and (path.parent / "config.yaml").is_file()


def _names(runs: list[Path]) -> str:
    named = [cut(run.name, 40) for run in runs[:_NAMED]]
    if len(runs) > _NAMED:
        return f"{', '.join(named)} and {len(runs) - _NAMED} more"
    return " and ".join(filter(None, (", ".join(named[:-1]), named[-1])))
