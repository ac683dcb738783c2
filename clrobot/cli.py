"""The command line: one function for each verb; its parameters are the flags and its docstring the help text.

What a verb needs is imported inside it, so that help and lists come without loading torch.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table

from clrobot.envs.renderer import RenderError
from clrobot.envs.sim import NeedsBatch
from clrobot.errors import TrainingStopped, UserError

if TYPE_CHECKING:
    from clrobot.config import RunConfig
    from clrobot.run_folder import RunFolder

_Run = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
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
) -> None:
    """Measure an existing run's skills.

    Args:
        run: the run's folder.
        task: one task; by default each one.
        stage: the agent as it was after this stage (0: untrained); by default the newest.
        episodes: episodes of each task.
        seed: of the start states; by default those of the training's own evaluations.
    """
    from clrobot.evaluate import Evaluator

    _at_least(episodes, "--episodes")
    if seed is not None:
        _at_least(seed, "--seed", 0)
    folder, agent = _open(run, stage)
    slots = range(len(agent.slots)) if task is None else [agent.slot_index(task)]
    evaluator = Evaluator(folder.config.curriculum, folder.config.evaluation.seed if seed is None else seed)
    table = Table(title=f"{run.name}, after stage {agent.stage}", title_justify="left")
    table.add_column("task")
    for column in ("any step", "final step", "mean return"):
        table.add_column(column, justify="right")
    for slot in slots:
        outcome = evaluator.episodes(agent.policy, slot, episodes)
        untrained = "" if slot < agent.stage else "  (not trained yet)"
        table.add_row(
            agent.slots[slot] + untrained,
            f"{outcome.success_any.mean():.2f}",
            f"{outcome.success_final.mean():.2f}",
            f"{outcome.returns.mean():.1f}",
        )
    console = _console()
    console.print(table)
    console.print(f"Success over {episodes} episodes of each task, deterministic actions.", style="dim")


def record(
    run: _Run,
    task: str | None = None,
    stage: int | None = None,
    out: Path | None = None,
    episodes: int = 2,
) -> None:
    """Film an existing run's skills, with or without OpenGL.

    Args:
        run: the run's folder.
        task: one task; by default each one trained so far.
        stage: the agent as it was after this stage (0: untrained); by default the newest.
        out: where the films go; by default videos/RUN/stage_KK.
        episodes: episodes in each film.
    """
    from clrobot.envs.render import default_backend
    from clrobot.evaluate import Evaluator
    from clrobot.record import Film
    from clrobot.record import record as record_film
    from clrobot.run_folder import stage_name

    _at_least(episodes, "--episodes")
    folder, agent = _open(run, stage)
    config = folder.config
    slots = range(max(1, agent.stage)) if task is None else [agent.slot_index(task)]
    target = out or Path("videos") / run.resolve().name / stage_name(agent.stage)
    evaluator = Evaluator(config.curriculum, config.evaluation.seed)
    default_backend()  # refused before anything is made
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {target}: {error.strerror}; give a folder that can be made") from error
    console = _console()
    for slot in slots:
        rate = float(evaluator.episodes(agent.policy, slot, config.evaluation.episodes).success_any.mean())
        path = target / f"{agent.slots[slot]}.mp4"
        film = Film(agent.stage, config.method, rate)
        record_film(path, agent, config.curriculum, slot, film, episodes=episodes, seed=config.evaluation.seed)
        console.print(f"{path}  success {rate:.2f}", highlight=False, soft_wrap=True)


def resume(run: _Run) -> None:
    """Go on with a training that was stopped or killed.

    It ends with the same bits as one that never stopped.

    Args:
        run: the run's folder.
    """
    from clrobot.display import TerminalObserver
    from clrobot.interrupt import leaving, stopping
    from clrobot.run_folder import RunFolder
    from clrobot.train import Training

    config = RunFolder.open(run).config
    console = _console()
    with leaving(run), TerminalObserver(config.curriculum, config.method, console) as observer:
        training = Training.resume(run, observer)
        with stopping(training):
            folder = training.run_all()
    _summarise(folder, console)


def report(run: _Run) -> None:
    """Write the run's report.html again.

    Args:
        run: the run's folder.
    """
    from clrobot.report import write_report
    from clrobot.run_folder import RunFolder

    _console().print(str(write_report(RunFolder.open(run).path)), highlight=False, soft_wrap=True)


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
        table.add_row(curriculum.name, ", ".join(f"{s.task} {s.steps:,}" for s in curriculum.stages))
    _console().print(table)


def bench(num_envs: int = 256, seconds: float = 2.0, ppo_task: str = "pick-place", json: Path | None = None) -> None:
    """Measure the speed of the simulations and of PPO.

    The bare physics repeats the same controls, with no task on top of it.

    Args:
        num_envs: simulations stepped together.
        seconds: how long each measurement lasts, about.
        ppo_task: the task that PPO is measured on.
        json: also write the figures to this file.
    """
    from clrobot.bench import run_bench

    _at_least(num_envs, "--num-envs")
    run_bench(num_envs, seconds, ppo_task, json, _console())


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
    "resume": resume,
    "report": report,
    "tasks": tasks,
    "sheet": sheet,
    "methods": methods,
    "curricula": curricula,
    "bench": bench,
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


def _open(run: Path, stage: int | None) -> tuple[RunFolder, Any]:
    from clrobot.checkpoint import load_agent
    from clrobot.run_folder import RunFolder

    folder = RunFolder.open(run)
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
