"""What a method remembers, as the files of a checkpoint: rows that an earlier stage kept are on the disk once.

Some memories only grow, and every stage's checkpoint holds all of it: written out each time, ten stages cost as much
as fifty-five memories of one skill. So large tensors are cut where an earlier checkpoint ended: the rows of each
stage are a file of their own, and the next stage's folder gets a hard link to it, which is no second copy and needs
no first one. Each folder can still be copied, checked and loaded alone. A memory whose rows change, as a reservoir's
do, is written whole.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable
from fnmatch import filter as matching
from pathlib import Path
from typing import Final

import torch as th
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from clrobot.files import read_plain, usual_mode
from clrobot.manifests import MANIFEST

STATE: Final = "method.safetensors"
ROWS: Final = "method-rows-[0-9][0-9][0-9].safetensors"
_LARGE: Final = 2**16  # bytes: a smaller tensor is not worth a file
_MOST: Final = 50  # files of rows in a folder; all rows are then written into one again

State = dict[str, th.Tensor]


def save_state(state: State, folder: Path, before: Path | None = None) -> None:
    """Write a method's state into a checkpoint's folder.

    Args:
        state: tensors by name.
        folder: which holds none yet.
        before: the folder of an earlier stage's checkpoint, with which rows may be shared; it need not be there.
    """
    done = dict.fromkeys(_large(state), 0)  # rows of each large tensor that files hold already
    files, mode = 0, usual_mode(folder)
    for old in [] if before is None else _earlier(before):
        rows = _rows_of(old)
        if not rows or not all(_goes_on(state, name, done.get(name), part) for name, part in rows.items()):
            break
        if stat.S_IMODE(old.stat().st_mode) == mode:
            _share(old, folder / _name(files))
        else:  # one file has one mode, which a new one would not have here
            shutil.copyfile(old, folder / _name(files))
        files += 1
        done |= {name: done[name] + len(part) for name, part in rows.items()}
    new = {name: state[name][first:].contiguous() for name, first in done.items() if first < len(state[name])}
    if new:
        save_file(new, folder / _name(files))
    save_file({name: tensor for name, tensor in state.items() if name not in done}, folder / STATE)


def load_state(folder: Path) -> State:
    """Return what `save_state` wrote.

    Raises:
        ValueError, SafetensorError, RuntimeError: the files do not belong together.
    """
    state: State = load_file(folder / STATE)
    parts: dict[str, list[th.Tensor]] = {}
    for file in row_files(folder):
        for name, part in load_file(file).items():
            parts.setdefault(name, []).append(part)
    if twice := sorted(parts.keys() & state.keys()):
        raise ValueError(f"{twice[0]} is there as a whole and in rows")
    for name, found in parts.items():
        if len({(part.dtype, part.shape[1:]) for part in found}) != 1:
            raise ValueError(f"rows of {name} that differ in their size or kind")
    return state | {name: th.cat(found) for name, found in parts.items()}


def row_files(folder: Path) -> list[Path]:
    """Return the files of rows that a checkpoint's manifest lists, the oldest first.

    Raises:
        OSError, ValueError: there is no manifest that can be read.
    """
    return [folder / name for name in sorted(matching(json.loads(read_plain(folder / MANIFEST)), ROWS))]


def too_large(folder: Path, most: int) -> str | None:
    """Return what is wrong where a checkpoint's rows have more bytes together than its method's state can have."""
    size = sum(file.stat().st_size for file in row_files(folder))
    return None if size <= most else f"{folder} is damaged (its rows have {size:,} bytes, and {most:,} is the most)"


def copies() -> Callable[[str, str], str]:
    """Return a `copy_function` for one `shutil.copytree`: what has several names is copied once, and linked."""
    copied: dict[tuple[int, int], Path] = {}

    def copy(source: str, to: str) -> str:
        status = os.lstat(source)
        if status.st_nlink == 1 or not stat.S_ISREG(status.st_mode):
            return str(shutil.copy2(source, to))
        first = copied.setdefault((status.st_dev, status.st_ino), Path(to))
        if first == Path(to):
            return str(shutil.copy2(source, to))
        _share(first, Path(to))
        return to

    return copy


def _earlier(folder: Path) -> list[Path]:
    """Return the files that a later checkpoint may share."""
    try:
        files = row_files(folder)
    except (OSError, ValueError, TypeError, RecursionError):
        return []
    return files if len(files) < _MOST else []


def _name(number: int) -> str:
    return f"method-rows-{number + 1:03d}.safetensors"


def _large(state: State) -> list[str]:
    return [
        name for name, tensor in state.items() if tensor.ndim and tensor.numel() * tensor.element_size() >= _LARGE
    ]


def _rows_of(file: Path) -> State:
    """Return a file's tensors; none where it is no plain file, or damaged: then it is not shared."""
    try:
        found: State = {} if file.is_symlink() else load_file(file)
    except (OSError, SafetensorError):
        return {}
    return found


def _goes_on(state: State, name: str, first: int | None, part: th.Tensor) -> bool:
    """Tell whether the rows of a large tensor go on, from `first` on, as an old file has them, bit by bit."""
    if first is None or part.ndim == 0:
        return False
    rows = state[name][first : first + len(part)].cpu()
    return rows.dtype == part.dtype and rows.shape == part.shape and _same_bits(rows, part)


def _same_bits(a: th.Tensor, b: th.Tensor) -> bool:
    return th.equal(a.contiguous().view(th.uint8), b.contiguous().view(th.uint8))


def _share(old: Path, new: Path) -> None:
    try:
        os.link(old, new)
    except OSError:  # a disk without hard links
        shutil.copyfile(old, new)
