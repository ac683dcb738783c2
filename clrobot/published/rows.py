"""Tables of data as comma-separated values: a model for each row, one sentence for what is wrong, stable bytes.

A file's first line names its columns; that is its format. Rows are sorted, so that the same rows are the same bytes.
"""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from clrobot.errors import UserError, cut, explain, shown
from clrobot.experiment.dotted import flatten
from clrobot.files import at_home, atomic, read_plain

FOLDER: Final = Path(__file__).resolve().parent
_MOST_BYTES: Final = 64 * 2**20
_ADDING: Final = ".clrobot-adding.lock"  # beside a file that somebody adds rows to
_DIGITS: Final = 6  # significant ones of what is measured; counts have all of theirs


class Row(BaseModel):
    """A line of a table of data."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @property
    def order(self) -> tuple[Any, ...]:
        """Where the row stands in its file."""
        raise NotImplementedError


R = TypeVar("R", bound=Row)


def _nothing(text: Any) -> Any:
    return None if text == "" else text


Maybe = BeforeValidator(_nothing)  # an empty cell is None
MaybeFloat = Annotated[float | None, Maybe]
MaybeInt = Annotated[int | None, Maybe]


def read_rows(path: Path, kind: type[R], what: str) -> list[R]:
    """Return the rows of a file, in its order.

    Args:
        path: the file.
        kind: of its rows.
        what: it is, as a sentence names it: "published results".

    Raises:
        UserError: it cannot be read, its columns are others, or a row is damaged.
    """
    try:
        text = read_plain(path, _MOST_BYTES).decode("utf-8")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; expected a file of {what}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8 text; expected a file of {what}") from None
    columns = list(kind.model_fields)
    rows: list[R] = []
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        if (first := next(reader, [])) != columns:
            raise UserError(_other_format(path, first, columns, what))
        for values in reader:
            if len(values) != len(columns):
                raise ValueError(f"{len(values)} cells; expected {len(columns)}")
            rows.append(kind.model_validate(dict(zip(columns, values, strict=True))))
    except (csv.Error, ValueError) as error:
        reason = explain(error) if isinstance(error, ValidationError) else cut(str(error))
        raise UserError(f"{path}, line {reader.line_num} is damaged: {reason}; restore the file") from None
    return rows


def _other_format(path: Path, first: list[str], columns: list[str], what: str) -> str:
    lacking = [name for name in columns if name not in first]
    unknown = [name for name in first if name not in columns]
    how = f"it lacks {shown(lacking[0])}" if lacking else f"it has {shown(unknown[0])}" if unknown else "their order"
    return f"{path} has other columns than {what} of this version ({how}); give a file that this version wrote"


def rows_text(rows: Iterable[R], kind: type[R]) -> str:
    """Return the file's text: the columns' names, then the rows in their order."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(kind.model_fields)
    for row in sorted(rows, key=lambda row: row.order):
        writer.writerow([cell(getattr(row, name)) for name in kind.model_fields])
    return file.getvalue()


def cell(value: Any) -> str:
    """Return a value as it stands in a file: whole numbers whole, others with six significant digits."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else f"{value:.{_DIGITS}g}"
    return str(value)


def add_rows(
    path: Path,
    rows: Iterable[R],
    kind: type[R],
    what: str,
    *,
    drop: Callable[[R], bool] = lambda _: False,
    stays: Callable[[R, R], bool] = lambda _, __: False,
) -> None:
    """Put rows into a file beside those that it has; one with the place of an older one replaces it.

    Several processes may do so at a time.

    Args:
        path: the file; made where there is none.
        rows: new ones.
        kind: of its rows.
        what: it is, as a sentence names it.
        drop: whether a row that the file has goes, though no new one has its place.
        stays: whether a row that the file has stays in the place of a new one.

    Raises:
        UserError: the file holds something else.
    """
    path = at_home(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with alone(path.parent):
        there = read_rows(path, kind, what) if path.exists() else []
        if len({row.order for row in there}) < len(there):
            raise UserError(f"{what} {cut(str(path))} has a row twice; delete one, and write the other again")
        kept = (row for row in there if not drop(row))
        whole = {row.order: row for row in kept}
        whole |= {row.order: row for row in rows if row.order not in whole or not stays(whole[row.order], row)}
        with atomic(path) as file:
            file.write_text(rows_text(whole.values(), kind), encoding="utf-8")


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Let no other process that asks so write into a folder meanwhile, where the disk has locks.

    The lock is a file's, which is gone afterwards: of a folder NFS locks nothing for other machines.
    """
    file = _own_lock(folder / _ADDING)
    try:
        yield
    finally:
        with suppress(OSError):
            os.unlink(folder / _ADDING)
        os.close(file)


def _own_lock(path: Path) -> int:
    """Return an open file at `path` that this process has locked."""
    while True:
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except PermissionError:
            if not os.access(path.parent, os.W_OK):
                raise
            try:
                file = os.open(path, os.O_RDONLY)  # another user's, who adds rows now or was killed while doing so
            except FileNotFoundError:
                continue
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file), os.stat(path)):
                return file
        os.close(file)  # while this one waited the other took it away


# Settings as one cell --------------------------------------------------------------------------------------


def settings_text(settings: Mapping[str, Any]) -> str:
    """Return settings, nested or not, as one cell: `network.widths=[64,64] ppo.gamma=0.95`, sorted."""
    return " ".join(f"{name}={_plain(value)}" for name, value in sorted(flatten(settings)))


def _plain(value: Any) -> str:
    return json.dumps(value, separators=(",", ":")).replace(" ", "\\u0020")


def settings_of(text: str) -> dict[str, Any]:
    """Return the settings of a cell by their dotted names.

    Raises:
        ValueError: it is no such text.
    """
    found = {}
    for part in text.split():
        name, equals, value = part.partition("=")
        if not name or not equals:
            raise ValueError(f"{shown(part)}; expected NAME=VALUE")
        try:
            found[name] = json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError(f"{shown(part)}; expected a value as JSON has it") from None
    return found
