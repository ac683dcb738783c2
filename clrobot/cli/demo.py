"""The verb `demo`: a first look at what is lost, and at what keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clrobot.cli.common import open_console
from clrobot.cli.train import comparison_table, tell_failures
from clrobot.errors import warn
from clrobot.imports import command
from clrobot.results.numbers import number

if TYPE_CHECKING:
    from clrobot.runs.folder import RunFolder

_CURRICULUM = "first3"
_METHODS = ("finetune", "ewc", "progressive")  # no protection, a penalty, and columns of their own
_CLEAR = 0.2  # a fall of success that is no chance of 50 episodes


def demo(out: Path = Path("runs"), seed: int = 0, steps: int | None = None, threads: int = 0) -> None:
    """Train `first3` with three methods, and show what each kept.

    The methods are finetune, ewc and progressive.

    All goes into OUT/demo-N, where one page shows them side by side.

    Args:
        out: the folder in which demo-N is made.
        seed: of everything random.
        steps: control steps in every stage, in place of the curriculum's own.
        threads: of the physics; 0: all cores that the process may use. Any number gives the same bits.
    """
    from clrobot.experiment.config import make_config
    from clrobot.runs.free import next_free
    from clrobot.studies.side_by_side import train_side_by_side

    settings = {"curriculum": _CURRICULUM, "seed": seed, "threads": threads}
    settings |= {} if steps is None else {"steps": steps}
    configs = [make_config(method=method, **settings) for method in _METHODS]
    folder = next_free(out, "demo")
    folder.mkdir(parents=True)  # where none can be made this ends it, rather than each training by itself
    console = open_console()
    # Side by side, a column for each task first, which takes longest: so no core is idle at the end.
    runs = train_side_by_side({folder / config.method: config for config in configs}, console)
    page, film = _page(runs, folder / "report.html"), None
    if all(config.video.enabled for config in configs):
        film = _film(runs, folder / "grid.mp4", threads)
    console.print(comparison_table(runs))
    episodes = configs[0].evaluation.episodes
    console.print(f"Success at any step, over {episodes} episodes of each task after the last stage.", style="dim")
    for run in runs:
        tell_failures(run, console)
    for what, path in (("report", page), ("film", film), ("runs", folder)):
        if path is not None:
            console.print(f"{what:<6}  {path}", soft_wrap=True)
    console.print(what_to_look_at(runs), soft_wrap=True)


def what_to_look_at(runs: Sequence[RunFolder]) -> str:
    """Return the one sentence that a newcomer should take away, as these runs have it.

    It names the skill that the first of them lost most of, and what became of it in the others.
    """
    first, *others = runs
    tasks = first.read_metrics().per_task[:-1]  # nothing comes after the last
    falls = {task.task: task.forgetting for task in tasks if task.forgetting is not None}
    task = max(falls, key=lambda name: falls[name] or 0.0, default=None)
    if task is None or (falls[task] or 0.0) < _CLEAR:
        return "Look at: nothing was forgotten that one could see here; another --seed may show more."
    learned, final = _learned_and_final(first, task)
    kept = ", ".join(f"with {run.config.method} at {_learned_and_final(run, task)[1]}" for run in others)
    return (
        f"Look at {task}: {first.config.method} had learned it to {learned} and ends at {final}, {kept}; "
        "the film shows them side by side, and the page says the rest."
    )


def _learned_and_final(run: RunFolder, name: str) -> tuple[str, str]:
    task = next(task for task in run.read_metrics().per_task if task.task == name)
    return number(task.learned), number(task.final)


def _page(runs: Sequence[RunFolder], path: Path) -> Path | None:
    """Write the page of all runs; that it fails is a warning, since the runs themselves are whole."""
    from clrobot.report.comparison_page import write_comparison

    try:
        return write_comparison(runs, path)
    except Exception as error:
        warn(f"no page was written ({error}); `{command('report', path.parent)}` tries again")
        return None


def _film(runs: Sequence[RunFolder], path: Path, threads: int) -> Path | None:
    """Film every skill (columns) as each method has it at the end (rows); that it fails is a warning."""
    from clrobot.films.drawable import Drawable
    from clrobot.films.record import Cell, record_grid
    from clrobot.runs.checkpoint import load_agent

    curriculum = runs[0].config.curriculum
    try:
        slots = list(filter(Drawable(curriculum, warn), range(len(curriculum.stages))))
        rows = []
        for run in runs:
            agent, tasks = load_agent(run, None), run.read_metrics().per_task
            rows.append([Cell(agent, slot, tasks[slot].final) for slot in slots])
        title = (f"{curriculum.name}, at the end", "from above: " + ", ".join(run.config.method for run in runs))
        record_grid(path, rows, title, 1, threads)
    except Exception as error:
        warn(f"no film of all methods was made ({error})")
        return None
    return path
