"""The page of all published data: how it was measured, tables and figures, all drawn while the site is built."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from clrobot.comparison.comparison import Comparison
from clrobot.comparison.markdown import table
from clrobot.comparison.readme import tuning_table
from clrobot.comparison.speed_tables import TABLES as SPEED_TABLES
from clrobot.envs.tasks import TASKS
from clrobot.experiment.curricula import CURRICULA
from clrobot.experiment.curriculum import Curriculum
from clrobot.published import speed, tuning
from clrobot.published.literature import PROTOCOL, read_literature
from clrobot.published.provenance import PACKAGES
from clrobot.published.references import EPISODES, EVERY
from clrobot.published.results import PublishedRun
from clrobot.published.rows import read_rows
from clrobot.published.speed import Speed, read_speed
from clrobot.published.tuning import Trial
from clrobot.report.figures.bars import comparison_figure
from clrobot.report.figures.matrices import transfer_figure
from clrobot.report.figures.of_comparison import bars, final_successes, transfers_by_task
from clrobot.report.transfer_page import best_starts, matrix_of
from clrobot.results.numbers import grouped, number, percent
from clrobot.runs.recall import repeated
from clrobot.runs.transfer_file import PUBLISHED, TransferRow, parse_transfer
from making import published
from making.figures import figure
from making.markdown import page

# The files; a test puts others in their place.
TUNING: Path = tuning.FILE
TRANSFER: Path = tuning.FILE.parent.parent / PUBLISHED
SPEED: Path = speed.FILE


def benchmarks() -> str:
    """Return the page of all published results."""
    found = published.runs_of(published.RESULTS)
    return page(
        "# Benchmarks",
        "Every number and figure here is drawn from the files in `clrobot/published`, which the package ships: a row "
        "for each run and metric, with the command that made it and the versions that it was made with. What each "
        "column means is said in [Concepts](concepts.md), and the same runs stand beside your own with `clrobot "
        "compare YOUR-RUN --published`.",
        "## How it is measured" if found else "",
        _protocol() if found else "",
        *(part for name, runs in found.items() for part in _curriculum(name, runs)),
        "" if found else f"**{published.NOT_MEASURED}** The package ships no published results yet.",
        *_alone(),
        *_tries(),
        *_transfer(),
        *_speed(),
        "## Make your own",
        "[Many runs](howto/many-runs.md) says how to train several methods over several seeds and compare them. How "
        "fast it is on your machine is a measurement too: `clrobot bench` measures the environments, and `clrobot "
        "learning` how soon PPO learns each task. [Why numbers differ between machines](questions.md).",
    )


def _protocol() -> str:
    return (
        "Success is at any step of an episode, with mean actions, from start states that no training seed decides. "
        "A row is one method with one set of settings, and every seed that was run and by which nothing was chosen. "
        "In brackets stands the 95 % interval over the seeds: Student's t below ten of them, the bootstrap from ten "
        "on. That of forward transfer also goes by how far the references spread. Differences are paired by seed; "
        "one whose interval leaves out zero is bold, of four seeds or more; none is adjusted for how many there are."
    )


def _curriculum(name: str, runs: Sequence[PublishedRun]) -> list[str]:
    comparison = published.compared(published.RESULTS, name)
    parts = [f"## {name}", _measured(name, runs, comparison)]
    if panels := bars(comparison):
        drawn = figure(lambda width: comparison_figure(panels, width), f"methods on {name}")
        parts += ["Means over the seeds, with their intervals; each dot is a seed:", drawn]
    for n, final in enumerate(final_successes(comparison), start=1):
        label = f"success on each task at the end of {name}" + (f" ({n})" if n > 1 else "")
        parts += ["Success on each task after the last stage:", figure(final.draw, label)]
    transfers = transfers_by_task(comparison)
    for n, transfer in enumerate(transfers, start=1):
        label = f"forward transfer to each task of {name}" + (f" ({n})" if n > 1 else "")
        dotted = (
            "; dotted, what the matrix below, one training a pair, promises of the best of the earlier tasks"
            if transfer.ceiling
            else ""
        )
        parts += [f"Forward transfer to each task, with its interval{dotted}:", figure(transfer.draw, label)]
    return [
        *parts,
        *published.tables(name),
        "### Differences",
        *published.tables(name, "differences"),
        "### Costs",
        *published.tables(name, "costs"),
        *(["### Forward transfer to each task", *published.tables(name, "transfer")] if transfers else ()),
        *_elsewhere(name),
    ]


def _elsewhere(name: str) -> list[str]:
    """Return what others published of the same curriculum, and how it was measured."""
    figures = read_literature(name)
    if not figures:
        return []
    rows = [
        (f.method, *map(number, (f.average_success, f.forgetting, f.forward_transfer)), f.source) for f in figures
    ]
    head = ("method", "average success", "forgetting", "forward transfer", "source")
    return ["### Published elsewhere", PROTOCOL, table(head, rows, numbers=(1, 2, 3))]


def _measured(name: str, runs: Sequence[PublishedRun], comparison: Comparison) -> str:
    """Return in sentences what was trained, by which seeds, and with what."""
    curricula = {group.config.curriculum.model_dump_json(): group.config.curriculum for group in comparison.groups}
    stages = [f"{s.name} for {grouped(s.steps)} steps" for s in next(iter(curricula.values())).stages]
    trained = ", then ".join(stages)
    seeds = sorted({run.first.seed for run in runs})
    episodes = sorted({group.config.evaluation.episodes for group in comparison.groups})
    starts = _each(run.first.evaluation_seed for run in runs)
    tried = {trial.seed for trial in _trials() if trial.curriculum == name}
    first = runs[0].first
    versions = [f"{package} {_each(getattr(run.first, c) for run in runs)}" for c, package in PACKAGES.items()]
    commits = [f"`{commit[:12]}`" for commit in sorted({run.first.commit for run in runs}) if commit]
    return " ".join(
        [
            f"{trained[:1].upper()}{trained[1:]}." if len(curricula) == 1 else "",
            f"{len(runs)} runs, seed{'s' if len(seeds) > 1 else ''} {_ranges(seeds)}; {_each(episodes)} episodes of "
            f"each task after each stage; evaluation seed {starts}.",
            _overlap(seeds, tried),
            _recall(comparison.groups[0].config.curriculum),
            f"Physics {_each(run.first.physics for run in runs)}; {', '.join(versions)}; clrobot at "
            f"{', '.join(commits) or 'no noted commit'}.",
            _simulated(stage.task for curriculum in curricula.values() for stage in curriculum.stages),
            f"The first run again: `{first.command}`.",
        ]
    ).strip()


def _simulated(tasks: Iterable[str]) -> str:
    """Return what simulates tasks where no row names its version."""
    theirs = any(task.startswith("envpool:") for task in tasks)
    return "EnvPool simulates them; today's `constraints.txt` names its version." if theirs else ""


def _overlap(seeds: Sequence[int], tried: set[int]) -> str:
    """Return whether seeds that are reported were among those by which something was chosen on the curriculum."""
    if not tried:
        return ""
    both = sorted(tried & {*seeds})
    tries = "among the tries [below](#what-choices-were-made-by)"
    if not both:
        return f"None of these seeds was {tries}."
    return f"Seeds {_ranges(both)} were {tries}: what was chosen by them may suit them."


def _recall(curriculum: Curriculum) -> str:
    again = [name for name, before in zip(curriculum.slots, repeated(curriculum), strict=True) if before]
    if not again:
        return ""
    return f"What is gained on {', '.join(again)} is recall as much as transfer: the task came before."


def _alone() -> list[str]:
    """Return how soon each task is learned from a fresh network."""
    lines = [
        (f"[{task.id}](tasks/{task.id}.md)", *(published.steps_to(task.id, success) for success in (0.5, 0.9)))
        for task in TASKS
        if published.alone(task.id)
    ]
    if not lines:
        return []
    return [
        "## Each task alone",
        "PPO with default settings, from a fresh network: what forward transfer is measured against. The steps are "
        f"those of the first point of a learning curve ({EPISODES} episodes each) whose success, at any step, is so "
        "high.",
        table(("task", "to a success of .5", "to a success of .9"), lines),
    ]


def _trials() -> list[Trial]:
    return read_rows(TUNING, Trial, tuning.WHAT) if TUNING.is_file() else []


def _tries() -> list[str]:
    """Return what was tried before anything was reported."""
    trials = _trials()
    if not trials:
        return []
    ours = sorted({trial.curriculum for trial in trials} & CURRICULA.ours.keys())
    others = sorted({trial.curriculum for trial in trials} - CURRICULA.ours.keys())
    candidates = f" What {', '.join(others)} are stands in `docs/data/candidates`." if others else ""
    seeds = _ranges(sorted({trial.seed for trial in trials}))
    return [
        "## What choices were made by",
        f"Tries on {', '.join([*ours, *others])}, seeds {seeds}; the mean area is that under the learning curves, "
        f"each in its own stage.{candidates}",
        "A default was moved where a try was clearly better on them, and not for each hundredth. By first3's tries "
        "the sequence was chosen: of six the one on which fine-tuning forgets most. What stands in no table: PPO's "
        "own settings were chosen on all sixteen tasks alone, those of Meta-World's curricula on three of its tasks, "
        "of which [one is mw4's](howto/envpool.md), and an earlier rule of how skills begin was given up for what it "
        "did on first3's reported seeds.",
        tuning_table(trials),
    ]


def _transfer() -> list[str]:
    """Return which task helps which to be learned; nothing before it is measured."""
    rows: list[TransferRow] = []
    if TRANSFER.is_file():
        rows = parse_transfer(TRANSFER.read_text(encoding="utf-8"), TRANSFER.name)
    if not rows:
        return []
    tasks, matrix = matrix_of(rows)
    best = best_starts(tasks, matrix)
    seeds, budgets = _ranges(sorted({row.seed for row in rows})), _each(row.budget for row in rows)
    alone = " or ".join(
        f"the mean of {count} references" if count > 1 else "one training, where no reference is as long"
        for count in sorted({row.trained_alone for row in rows}, reverse=True)
    )
    return [
        "## What helps what",
        "Forward transfer from each task, learned first (rows), to each other one (columns), which begins as a copy "
        f"of it; seeds {seeds}, over {budgets} control steps. Green: learned sooner than alone. A cell is a training "
        f"for each seed, beside the task alone: {alone}. The best of fifteen such cells is mostly more than further "
        f"trainings would give. And a reference has a point every {grouped(EVERY)} control steps, a pair about every "
        "4,500: to a task that is learned within two points (reach, button-press), whose best areas leave little "
        "room, that alone may move a whole column by a tenth.",
        figure(lambda width: transfer_figure(np.asarray(matrix), tasks, width), "which task helps which"),
        table(
            ("task", "the best start", "forward transfer"),
            [(found.task, found.source, number(found.gain, signed=True)) for found in best],
            numbers=(2,),
        ),
    ]


def _speed() -> list[str]:
    """Return how fast it all was where it was measured."""
    found = read_speed(SPEED) if SPEED.is_file() else None
    if found is None:
        return []
    step, ppo, machine = found.learning, found.ppo, found.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    shares = ", ".join(f"{name} {percent(share)}" for name, share in ppo.shares.items())
    return [
        "## Speed",
        f"`clrobot bench`, on a machine of {machine.cpu_count} cores ({machine.machine}), the simulations on "
        f"{'all' if found.threads == 0 else found.threads} of them; clrobot at "
        f"`{machine.commit or 'no noted commit'}`, physics {machine.physics}, {versions}. Speeds are of that "
        "machine; ratios of steps were taken in one run, both sides in short turns.",
        f"{found.num_envs} simulations with random actions, resets included, beside the bare physics of the same "
        "controls:",
        SPEED_TABLES["tasks"](found) or "",
        f"PPO on {ppo.task}, {ppo.num_envs} simulations: {grouped(ppo.steps_per_second)} control steps a second "
        f"({shares}). Its gradient step takes {number(step.step_ms)} ms, {number(step.ratio)} times its matrix "
        f"products and tanh alone ({number(step.floor_ms)} ms).",
        *_neighbour(found),
    ]


def _neighbour(speed: Speed) -> list[str]:
    """Return the same beside EnvPool, where that was measured."""
    beside = speed.envpool
    if beside is None:
        return []
    threads = _each(pair.threads for pair in beside.pairs)
    by_step: dict[float, list[str]] = {}
    for pair in beside.pairs:
        by_step.setdefault(1000 * pair.envpool_control_step, []).append(pair.envpool_task)
    theirs = " and ".join(f"{step:g} ms in {', '.join(tasks)}" for step, tasks in by_step.items())
    parts = [
        "### Beside EnvPool",
        f"EnvPool {beside.versions.get('envpool', '')} has Meta-World and Playground's Panda in C++, in one's own "
        f"process: what one would take instead on a CPU. {beside.num_envs} simulations of each on {threads} threads. "
        f"A control step is {1000 * beside.control_step:g} ms here, {theirs}.",
        SPEED_TABLES[""](speed) or "",
    ]
    if skills := SPEED_TABLES["skills"](speed):
        parts += [
            "A step is not a skill. Seconds of PPO until a success of .9, medians over the seeds, evaluations left "
            "out, each side with the best settings of a short search on another task; as many networks of as many "
            "units, and the simulations on all cores. The trainings of both sides took turns:",
            skills,
        ]
    return parts


def _each(values: Iterable[int | str]) -> str:
    """Return the different values, sorted, as an enumeration."""
    return ", ".join(grouped(value) if isinstance(value, int) else value for value in sorted({*values}))  # type: ignore[type-var]


def _ranges(seeds: Sequence[int]) -> str:
    """Return rising whole numbers with those that follow one another as ranges: `10–14, 20`."""
    parts: list[list[int]] = []
    for seed in seeds:
        if parts and seed == parts[-1][-1] + 1:
            parts[-1].append(seed)
        else:
            parts.append([seed])
    return ", ".join(f"{part[0]}–{part[-1]}" if len(part) > 1 else str(part[0]) for part in parts)
