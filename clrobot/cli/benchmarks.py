"""The verbs that measure speed."""

from __future__ import annotations

from pathlib import Path

from clrobot.cli.common import MOST_THREADS, at_least, check_file, check_seeds, open_console
from clrobot.errors import UserError, shown
from clrobot.files import atomic
from clrobot.results.numbers import grouped, json_text, number

_MOST_SIMULATIONS = 65_536  # as the settings' own: `ppo.num-envs`
_MOST_ROUNDS = 100_000


def bench(
    num_envs: int = 256,
    seconds: float = 2.0,
    ppo_task: str | None = None,
    metaworld: Path | None = None,
    envpool: Path | None = None,
    envpool_learning: Path | None = None,
    world: str | None = None,
    json: Path | None = None,
    threads: int = 0,
) -> None:
    """Measure the speed of the simulations and of PPO, and what a picture costs.

    The bare physics repeats the same controls, with no task on top of it.

    Both take turns through one episode; of each turn the fastest counts.

    Meta-World pins an older MuJoCo and needs an environment of its own:

    python -m venv mw; mw/bin/pip install metaworld stable-baselines3 packaging

    clrobot bench --metaworld mw/bin/python

    EnvPool is large, and an environment of its own does:

    python -m venv ep; ep/bin/pip install envpool stable-baselines3

    clrobot bench --envpool ep/bin/python

    clrobot bench --world gymnasium:Reacher-v5 --num-envs 64

    Args:
        num_envs: simulations stepped together.
        seconds: how long each measurement lasts, about.
        ppo_task: the task that PPO is measured on; by default pick-place.
        metaworld: a Python with Meta-World and Stable-Baselines3, to measure Meta-World's simulations beside ours,
            each in a process of its own.
        envpool: a Python with EnvPool 1.2 or later, to measure its native simulations (Meta-World's and Playground's)
            beside ours, as many on as many threads.
        envpool_learning: also measure how soon PPO learns a skill there (which needs Stable-Baselines3 there) and
            here, after a short search of settings for each, and keep each training as a line of JSON in this file:
            up to two hours; what is there is not trained again.
        world: measure this world of others' alone, beside Gymnasium's own vector environment or EnvPool's bare pool.
        json: also write the figures to this file.
        threads: of the physics; 0: all cores that the process may use.
    """
    from clrobot.benchmarks.bench import run_bench
    from clrobot.benchmarks.world_speed import own_name, world_speed

    at_least(num_envs, "--num-envs", most=_MOST_SIMULATIONS)
    at_least(threads, "--threads", 0, MOST_THREADS)
    check_file(json, "--json")
    check_file(envpool_learning, "--envpool-learning")
    if not 0 < seconds <= 3600:
        raise UserError(f"--seconds {seconds}; expected a positive number, at most 3600")
    if json is not None and not json.parent.is_dir():
        raise UserError(f"--json {json}: there is no folder {json.parent}; make it first")
    if world is not None:
        if threads or any(given is not None for given in (ppo_task, metaworld, envpool, envpool_learning)):
            raise UserError(
                f"--world {shown(world)} is measured alone, as it is trained; leave out --threads, --ppo-task, "
                "--metaworld, --envpool and --envpool-learning"
            )
        found = world_speed(world, num_envs, seconds)
        if json is not None:
            with atomic(json) as file:
                file.write_text(json_text(found._asdict()) + "\n", encoding="utf-8")
        pace = f"{found.steps_per_second:,} steps/s, {own_name(world)} {found.own_steps_per_second:,}"
        ratios = f"ratio {number(found.ratio, decimals=3)}, median of rounds {number(found.median_ratio, decimals=3)}"
        open_console().print(f"{world}, {num_envs} environments: {pace} ({ratios})", soft_wrap=True)
        return
    run_bench(
        num_envs,
        seconds,
        ppo_task or "pick-place",
        metaworld,
        json,
        open_console(),
        threads,
        envpool=envpool,
        envpool_learning=envpool_learning,
    )


def overhead(
    method: tuple[str, ...] = ("ewc", "distillation"), rounds: int = 15, threads: int = 0, curriculum: str = "cr4"
) -> None:
    """Measure what methods add to the time of learning.

    Updates with a method and without take turns, in a curriculum's last stage.

    Args:
        method: the methods.
        rounds: updates of each.
        threads: of the physics; 0: all cores that the process may use.
        curriculum: its name or its file.
    """
    from rich.table import Table

    from clrobot.benchmarks.overhead import measure_overhead

    at_least(rounds, "--rounds", most=_MOST_ROUNDS)
    at_least(threads, "--threads", 0, MOST_THREADS)
    table = Table("method", title="one update of PPO, learning alone", title_justify="left")
    table.add_column("milliseconds", justify="right")
    table.add_column("against finetune", justify="right")
    for found in measure_overhead(method, rounds, threads, curriculum):
        change = number(100 * (found.ratio - 1), signed=True, decimals=1)
        table.add_row(found.method, number(1000 * found.seconds, decimals=1), f"{change} %")
    open_console().print(table)


def learning(
    task: tuple[str, ...] = (),
    seed: tuple[int, ...] = (0, 1, 2),
    steps: int = 1_000_000,
    every: int = 8192,
    config: Path | None = None,
    label: str = "",
    out: Path | None = None,
    threads: int | None = None,
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
        threads: of the physics; 0: all cores that the process may use. By default those of --config, or all.
    """
    from rich.table import Table

    from clrobot.benchmarks.learning import learn_all, medians
    from clrobot.envs.tasks import TASKS_BY_ID
    from clrobot.experiment.config import make_config
    from clrobot.experiment.config_file import read_config
    from clrobot.experiment.curriculum import MAX_STEPS

    at_least(steps, "--steps", most=MAX_STEPS)
    at_least(every, "--every", most=MAX_STEPS)
    if threads is not None:
        at_least(threads, "--threads", 0, MOST_THREADS)
    check_seeds(seed)
    check_file(out)
    for name in task:
        _ = TASKS_BY_ID[name]  # refused before anything is trained
    console = open_console()

    def tell(line: str) -> None:
        console.print(line, soft_wrap=True)

    base = make_config() if config is None else read_config(config)
    if threads is not None:
        base = base.model_copy(update={"threads": threads})
    rows = learn_all(base, task or tuple(TASKS_BY_ID), seed, steps, every, label, out, tell)
    table = Table("task", title=f"{base.algo} alone on each task, medians of {len(seed)} seeds", title_justify="left")
    for column in ("steps to .5", "steps to .9", "seconds to .9", "seeds at .9"):
        table.add_column(column, justify="right")
    for row in medians(rows):
        table.add_row(row.task, *map(grouped, (row.half, row.learned, row.seconds)), f"{row.reached} of {row.seeds}")
    console.print(table)
