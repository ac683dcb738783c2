"""The verbs that use a trained agent: evaluate, record, export."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from clrobot.cli.common import (
    MOST_EPISODES,
    MOST_SEED,
    MOST_THREADS,
    Column,
    Format,
    RunPath,
    at_least,
    check_file,
    open_console,
    open_run,
    show_rows,
)
from clrobot.errors import UserError
from clrobot.results.numbers import number

_MOST_FILMED = 1_000  # episodes, as the settings' own: `video.episodes`

if TYPE_CHECKING:
    from clrobot.evaluation.agent import Agent
    from clrobot.evaluation.evaluator import Evaluator


# What a film's name may end with; what it may be made of is said where it is made.
_FILMS = (".mp4", ".gif", ".avi", ".mkv", ".mov", ".webm")


def evaluate(
    run: RunPath,
    task: str | None = None,
    stage: int | None = None,
    episodes: int = 50,
    seed: int | None = None,
    stochastic: bool = False,
    task_id: Literal["given", "none"] = "given",
    threads: int = 0,
    format: Format = "table",
) -> None:
    """Measure an existing run's skills.

    Without a task id, the agent goes by an episode's first five observations.

    Args:
        run: the run's folder.
        task: one task; by default each one.
        stage: the agent as it was after this stage (0: untrained); by default the newest.
        episodes: episodes of each task.
        seed: of the start states; by default those of the training's own evaluations.
        stochastic: also measure with actions sampled from the policy.
        task_id: whether the agent is told the task; none also shows the score with the label given.
        threads: of the physics; 0: all cores that the process may use. Any number gives the same bits.
        format: the terminal's table, or json for a program.
    """
    at_least(episodes, "--episodes", most=MOST_EPISODES)
    at_least(threads, "--threads", 0, MOST_THREADS)
    if seed is not None:
        at_least(seed, "--seed", 0, MOST_SEED)
    if task_id == "none" and stochastic:
        raise UserError("--stochastic samples actions where the task is told; leave it out, or --task-id none")
    folder, agent = open_run(run, stage)
    from clrobot.evaluation.evaluator import Evaluator, finite_mean

    slots = range(len(agent.slots)) if task is None else [agent.slot_index(task)]
    seed = folder.config.evaluation.seed if seed is None else seed
    evaluator = Evaluator(folder.config.curriculum, seed, threads)
    name = run.resolve().name  # of `.` there is none as it is written
    title = f"{name}, after stage {agent.stage}"
    if task_id == "none":
        if not folder.config.task_inference.enabled:
            raise UserError(
                f"{run} was trained with --task-inference.no-enabled and cannot tell its tasks apart; "
                "evaluate it without --task-id none, or train again with task inference"
            )
        _show_without_label(_without_label(evaluator, agent, run, slots, episodes), format, title, episodes)
        return
    rows = []
    for slot in slots:
        if stochastic:
            found = dict(zip(("mean", "sampled"), evaluator.both(agent.policy, slot, episodes), strict=True))
        else:
            found = {"mean": evaluator.episodes(agent.policy, slot, episodes)}
        told = {actions: evaluator.rate(slot, outcome.success_any) for actions, outcome in found.items()}
        rows += [
            {
                "run": name,
                "stage": agent.stage,
                "task": agent.slots[slot],
                "trained": slot < agent.known,
                "actions": actions,
                "episodes": episodes,
                "success_any": told[actions],
                "success_final": evaluator.rate(slot, outcome.success_final),
                "return_mean": finite_mean(outcome.returns),
                "length_mean": None if told[actions] is None else float(outcome.lengths.mean()),
            }
            for actions, outcome in found.items()
        ]
    columns = (
        Column("success_any", "any step", number, numbers=True),
        Column("success_final", "final step", number, numbers=True),
        Column("return_mean", "mean return", partial(number, decimals=1), numbers=True),
        Column("length_mean", "steps", partial(number, decimals=1), numbers=True),
    )
    marks = {name: "" if slot < agent.known else "  (not trained yet)" for slot, name in enumerate(agent.slots)}
    names = [Column("task", "task", lambda task: task + marks[task])]
    if stochastic:
        names.append(Column("actions", "actions"))
    show_rows(rows, (*names, *columns), format, title=title)
    kind = "mean and sampled" if stochastic else "mean"
    _explain(format, f"Success over {episodes} episodes of each task, {kind} actions; steps until solved.")


def _without_label(
    evaluator: Evaluator, agent: Agent, run: Path, slots: Sequence[int], episodes: int
) -> list[dict[str, Any]]:
    """Return the success with each task's label and without it, a row for each task that the agent knows."""
    if agent.curriculum.heads == "one":
        raise UserError(f"{run} has one head for all its tasks, so there is no task id to leave out")
    trained = [slot for slot in slots if slot < agent.policy.task_inference.learned]
    if not trained:
        raise UserError(f"{run} after stage {agent.stage} knows none of these tasks; give a later --stage")
    rows = []
    for slot in trained:
        given = evaluator.episodes(agent.policy, slot, episodes)
        outcome, inferred = evaluator.task_agnostic(agent.policy, slot, episodes)
        rows.append(
            {
                "run": run.resolve().name,
                "stage": agent.stage,
                "task": agent.slots[slot],
                "episodes": episodes,
                "success_any_label_given": evaluator.rate(slot, given.success_any),
                "success_any_no_label": evaluator.rate(slot, outcome.success_any),
                "inferred": float((inferred == slot).mean()),
            }
        )
    return rows


def _show_without_label(rows: list[dict[str, Any]], format: Format, title: str, episodes: int) -> None:
    columns = (
        Column("success_any_label_given", "label given", number, numbers=True),
        Column("success_any_no_label", "no label", number, numbers=True),
        Column("inferred", "inferred", number, numbers=True),
    )
    if format == "table":
        rows = [*rows, {"task": "mean"} | {c.name: _mean([row[c.name] for row in rows]) for c in columns}]
    show_rows(rows, (Column("task", "task"), *columns), format, title=title)
    _explain(format, f"Success at any step over {episodes} episodes of each task, mean actions.")


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _explain(format: Format, sentence: str) -> None:
    """Say below a table what it shows; JSON stands alone."""
    if format == "table":
        open_console().print(sentence, style="dim")


def record(
    run: RunPath,
    task: str | None = None,
    stage: int | None = None,
    out: Path | None = None,
    episodes: int | None = None,
    grid: bool = False,
    threads: int = 0,
) -> None:
    """Film an existing run's skills, with or without OpenGL.

    With --grid, one film shows every skill (columns) after each stage (rows).

    With --grid and --task, it shows that one skill after each stage, in a row.

    Args:
        run: the run's folder.
        task: one task; by default each one trained so far.
        stage: the agent as it was after this stage (0: untrained); by default the newest.
        out: the folder of the films; by default videos/RUN/stage_KK. Of one film: also its own name, which ends with
            .mp4. Of a grid: the film, .mp4 or .gif.
        episodes: episodes in each film; by default 2, and 1 in a grid.
        grid: one film of how skills last over the stages up to --stage.
        threads: of the physics; 0: all cores that the process may use. Any number gives the same film.
    """
    if episodes is not None:
        at_least(episodes, "--episodes", most=_MOST_FILMED)
    at_least(threads, "--threads", 0, MOST_THREADS)
    if grid:
        _record_grid(run, task, stage, out, episodes or 1, threads)
        return
    folder, agent = open_run(run, stage)
    from clrobot.envs.rendering import default_backend
    from clrobot.errors import warn
    from clrobot.evaluation.evaluator import Evaluator, finite_mean
    from clrobot.experiment.stage_env import why_not_drawn
    from clrobot.films.record import Film
    from clrobot.films.record import record as record_film
    from clrobot.runs.folder import stage_name

    config = folder.config
    slots = range(max(1, agent.known)) if task is None else [agent.slot_index(task)]
    films = _film_paths(out or Path("videos") / run.resolve().name / stage_name(agent.stage), agent, slots)
    evaluator = Evaluator(config.curriculum, config.evaluation.seed, threads)
    default_backend()  # refused before anything is made
    console = open_console()
    for slot, path in films.items():
        reason = why_not_drawn(config.curriculum.stages[slot])
        if reason is not None:
            if task is not None:
                raise UserError(f"{task} cannot be filmed here: {reason}")
            warn(f"{agent.slots[slot]} is not filmed: {reason}")
            continue
        _make_folder(path.parent)
        found = evaluator.episodes(agent.policy, slot, config.evaluation.episodes)
        rate = evaluator.rate(slot, found.success_any)
        film = Film(config.method, rate, finite_mean(found.returns))
        record_film(path, agent, slot, film, episodes or 2, threads)
        told = f"success {number(rate)}" if rate is not None else f"return {number(film.return_mean, decimals=1)}"
        console.print(f"{path}  {told}", soft_wrap=True)


def _film_paths(out: Path, agent: Agent, slots: Sequence[int]) -> dict[int, Path]:
    """Return the path of each slot's film: in the folder `out`, or `out` itself where it is one film's name.

    Raises:
        UserError: it is the name of a film, and there are several or it is of another kind.
    """
    if out.suffix.lower() in _FILMS and not out.is_dir():
        if len(slots) > 1:
            each = f"{len(slots)} films, one for each task"
            raise UserError(f"--out {out} names one film, and there are {each}; give a folder, a --task, or --grid")
        if out.suffix != ".mp4":
            raise UserError(f"--out {out}; expected a name that ends with .mp4, or a folder")
        return {slots[0]: out}
    return {slot: out / f"{agent.slots[slot]}.mp4" for slot in slots}


def _record_grid(
    run: Path, task: str | None, stage: int | None, out: Path | None, episodes: int, threads: int
) -> None:
    """Film every skill after each stage, or one skill after each."""
    folder, newest = open_run(run, stage)
    from clrobot.envs.rendering import default_backend
    from clrobot.errors import warn
    from clrobot.evaluation.evaluator import Evaluator, finite_mean
    from clrobot.films.drawable import Drawable
    from clrobot.films.record import CELL, Cell, record_grid
    from clrobot.runs.checkpoint import load_agent

    config = folder.config
    if newest.stage == 0:
        raise UserError("--grid shows what each stage left, and stage 0 is untrained; give a --stage from 1")
    slots = list(range(len(newest.slots)) if task is None else [newest.slot_index(task)])
    slots = list(filter(Drawable(config.curriculum, warn), slots))
    if not slots:
        raise UserError(f"nothing of {run} can be filmed here; install what draws it")
    default = "grid.mp4" if task is None else f"grid-{task}.mp4"
    path = out or Path("videos") / run.resolve().name / default
    check_file(path)
    if path.suffix not in CELL:
        raise UserError(f"--out {path}; expected a name that ends with {' or '.join(CELL)}")
    default_backend()  # refused before anything is made
    _make_folder(path.parent)
    evaluator = Evaluator(config.curriculum, config.evaluation.seed, threads)

    def cell(agent: Agent, slot: int) -> Cell:
        if slot >= agent.known:
            return Cell(agent, slot, None)
        found = evaluator.episodes(agent.policy, slot, config.evaluation.episodes)
        rate = evaluator.rate(slot, found.success_any)
        return Cell(agent, slot, rate, finite_mean(found.returns) if rate is None else None)

    agents = [load_agent(folder, k) for k in range(1, newest.stage)] + [newest]
    rows = [[cell(agent, slot) for slot in slots] for agent in agents]
    subtitle = "each row is one stage later"
    if task is not None:
        rows, subtitle = [[row[0] for row in rows]], f"{task} after each stage"
    title = (f"{config.curriculum.name} · {config.method}", subtitle)
    record_grid(path, rows, title, episodes, threads)
    open_console().print(str(path), soft_wrap=True)


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {path}: {error.strerror}; give a folder that can be made") from error


def export(
    run: RunPath,
    format: Literal["onnx", "sb3"] = "onnx",
    task: str | None = None,
    stage: int | None = None,
    out: Path | None = None,
) -> None:
    """Write an agent as one file that acts without clrobot.

    onnx holds every task, for any ONNX runtime.

    sb3 holds one task, for stable_baselines3.PPO.load.

    Args:
        run: the run's folder.
        format: onnx, or sb3.
        task: the task that an sb3 file is for; needed if there are several.
        stage: the agent as it was after this stage (0: untrained); by default the newest.
        out: the new file; by default exports/RUN/stage_KK.onnx, or stage_KK-TASK.zip.
    """
    _, agent = open_run(run, stage)
    from clrobot.evaluation.export import export_onnx, export_sb3
    from clrobot.runs.folder import stage_name

    if format == "sb3" and task is None:
        if len(agent.slots) > 1:
            raise UserError(f"an sb3 file holds one task; choose it with --task: {', '.join(agent.slots)}")
        (task,) = agent.slots
    elif format == "onnx" and task is not None:
        raise UserError(f"--task {task}: an onnx file holds every task; leave it out, or use --format sb3")
    name = stage_name(agent.stage)
    default = f"{name}.onnx" if task is None else f"{name}-{task}.zip"
    check_file(out)
    path = out or Path("exports") / run.resolve().name / default
    if task is None:
        difference = export_onnx(agent, path)
        remark = "not checked, since onnxruntime is not installed"
        if difference is not None:
            remark = f"actions differ from the run's by at most {difference:.0e}"
    else:
        export_sb3(agent, task, path)
        remark = f"open it with: stable_baselines3.PPO.load({str(path)!r})"
    open_console().print(f"{path}  {remark}", soft_wrap=True)
