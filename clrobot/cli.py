"""The command line: one function for each verb; its parameters are the flags and its docstring the help text.

What a verb needs is imported inside it, so that help and lists come without loading torch.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from rich.console import Console
from rich.table import Table

from clrobot.envs.renderer import RenderError
from clrobot.envs.sim import NeedsBatch
from clrobot.errors import TrainingStopped, UserError

if TYPE_CHECKING:
    from clrobot.agent import Agent
    from clrobot.config import RunConfig
    from clrobot.run_folder import RunFolder

_Run = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
_Runs = Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
_DEMO_METHODS = ("finetune", "ewc", "progressive")


def demo(out: Path = Path("runs"), seed: int = 0, steps: int | None = None) -> None:
    """Train `quick` with three methods and compare what each kept.

    The methods are finetune, ewc and progressive; all goes into OUT/demo-N.

    Args:
        out: the folder in which demo-N is made.
        seed: of everything random.
        steps: control steps in every stage, in place of the curriculum's own.
    """
    from clrobot.config import make_config
    from clrobot.run_folder import next_free

    settings = {"curriculum": "quick", "seed": seed} | ({} if steps is None else {"steps": steps})
    configs = [make_config(method=method, **settings) for method in _DEMO_METHODS]
    folder = next_free(out, "demo")
    console = _console()
    runs = [_train(config, folder / config.method, console) for config in configs]
    console.print(_comparison(runs))
    console.print("Success at any step, over 50 episodes of each task after the last stage.", style="dim")
    for run in runs:
        console.print(f"report  {run.path / 'report.html'}", highlight=False, soft_wrap=True)
        console.print(f"videos  {run.videos}", highlight=False, soft_wrap=True)
        _tell_failures(run, console)


def evaluate(
    run: _Run,
    task: str | None = None,
    stage: int | None = None,
    episodes: int = 50,
    seed: int | None = None,
    stochastic: bool = False,
    task_id: Literal["given", "none"] = "given",
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
    """
    from clrobot.evaluate import Evaluator

    _at_least(episodes, "--episodes")
    if seed is not None:
        _at_least(seed, "--seed", 0)
    folder, agent = _open(run, stage)
    slots = range(len(agent.slots)) if task is None else [agent.slot_index(task)]
    evaluator = Evaluator(folder.config.curriculum, folder.config.evaluation.seed if seed is None else seed)
    if task_id == "none":
        _evaluate_unlabelled(evaluator, agent, run, slots, episodes)
        return
    table = Table(title=f"{run.name}, after stage {agent.stage}", title_justify="left")
    table.add_column("task")
    if stochastic:
        table.add_column("actions")
    for column in ("any step", "final step", "mean return", "steps"):
        table.add_column(column, justify="right")
    for slot in slots:
        untrained = "" if slot < agent.stage else "  (not trained yet)"
        if stochastic:
            found = dict(zip(("mean", "sampled"), evaluator.both(agent.policy, slot, episodes), strict=True))
        else:
            found = {"mean": evaluator.episodes(agent.policy, slot, episodes)}
        for actions, outcome in found.items():
            table.add_row(
                agent.slots[slot] + untrained,
                *([actions] if stochastic else []),
                f"{outcome.success_any.mean():.2f}",
                f"{outcome.success_final.mean():.2f}",
                f"{outcome.returns.mean():.1f}",
                f"{outcome.lengths.mean():.1f}",
            )
    console = _console()
    console.print(table)
    kind = "mean and sampled" if stochastic else "mean"
    console.print(f"Success over {episodes} episodes of each task, {kind} actions; steps until solved.", style="dim")


def _evaluate_unlabelled(evaluator: Any, agent: Any, run: Path, slots: Sequence[int], episodes: int) -> None:
    """Show the success with the task's label and without it."""
    trained = [slot for slot in slots if slot < agent.policy.recognizer.learned]
    if not trained:
        raise UserError(f"{run} after stage {agent.stage} knows none of these tasks; give a later --stage")
    table = Table(title=f"{run.name}, after stage {agent.stage}", title_justify="left")
    table.add_column("task")
    for column in ("label given", "no label", "recognised"):
        table.add_column(column, justify="right")
    rows = []
    for slot in trained:
        given = evaluator.episodes(agent.policy, slot, episodes).success_any.mean()
        outcome, taken_for = evaluator.unlabelled(agent.policy, slot, episodes)
        rows.append((given, outcome.success_any.mean(), (taken_for == slot).mean()))
        table.add_row(agent.slots[slot], *(f"{value:.2f}" for value in rows[-1]))
    means = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
    table.add_row("mean", *(f"{value:.2f}" for value in means))
    console = _console()
    console.print(table)
    console.print(f"Success at any step over {episodes} episodes of each task, mean actions.", style="dim")


def record(
    run: _Run,
    task: str | None = None,
    stage: int | None = None,
    out: Path | None = None,
    episodes: int | None = None,
    grid: bool = False,
) -> None:
    """Film an existing run's skills, with or without OpenGL.

    With --grid, one film shows every skill (columns) after each stage (rows).

    With --grid and --task, it shows that one skill after each stage, in a row.

    Args:
        run: the run's folder.
        task: one task; by default each one trained so far.
        stage: the agent as it was after this stage (0: untrained); by default the newest.
        out: where the films go; by default videos/RUN/stage_KK. Of a grid: the film, .mp4 or .gif.
        episodes: episodes in each film; by default 2, and 1 in a grid.
        grid: one film of how skills last over the stages up to --stage.
    """
    from clrobot.envs.render import default_backend
    from clrobot.evaluate import Evaluator
    from clrobot.record import Film
    from clrobot.record import record as record_film
    from clrobot.run_folder import stage_name

    if episodes is not None:
        _at_least(episodes, "--episodes")
    if grid:
        _record_grid(run, task, stage, out, episodes or 1)
        return
    folder, agent = _open(run, stage)
    config = folder.config
    slots = range(max(1, agent.stage)) if task is None else [agent.slot_index(task)]
    target = out or Path("videos") / run.resolve().name / stage_name(agent.stage)
    evaluator = Evaluator(config.curriculum, config.evaluation.seed)
    default_backend()  # refused before anything is made
    _make_folder(target)
    console = _console()
    for slot in slots:
        rate = float(evaluator.episodes(agent.policy, slot, config.evaluation.episodes).success_any.mean())
        path = target / f"{agent.slots[slot]}.mp4"
        film = Film(agent.stage, config.method, rate)
        record_film(path, agent, config.curriculum, slot, film, episodes=episodes or 2, seed=config.evaluation.seed)
        console.print(f"{path}  success {rate:.2f}", highlight=False, soft_wrap=True)


def _record_grid(run: Path, task: str | None, stage: int | None, out: Path | None, episodes: int) -> None:
    """Film every skill after each stage, or one skill after each."""
    from clrobot.checkpoint import load_agent
    from clrobot.envs.render import default_backend
    from clrobot.evaluate import Evaluator
    from clrobot.record import CELL, Cell, record_grid

    folder, newest = _open(run, stage)
    config = folder.config
    if newest.stage == 0:
        raise UserError("--grid shows what each stage left, and stage 0 is untrained; give a --stage from 1")
    slots = range(len(newest.slots)) if task is None else [newest.slot_index(task)]
    default = "grid.mp4" if task is None else f"grid-{task}.mp4"
    path = out or Path("videos") / run.resolve().name / default
    if path.suffix not in CELL:
        raise UserError(f"--out {path}; expected a name that ends with {' or '.join(CELL)}")
    default_backend()  # refused before anything is made
    _make_folder(path.parent)
    evaluator = Evaluator(config.curriculum, config.evaluation.seed)

    def cell(agent: Agent, slot: int) -> Cell:
        if slot >= agent.stage:
            return Cell(agent, slot, None)
        rates = evaluator.episodes(agent.policy, slot, config.evaluation.episodes).success_any
        return Cell(agent, slot, float(rates.mean()))

    agents = [load_agent(folder, k) for k in range(1, newest.stage)] + [newest]
    rows = [[cell(agent, slot) for slot in slots] for agent in agents]
    subtitle = "each row is one stage later"
    if task is not None:
        rows, subtitle = [[row[0] for row in rows]], f"{task} after each stage"
    title = (f"{config.curriculum.name} · {config.method}", subtitle)
    record_grid(path, rows, config.curriculum, title, episodes=episodes, seed=config.evaluation.seed)
    _console().print(str(path), highlight=False, markup=False, soft_wrap=True)


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {path}: {error.strerror}; give a folder that can be made") from error


def export(
    run: _Run,
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
    from clrobot.export import export_onnx, export_sb3
    from clrobot.run_folder import stage_name

    folder, agent = _open(run, stage)
    if format == "sb3" and task is None:
        if len(agent.slots) > 1:
            raise UserError(f"an sb3 file holds one task; choose it with --task: {', '.join(agent.slots)}")
        (task,) = agent.slots
    elif format == "onnx" and task is not None:
        raise UserError(f"--task {task}: an onnx file holds every task; leave it out, or use --format sb3")
    name = stage_name(agent.stage)
    default = f"{name}.onnx" if task is None else f"{name}-{task}.zip"
    path = out or Path("exports") / run.resolve().name / default
    if task is None:
        difference = export_onnx(agent, path)
        told = "not checked, since onnxruntime is not installed"
        if difference is not None:
            told = f"actions differ from the run's by at most {difference:.0e}"
    else:
        export_sb3(agent, folder.config.curriculum, task, path)
        told = f"open it with: stable_baselines3.PPO.load({str(path)!r})"
    _console().print(f"{path}  {told}", highlight=False, markup=False, soft_wrap=True)


def resume(run: _Run) -> None:
    """Go on with a training that was stopped or killed.

    It ends with the same bits as one that never stopped.

    Args:
        run: the run's folder.
    """
    console = _console()
    _summarise(_resume(run, console), console)


def sweep(
    method: tuple[str, ...] = ("finetune", "ewc", "progressive"),
    seed: tuple[int, ...] = (0, 1, 2),
    curriculum: str | None = None,
    vary: str | None = None,
    values: tuple[float, ...] = (),
    config: Path | None = None,
    jobs: int = 2,
    references: bool = True,
    out: Path | None = None,
) -> None:
    """Train methods × seeds (× values of one setting), compare them, and write a page.

    What is finished is not trained again; what was begun is resumed.

    Args:
        method: the methods.
        seed: the seeds.
        curriculum: a curriculum's name or a YAML file; by default that of --config, or quick.
        vary: one more setting to vary, by its full name, such as ewc.strength.
        values: the values of that setting.
        config: every other setting, as in train.
        jobs: trainings at a time.
        references: also train each task from scratch, once, which forward transfer needs.
        out: the folder of the runs; by default runs/CURRICULUM.
    """
    from clrobot.comparison import compare as compare_runs
    from clrobot.comparison_tables import print_comparison
    from clrobot.config import make_config, read_config
    from clrobot.references import missing_references, use_references
    from clrobot.report import write_comparison, write_report
    from clrobot.sweep import Plan, plan, run_all

    _at_least(jobs, "--jobs")
    if (vary is None) != (not values):
        raise UserError("--vary and --values go together: one setting's name, and its values")
    base = make_config() if config is None else read_config(config)
    if curriculum is not None:
        base = make_config(**base.model_dump(mode="json") | {"curriculum": curriculum})
    folder = out or Path("runs") / base.curriculum.name
    plans = plan(base, folder, method, seed, vary, values)
    console = _console()

    def tell(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True)

    runs = run_all(plans, jobs, tell)
    if references:
        missing = missing_references(runs, None)
        run_all([Plan(path, config) for path, config in missing.items()], jobs, tell)
        for run in runs:
            use_references(run, None)
    print_comparison(compare_runs(runs, "mean"), console)
    page = write_report(runs[0].path) if len(runs) == 1 else write_comparison(runs, folder / "report.html")
    console.print(f"report  {page}", highlight=False, soft_wrap=True)


def extend(
    run: _Run, task: str, steps: int, out: Path | None = None, overrides: dict[str, float] | None = None
) -> None:
    """Take a finished run further, with a task that nobody planned for.

    The run is copied, and what it learned stays as its method promises.

    Args:
        run: the finished run's folder.
        task: the task to learn now.
        steps: control steps.
        out: the new run's folder; by default RUN-TASK beside it.
        overrides: what differs in the task's world: names and numbers, such as object.friction 0.3.
    """
    from clrobot.extend import extend as extend_run
    from clrobot.run_folder import RunFolder

    _at_least(steps, "--steps")
    target = out or run.with_name(f"{run.resolve().name}-{task}")
    resume(extend_run(RunFolder.open(run), task, steps, target, overrides).path)


def report(runs: _Runs, out: Path | None = None, videos: Literal["link", "embed"] = "link") -> None:
    """Write a page of one run, or of several side by side.

    It opens from the disk: numbers, figures and films, nothing from elsewhere.

    Args:
        runs: run folders, or folders that hold runs.
        out: the page; by default report.html in the run's folder, or in the folder that holds the runs.
        videos: whether the page links to the films beside it or holds them itself (one file to give away).
    """
    from clrobot.report import write_comparison, write_report

    folders = _expand(runs)
    if out is not None and out.is_dir():
        raise UserError(f"--out {out} is a folder; give the page's own name, such as {out / 'report.html'}")
    if len(folders) == 1:
        page = write_report(folders[0].path, out, videos)
    else:
        page = write_comparison(folders, out or _common_folder(folders) / "report.html", videos)
    _console().print(str(page), highlight=False, soft_wrap=True)


def plot(runs: _Runs, out: Path | None = None, format: Literal["png", "svg", "both"] = "both") -> None:
    """Write the report's figures as files, for print.

    Of several runs also the methods side by side, over their seeds.

    Args:
        runs: run folders, or folders that hold runs.
        out: the folder; by default figures/RUN, or figures/comparison.
        format: vectors (svg), pixels (png, 300 per inch) or both.
    """
    from clrobot.report import write_all_figures

    folders = _expand(runs)
    name = folders[0].path.resolve().name if len(folders) == 1 else "comparison"
    target = out or Path("figures") / name
    for path in write_all_figures(folders, target, ("png", "svg") if format == "both" else (format,)):
        _console().print(str(path), highlight=False, soft_wrap=True)


def compare(
    runs: _Runs,
    format: Literal["table", "markdown", "csv", "latex"] = "table",
    statistic: Literal["mean", "iqm"] = "mean",
    out: Path | None = None,
) -> None:
    """Set several runs side by side, and say why they may not be comparable.

    Runs that differ only in the seed are one row, with 95 % bootstrap intervals.

    Args:
        runs: run folders; a folder that holds runs stands for those in it.
        format: the terminal's table, or text for a page, a spreadsheet or a paper.
        statistic: over the seeds: their mean, or interquartile mean.
        out: write it to this file.
    """
    from clrobot.comparison import compare as compare_runs
    from clrobot.comparison import expand
    from clrobot.comparison_tables import as_text, print_comparison

    if not runs:
        raise UserError("no run to compare; give one or more run folders")
    comparison = compare_runs(expand(runs), statistic)
    console = _console()
    if out is not None:
        out.write_text(as_text(comparison, format), encoding="utf-8")
        console.print(str(out), highlight=False, soft_wrap=True)
    elif format == "table":
        print_comparison(comparison, console)
    else:
        print(as_text(comparison, format), end="")


def references(runs: _Runs, store: Path | None = None) -> None:
    """Train each stage's task alone, and measure forward transfer against it.

    A reference that several runs need is trained once, and found again later.

    Args:
        runs: run folders; a folder that holds runs stands for those in it.
        store: where references are kept; by default the folder references beside each run.
    """
    from clrobot.comparison import expand
    from clrobot.references import missing_references, use_references

    if not runs:
        raise UserError("no run to find references for; give one or more run folders")
    folders = expand(runs)
    for folder in folders:
        folder.read_metrics()  # refused before anything is trained
    console = _console()
    for path, config in missing_references(folders, store).items():
        console.print(f"reference  {path}", highlight=False, soft_wrap=True)
        if (path / "config.yaml").exists():
            _resume(path, console)
        else:
            _train(config, path, console)
    for folder in folders:
        metrics = use_references(folder, store)
        table = Table("task", title=folder.path.name, title_justify="left")
        for column in ("area", "reference's area", "forward transfer"):
            table.add_column(column, justify="right")
        for task in metrics["per_task"]:
            table.add_row(task["task"], *(_number(task[key]) for key in ("auc", "auc_reference", "forward_transfer")))
        table.add_row("mean", "", "", _number(metrics["forward_transfer"]))
        console.print(table)


def tasks() -> None:
    """List the tasks."""
    from clrobot.envs.tasks import TASKS

    table = Table("task", "Gymnasium id", "what it is")
    for task in TASKS:
        table.add_row(task.id, task.gym_id(), (task.__doc__ or "").splitlines()[0])
    _console().print(table)


def sheet(out: Path = Path("videos/tasks.png"), size: int = 150, columns: int = 4, seed: int = 0) -> None:
    """Draw every task on one sheet: its start, and solved by its expert.

    Args:
        out: the PNG file to write.
        size: of each picture, in pixels.
        columns: tasks in a row.
        seed: of the start states.
    """
    from clrobot.envs.render import default_backend
    from clrobot.envs.tasks import TASKS
    from clrobot.sheet import write_sheet

    _at_least(size, "--size", 16)
    _at_least(columns, "--columns")
    _at_least(seed, "--seed", 0)
    default_backend()  # refused before anything is made
    write_sheet(out, TASKS, size=size, columns=columns, seed=seed)
    _console().print(str(out), highlight=False, soft_wrap=True)


def methods() -> None:
    """List the continual-learning methods."""
    from clrobot.agents.methods import METHODS

    table = Table("method", "what it does")
    for method in METHODS:
        table.add_row(method.name, method.summary)
    _console().print(table)


def curricula() -> None:
    """List the curricula."""
    from clrobot.curriculum import CURRICULA

    table = Table("curriculum", "stages (task, control steps)")
    for curriculum in CURRICULA.values():
        table.add_row(curriculum.name, ", ".join(map(str, curriculum.stages)))
    _console().print(table)


def bench(
    num_envs: int = 256,
    seconds: float = 2.0,
    ppo_task: str = "pick-place",
    metaworld: Path | None = None,
    json: Path | None = None,
) -> None:
    """Measure the speed of the simulations and of PPO, and what a picture costs.

    The bare physics repeats the same controls, with no task on top of it.

    Both take turns through one episode; of each turn the fastest counts.

    Meta-World pins an older MuJoCo and needs an environment of its own:

    python -m venv mw; mw/bin/pip install metaworld stable-baselines3 packaging

    clrobot bench --metaworld mw/bin/python

    Args:
        num_envs: simulations stepped together.
        seconds: how long each measurement lasts, about.
        ppo_task: the task that PPO is measured on.
        metaworld: a Python with Meta-World and Stable-Baselines3, to measure Meta-World's simulations beside ours,
            each in a process of its own.
        json: also write the figures to this file.
    """
    from clrobot.bench import run_bench

    _at_least(num_envs, "--num-envs")
    run_bench(num_envs, seconds, ppo_task, metaworld, json, _console())


def overhead(method: tuple[str, ...] = ("ewc", "distillation"), rounds: int = 15) -> None:
    """Measure what methods add to the time of learning.

    Updates with a method and without take turns; three tasks are protected.

    Args:
        method: the methods.
        rounds: updates of each.
    """
    from clrobot.overhead import measure_overhead

    _at_least(rounds, "--rounds")
    table = Table("method", title="one update of PPO, learning alone", title_justify="left")
    table.add_column("milliseconds", justify="right")
    table.add_column("against finetune", justify="right")
    for found in measure_overhead(method, rounds):
        table.add_row(found.method, f"{1000 * found.seconds:.1f}", f"{found.ratio - 1:+.1%}")
    _console().print(table)


def learning(
    task: tuple[str, ...] = (),
    seed: tuple[int, ...] = (0, 1, 2),
    steps: int = 1_000_000,
    every: int = 8192,
    config: Path | None = None,
    label: str = "",
    out: Path | None = None,
) -> None:
    """Measure how soon each task is learned alone: steps and seconds to .5 and .9.

    A training ends at its first evaluation of .9 or more.

    Args:
        task: the tasks; by default all.
        seed: the seeds of each task's trainings; the table has their medians.
        steps: the most control steps of one training.
        every: control steps between evaluations.
        config: every other setting, as in train.
        label: a name for these settings among the rows of --out.
        out: keep each training as a line of JSON in this file; what is there is not trained again, unless it gave
            up before --steps.
    """
    from clrobot.config import make_config, read_config
    from clrobot.curriculum import TASK_IDS, unknown_task
    from clrobot.learning import learn_all, medians

    _at_least(steps, "--steps")
    _at_least(every, "--every")
    for name in task:
        if name not in TASK_IDS:
            raise UserError(unknown_task(name))
    console = _console()

    def tell(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True)

    base = make_config() if config is None else read_config(config)
    rows = learn_all(base, task or TASK_IDS, seed, steps, every, label, out, tell)
    table = Table("task", title=f"{base.algo} alone on each task, medians of {len(seed)} seeds", title_justify="left")
    for column in ("steps to .5", "steps to .9", "seconds to .9", "seeds at .9"):
        table.add_column(column, justify="right")
    for row in medians(rows):
        numbers = ("–" if value is None else f"{value:,.0f}" for value in (row.half, row.learned, row.seconds))
        table.add_row(row.task, *numbers, f"{row.reached} of {row.seeds}")
    console.print(table)


def _train_verb(words: Sequence[str]) -> Callable[..., None]:
    """Return the verb `train`, whose flags are the settings and whose defaults come from `--config`."""
    from clrobot.config import full_config_class, read_config

    file = _value_of("--config", words)
    default = full_config_class()() if file is None else read_config(Path(file))

    def train(settings: Any = default, out: Path | None = None, config: Path | None = None) -> None:
        """Train one agent through a curriculum, into a new run folder.

        After every stage all skills are measured, and those so far are filmed.

        Args:
            settings: every setting.
            out: the new run's folder; by default runs/CURRICULUM-METHOD-SEED.
            config: read the settings from this YAML file (such as a run's config.yaml); flags override it.
        """
        name = f"{settings.curriculum.name}-{settings.method}-{settings.seed}"
        console = _console()
        run = _train(settings, out or Path("runs") / name, console)
        _summarise(run, console)

    train.__annotations__["settings"] = Annotated[full_config_class(), tyro.conf.arg(name="")]
    return train


def _train_in_help() -> None:
    """Train one agent through a curriculum, into a new run folder."""


VERBS: dict[str, Callable[..., None]] = {
    "demo": demo,
    "train": _train_in_help,
    "evaluate": evaluate,
    "record": record,
    "export": export,
    "resume": resume,
    "extend": extend,
    "sweep": sweep,
    "report": report,
    "plot": plot,
    "compare": compare,
    "references": references,
    "tasks": tasks,
    "sheet": sheet,
    "methods": methods,
    "curricula": curricula,
    "bench": bench,
    "overhead": overhead,
    "learning": learning,
}


def main(words: Sequence[str] | None = None) -> None:
    """Run the command `clrobot` with these words (None: the process's own)."""
    words = sys.argv[1:] if words is None else list(words)
    with _errors():
        verbs, registry = dict(VERBS), None
        if words[:1] == ["train"]:
            from clrobot.config import COMMAND_LINE

            verbs["train"], registry = _train_verb(words), COMMAND_LINE
        tyro.extras.subcommand_cli_from_dict(
            verbs,
            prog="clrobot",
            description="Train one robot arm through a sequence of skills, and see what it kept.",
            args=words or ["--help"],
            registry=registry,
        )


@contextmanager
def _errors() -> Iterator[None]:
    """Turn the user's mistakes into one sentence and exit code 2."""
    try:
        yield
    except (UserError, NeedsBatch, RenderError) as error:
        _fail(str(error))
    except KeyboardInterrupt:
        print("clrobot: stopped", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        if error.filename is None:
            raise
        _fail(f"{error.filename}: {error.strerror}; give a path that can be used")
    except TrainingStopped as error:
        print(f"clrobot: {error}", file=sys.stderr)
        sys.exit(130)


def _fail(sentence: str) -> None:
    from clrobot.curriculum import cut

    print(f"clrobot: {cut(sentence, 480)}", file=sys.stderr)
    sys.exit(2)


def _console() -> Console:
    return Console()


def _at_least(value: int, flag: str, least: int = 1) -> None:
    if value < least:
        raise UserError(f"{flag} {value}; expected {least} or more")


def _value_of(flag: str, words: Sequence[str]) -> str | None:
    for word, following in zip(words, [*words[1:], None], strict=True):
        if word.startswith(f"{flag}="):
            return word.removeprefix(f"{flag}=")
        if word == flag:
            return following
    return None


def _expand(paths: Sequence[Path]) -> list[RunFolder]:
    """Return the runs at these paths, one or more."""
    from clrobot.comparison import expand

    if not paths:
        raise UserError("no run; give one or more run folders")
    return expand(paths)


def _common_folder(runs: Sequence[RunFolder]) -> Path:
    """Return the folder that holds all of these runs."""
    return Path(os.path.commonpath([run.path.resolve().parent for run in runs]))


def _open(run: Path, stage: int | None) -> tuple[RunFolder, Any]:
    import torch

    from clrobot.checkpoint import load_agent
    from clrobot.run_folder import RunFolder

    folder = RunFolder.open(run)
    torch.set_num_threads(folder.config.torch_threads)  # the training's own bits, and quicker where cores are busy
    return folder, load_agent(folder, stage)


def _train(config: RunConfig, out: Path, console: Console) -> RunFolder:
    from clrobot.display import TerminalObserver
    from clrobot.interrupt import leaving, stopping
    from clrobot.run_folder import check_free
    from clrobot.train import Training

    check_free(out)  # before anything is shown
    with leaving(out), TerminalObserver(config.curriculum, config.method, console) as observer:
        training = Training.begin(config, out, observer)
        with stopping(training):
            return training.run_all()


def _resume(run: Path, console: Console) -> RunFolder:
    from clrobot.display import TerminalObserver
    from clrobot.interrupt import leaving, stopping
    from clrobot.run_folder import RunFolder
    from clrobot.train import Training

    config = RunFolder.open(run).config
    with leaving(run), TerminalObserver(config.curriculum, config.method, console) as observer:
        training = Training.resume(run, observer)
        with stopping(training):
            return training.run_all()


def _summarise(run: RunFolder, console: Console) -> None:
    """Show how a training ended."""
    console.print(_comparison([run]))
    console.print(f"report  {run.path / 'report.html'}", highlight=False, soft_wrap=True)
    _tell_failures(run, console)


def _tell_failures(run: RunFolder, console: Console) -> None:
    """Show what did not stop the training, and yet went wrong."""
    metrics = run.read_metrics()
    if films := metrics["failed_recordings"]:
        told = f"failed recordings: {films}; film again with: clrobot record {run.path}"
        console.print(told, style="yellow", highlight=False, markup=False, soft_wrap=True)
    if diverged := metrics["diverged_simulations"]:
        told = f"simulations that diverged and were reset: {diverged}"
        console.print(told, style="yellow", highlight=False, markup=False, soft_wrap=True)


def _comparison(runs: list[RunFolder]) -> Table:
    """Return the table of a few runs' headline numbers."""
    table = Table("method")
    for column in ("average success", "forgetting", "seconds", "parameters"):
        table.add_column(column, justify="right")
    for run in runs:
        metrics = run.read_metrics()
        table.add_row(
            run.config.method,
            _number(metrics["average_success"]),
            _number(metrics["forgetting"]),
            f"{sum(metrics['seconds'].values()):.0f}",
            f"{metrics['parameters']['total']:,}",
        )
    return table


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
