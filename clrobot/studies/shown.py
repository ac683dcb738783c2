"""How a study is shown: a table that is redrawn where there is a terminal, lines where there is none."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from clrobot.results.numbers import duration, grouped, number
from clrobot.studies.driver import Board
from clrobot.studies.plan import Plan
from clrobot.studies.record import planned_run
from clrobot.studies.status import RunStatus, Stand, run_status, seconds_left
from clrobot.studies.working import Working
from clrobot.terminal import LiteralConsole

if TYPE_CHECKING:
    from rich.table import Table

ORDER: Final[tuple[Stand, ...]] = ("failed", "running", "stopped", "planned", "finished")
_STYLES: Final[Mapping[Stand, str]] = {"failed": "red", "running": "bold", "stopped": "yellow", "finished": "dim"}
_REDRAWN = 1.0  # seconds between two tables
_LINE_SECONDS = 60.0  # between two lines of the whole, where nothing can be redrawn
_TELLING = 0.02  # the share of all steps after which the time left is told
_LEFT_FREE = 8  # lines of a terminal: heading, the whole, what was said before


def status_table(runs: Sequence[RunStatus], most: int) -> Table:
    """Return a table of runs, with those first that somebody may want to look at, and of `most` at most."""
    from rich.table import Table

    table = Table()
    for heading in ("run", "state", "stage"):
        table.add_column(heading, overflow="fold")
    for heading in ("steps", "success", "steps/s", "left"):
        table.add_column(heading, justify="right")
    for run in sorted(runs, key=lambda run: ORDER.index(run.state))[:most]:
        table.add_row(
            run.run,
            run.state,
            "" if run.state in ("finished", "planned") else f"{run.stage}/{run.stages} {run.task}",
            f"{100 * run.step / run.steps:.0f} %",
            number(run.success),
            grouped(run.steps_per_second),
            "" if run.seconds_left is None or run.state == "finished" else duration(run.seconds_left),
            style=_STYLES.get(run.state),
        )
    return table


def whole(counts: Mapping[str, int], left: float | None) -> str:
    """Return a line on the whole study."""
    parts = [f"{counts.get('finished', 0):,} of {sum(counts.values()):,} runs finished"]
    parts += [f"{counts[state]:,} {state}" for state in ORDER[:-1] if counts.get(state)]
    return ", ".join([*parts, *([f"{duration(left)} left"] if left else [])])


@contextmanager
def showing(
    plans: Sequence[Plan], jobs: int, console: LiteralConsole
) -> Iterator[tuple[Callable[[str], None], Board]]:
    """Show these runs while they are trained; yield what `run_all` and `add_references` take as `tell` and `board`.

    Args:
        plans: the runs; others that come onto the board, such as references, are told of in lines alone.
        jobs: processes at a time.
        console: where.
    """
    board = Board()
    live = _Live(plans, jobs, console, board)
    board.tick = live.tick

    def tell(line: str) -> None:
        console.print(line, soft_wrap=True)  # a folder may be called `[b]`

    try:
        yield tell, board
    finally:
        live.close()


class _Live:
    """Where the runs stand, read from their folders while they change."""

    def __init__(self, plans: Sequence[Plan], jobs: int, console: LiteralConsole, board: Board) -> None:
        from rich.live import Live

        self._console = console
        self._board = board
        self._jobs = jobs
        self._planned = {plan.folder: planned_run(plan) for plan in plans}
        self._runs: dict[Path, RunStatus] = {}
        self._last = time.monotonic()
        self._first: tuple[float, int] | None = None  # when it was first looked, and the steps that were done by then
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None

    def tick(self) -> None:
        """Bring what is shown up to date, where it is time for that."""
        now = time.monotonic()
        if self._first is None:
            self._look()
            self._first = now, sum(run.step for run in self._runs.values())
        if now - self._last < (_LINE_SECONDS if self._live is None else _REDRAWN):
            return
        self._last = now
        self._look()
        runs = list(self._runs.values())
        counts: Counter[str] = Counter(run.state for run in runs)
        line = whole(counts, self._left(runs, now))
        if self._live is None:
            self._console.print(line, soft_wrap=True)
            return
        from rich.table import Table
        from rich.text import Text

        moving = [run for run in runs if run.state in ("failed", "running")]
        if not self._live.is_started:
            self._live.start()
        most = max(1, self._console.height - _LEFT_FREE)
        both = Table.grid()
        both.add_row(status_table(moving, most))
        both.add_row(Text(line))
        self._live.update(both, refresh=True)

    def _left(self, runs: Sequence[RunStatus], now: float) -> float | None:
        """Return the time until all runs are finished, as it went so far: starts and waiting are in it.

        None at first: the start of the first few trainings would be taken for the pace of all.
        """
        left = sum(run.steps - run.step for run in runs if run.state not in ("finished", "failed"))
        done = sum(run.step for run in runs)
        since, before = self._first or (now, done)
        if done > before:
            if done - before < _TELLING * (left + done - before):
                return None
            return left * (now - since) / (done - before)
        return seconds_left(runs, min(self._jobs, len(runs)))

    def close(self) -> None:
        """Take the table away."""
        if self._live is not None and self._live.is_started:
            self._live.stop()

    def _look(self) -> None:
        """Read the folders of runs that are worked at, or that changed; the driver knows best who works."""
        working = Working()
        for folder, planned in self._planned.items():
            state = self._board.states.get(folder, "planned")
            old = self._runs.get(folder)
            if old is None or state == "running" or old.state != state:
                found = run_status(folder.parent, planned, working)
                self._runs[folder] = RunStatus(**vars(found) | {"state": state})
