"""What the verbs share: arguments, the console, and errors as one sentence."""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NoReturn, cast

import tyro

from clrobot.errors import RenderError, TrainingStopped, UserError, cut, shown
from clrobot.files import at_home
from clrobot.results.numbers import json_text

if TYPE_CHECKING:
    from clrobot.runs.folder import RunFolder
    from clrobot.terminal import LiteralConsole

_YEAR_10000 = 253_402_300_800  # in seconds since 1970; no library knows a later date

# The most that a verb takes of what it asks for beside settings, which have bounds of their own.
MOST_EPISODES = 10_000  # as the settings' own, `evaluation.episodes`
MOST_THREADS = 1_024
MOST_SEED = 2**31 - 1

# What a verb that shows rows prints.
Format = Literal["table", "json"]

RunPath = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
RunPaths = Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]


class _LastingOutput:
    """An output that may go away, by a closed pipe, a hung-up terminal or a full disk, while the work goes on.

    What happened to it first is kept in `lost`, for `errors_as_sentences` to tell at the end.
    """

    lost: ClassVar[OSError | None] = None

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            self._lose(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._lose(error)

    @classmethod
    def _lose(cls, error: OSError) -> None:
        cls.lost = cls.lost or error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def errors_as_sentences() -> Iterator[None]:
    """Turn the user's mistakes into one sentence and exit code 2."""
    try:
        _LastingOutput.lost = None
        try:
            yield
        finally:
            sys.stdout.flush()  # here, and not where Python ends, when an error can no longer be told
        if _LastingOutput.lost is not None:
            raise _LastingOutput.lost
    except (UserError, RenderError) as error:
        _fail(str(error))
    except KeyboardInterrupt:
        _end("stopped", 130)
    except BrokenPipeError:  # as in `clrobot tasks | head -1`: nobody reads on, which is no mistake
        _print_no_more(sys.stdout)
        sys.exit(0)
    except OSError as error:
        if error.filename is None:
            _print_no_more(sys.stdout)
            _fail(f"what it prints cannot be written ({error.strerror}); give it another place")
        _fail(f"{error.filename}: {error.strerror}; give a path that can be used")
    except TrainingStopped as error:
        _end(str(error), 130)


def print_on_any_terminal() -> None:
    """Replace what the terminal's encoding cannot show: no character may end a command.

    What a service was started without (`>&-`, `2>&-`) is nowhere: Python has None for it, which nothing can print to.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  as long as the process
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _print_no_more(stream: IO[str]) -> None:
    """Let what is still to be printed go nowhere: Python would try once more at its end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def check_environment() -> None:
    """Raise UserError for a variable that some library would choke on at its import.

    numpy and matplotlib take SOURCE_DATE_EPOCH for the seconds since 1970 of every date that they write.
    """
    if not re.fullmatch(r"[1-9][0-9]{0,4}", os.environ.get("COLUMNS", "80")):
        del os.environ["COLUMNS"]  # some tools set 0, at which rich draws nothing of a table
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch and not (re.fullmatch(r"[0-9]{1,12}", epoch) and int(epoch) < _YEAR_10000):
        raise UserError(
            f"SOURCE_DATE_EPOCH={shown(epoch)}; expected the whole seconds since 1970: set it so, or unset it"
        )


def _fail(sentence: str) -> NoReturn:
    _end(sentence, 2)


def _end(sentence: str, code: int) -> NoReturn:
    """Tell why the process ends, if the error output can be written, and end it with this exit code."""
    try:
        print(f"clrobot: {cut(sentence, 480)}", file=sys.stderr, flush=True)
    except OSError:
        _print_no_more(sys.stderr)
    sys.exit(code)


def open_console() -> LiteralConsole:
    """Return the terminal, or what stands in its place; what happens to it stops no training."""
    from clrobot.terminal import LiteralConsole

    return LiteralConsole(cast("IO[str]", _LastingOutput(sys.stdout)))


def at_least(value: int, flag: str, least: int = 1, most: int | None = None) -> None:
    """Raise UserError where a flag's value is below its least, or above its most."""
    if value < least:
        raise UserError(f"{flag} {value}; expected {least} or more")
    if most is not None and value > most:
        raise UserError(f"{flag} {shown(value)}; expected {most:,} at most")


def check_seeds(seeds: Sequence[int]) -> None:
    """Raise UserError where --seed gives none, one twice, or one that no run can have."""
    if not seeds:
        raise UserError("--seed gives no seed; give one or more, or leave it out")
    for seed in seeds:
        at_least(seed, "--seed", 0, MOST_SEED)
    if len(set(seeds)) < len(seeds):
        raise UserError(f"--seed {cut(' '.join(map(str, seeds)), 60)} names one twice; name each once")


def check_file(path: Path | None, flag: str = "--out") -> None:
    """Raise UserError where a file is to be written and its path names a folder, as `--out ''` names this one."""
    if path is not None and (not path.name or at_home(path).is_dir()):
        raise UserError(f"{flag} {cut(str(path))} is a folder; give the file's own name")


def expand_runs(paths: Sequence[Path]) -> list[RunFolder]:
    """Return the runs at these paths, one or more."""
    from clrobot.comparison.runs import expand

    if not paths:
        raise UserError("no run; give one or more run folders")
    return expand(paths)


def open_run(run: Path, stage: int | None) -> tuple[RunFolder, Any]:
    """Return a run and its agent after `stage` (None: the newest), with torch set as in the training.

    Verbs call it before they import what needs torch, a second: a run that is not there is refused at once.
    """
    from clrobot.runs.folder import RunFolder

    folder = RunFolder.open(run)
    import torch

    from clrobot.runs.checkpoint import load_agent

    torch.set_num_threads(folder.config.torch_threads)  # the training's own bits, and quicker where cores are busy
    return folder, load_agent(folder, stage)


@dataclass(frozen=True)
class Column:
    """A column of what a verb shows.

    Attributes:
        name: the rows' key.
        heading: in the terminal's table.
        show: writes a value for the terminal.
        numbers: whether it holds numbers, which stand at the right.
    """

    name: str
    heading: str
    show: Callable[[Any], str] = str
    numbers: bool = False


def show_rows(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[Column], format: Format, *, title: str | None = None
) -> None:
    """Print rows as a table of these columns, or as one JSON document: the rows with all that they hold.

    Args:
        rows: each of plain values, None where one is undefined.
        columns: those of the table.
        format: table or json.
        title: of the table.
    """
    if format == "json":
        print_json([dict(row) for row in rows])
        return
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column.heading, justify="right" if column.numbers else "left")
    for row in rows:
        table.add_row(*(column.show(row[column.name]) for column in columns))
    open_console().print(table)


def print_json(content: Any) -> None:
    """Print one JSON document, and nothing else."""
    print(json_text(content))
