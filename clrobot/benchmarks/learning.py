"""How soon the algorithm learns each task alone: control steps and seconds to a success of .5 and of .9."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final, Self

import torch as th
from pydantic import BaseModel, ConfigDict, ValidationError

from clrobot.agents.algorithms.algorithm import Algorithm
from clrobot.agents.vec_env import SlotVecEnv
from clrobot.errors import UserError
from clrobot.evaluation.evaluator import Evaluator
from clrobot.experiment.build import check_device, network_arguments
from clrobot.experiment.config import RunConfig, make_algorithm, make_config, settings_in_use
from clrobot.experiment.curriculum import Stage
from clrobot.experiment.stage_env import stage_env
from clrobot.experiment.torch_threads import torch_threads_put_back
from clrobot.results.numbers import number

HALF: Final = 0.5
LEARNED: Final = 0.9  # the success at which a task counts as learned, and its training ends


class Learning(BaseModel):
    """One task's training from a fresh network, up to its first evaluation of LEARNED or more.

    Attributes:
        task: its id.
        seed: of the network, the start states and the actions.
        label: which settings: rows of one label differ in task and seed only.
        steps: control steps trained.
        success: of the last evaluation.
        half: control steps to the first evaluation of HALF or more.
        learned: control steps to the first evaluation of LEARNED or more.
        seconds: of training alone, evaluations left out.
        curve: each evaluation: control steps so far, success.
        settings: twelve digits that another algorithm, network or evaluation would change; none where the label says.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str
    seed: int
    label: str
    steps: int
    success: float
    half: int | None
    learned: int | None
    seconds: float
    curve: list[tuple[int, float]]
    settings: str = ""

    @classmethod
    def of(
        cls, task: str, seed: int, label: str, curve: Sequence[tuple[int, float]], seconds: float, settings: str = ""
    ) -> Self:
        """Return the row of a training that had these evaluations, one or more."""

        def first(least: float) -> int | None:
            return next((step for step, success in curve if success >= least), None)

        return cls(
            task=task,
            seed=seed,
            label=label,
            steps=curve[-1][0],
            success=curve[-1][1],
            half=first(HALF),
            learned=first(LEARNED),
            seconds=round(seconds, 3),
            curve=list(curve),
            settings=settings,
        )

    def within(self, steps: int) -> Learning:
        """Return what counts of it where a training may take so many steps: a success that came later does not."""
        half, learned = (None if at is not None and at > steps else at for at in (self.half, self.learned))
        return self.model_copy(update={"half": half, "learned": learned})


def fresh_learner(config: RunConfig, stage: Stage, seed: int, steps: int) -> tuple[Algorithm, Any, SlotVecEnv]:
    """Return the algorithm, a model with a fresh network at the start of `stage`, and the simulations it acts in.

    Torch then computes with the configuration's threads; whoever calls this puts them back.

    Raises:
        UserError: the configuration's device cannot be used.
    """
    check_device(config.device)
    th.set_num_threads(config.torch_threads)
    algorithm = make_algorithm(config)
    as_paid, threads = algorithm.rewards_as_paid, config.threads
    world = stage_env(stage, algorithm.settings.num_envs, training=True, as_paid=as_paid, threads=threads)
    env = SlotVecEnv(world, 0)
    env.seed(seed)
    model = algorithm.make(env, network_arguments(config), seed, config.device)
    algorithm.begin_slot(model, (0,), env, steps)
    return algorithm, model, env


@torch_threads_put_back()
def learn(config: RunConfig, task: str, seed: int, steps: int, every: int, label: str = "") -> Learning:
    """Train on `task` alone until an evaluation's success is LEARNED or more, or for `steps` control steps.

    Args:
        config: every other setting; its curriculum, method and plasticity options play no part. An evaluation has
            `config.evaluation.episodes` episodes (success at any step, mean actions).
        task: its id.
        seed: of the network, the start states and the actions.
        steps: the most control steps, rounded up to whole iterations.
        every: control steps between evaluations, rounded up to whole iterations.
        label: kept with the result.
    """
    config = make_config(
        **config.model_dump()
        | {
            "method": "finetune",
            "seed": seed,
            "curriculum": {"name": task, "stages": [{"task": task, "steps": steps}]},
        }
    )
    algorithm, model, _ = fresh_learner(config, config.curriculum.stages[0], seed, steps)
    evaluator = Evaluator(config.curriculum, config.evaluation.seed, config.threads)
    block = algorithm.whole_iterations(every)
    curve: list[tuple[int, float]] = []
    seconds = 0.0
    while model.num_timesteps < steps and (not curve or curve[-1][1] < LEARNED):
        began = time.perf_counter()
        left = algorithm.whole_iterations(steps - model.num_timesteps)
        model.learn(min(block, left), reset_num_timesteps=False)
        seconds += time.perf_counter() - began
        found = evaluator.episodes(model.policy, 0, config.evaluation.episodes)
        curve.append((int(model.num_timesteps), float(found.success_any.mean())))
    return Learning.of(task, seed, label, curve, seconds, learning_digits(config, every))


def learning_digits(config: RunConfig, every: int) -> str:
    """Return twelve digits of all that a training's curve goes by, but for its task, seed and length."""
    used = settings_in_use(config)
    told = {name: used[name] for name in (config.algo, "algo", "network", "evaluation")} | {"every": every}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]


def learn_all(
    config: RunConfig,
    tasks: Sequence[str],
    seeds: Sequence[int],
    steps: int,
    every: int,
    label: str,
    path: Path | None,
    tell: Callable[[str], None],
) -> list[Learning]:
    """Train on each task with each seed, one after another, so that the seconds are those of a machine of its own.

    Args:
        config: as in `learn`, and so are the numbers.
        tasks: ids.
        seeds: of each task's trainings.
        steps: the most control steps of a training.
        every: control steps between evaluations.
        label: names these settings among the rows of `path`.
        path: a file to which each row is appended as a line of JSON; rows that it has already are not trained again,
            unless one gave up before `steps`.
        tell: called with a sentence after each training.

    Returns:
        The rows of these tasks, seeds and label.

    Raises:
        UserError: `path` holds something else, or such rows of other settings.
    """
    check_rows(path)  # before minutes are spent
    rows = []
    for task in tasks:
        for seed in seeds:
            train = partial(learn, config, task, seed, steps, every, label)
            row = kept(path, task, seed, label, steps, train, learning_digits(config, every))
            rows.append(row)
            tell(f"{task}, seed {seed}: success {number(row.success)} after {row.steps:,} steps, {row.seconds:.0f} s")
    return rows


def check_rows(path: Path | None) -> None:
    """Make a file of rows where there is none; raise UserError where something else is."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("a").close()
        _read(path)


def kept(
    path: Path | None,
    task: str,
    seed: int,
    label: str,
    steps: int,
    train: Callable[[], Learning],
    settings: str = "",
) -> Learning:
    """Return the row of this task, seed and label: from `path`, or what `train` returns, appended to `path`.

    A row there that gave up before `steps` control steps counts for nothing, and so does a success that came later.

    Raises:
        UserError: the row there was trained with other settings.
    """
    for row in reversed(_read(path)):
        if (row.task, row.seed, row.label) != (task, seed, label):
            continue
        if row.settings != settings:
            raise UserError(
                f"{path} has {task}, seed {seed} with other settings{f' as {label}' if label else ''}; give another "
                "--label, or another file"
            )
        if row.learned is not None or row.steps >= steps:
            return row.within(steps)
    row = train()
    if path is not None:
        with path.open("a", encoding="utf-8") as file:
            file.write(row.model_dump_json() + "\n")
    return row


def _read(path: Path | None) -> list[Learning]:
    if path is None or not path.exists():
        return []
    try:
        return [Learning.model_validate_json(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (ValidationError, UnicodeDecodeError) as error:
        raise UserError(f"{path} holds something else than this command writes; give another --out") from error


class Median(BaseModel):
    """One task's medians over its seeds; None unless more than half of the seeds reached the success.

    Attributes:
        task: its id.
        seeds: how many there are.
        reached: seeds that reached LEARNED.
        half: control steps to HALF.
        learned: control steps to LEARNED.
        seconds: of training, to LEARNED.
    """

    task: str
    seeds: int
    reached: int
    half: float | None
    learned: float | None
    seconds: float | None


def medians(rows: Iterable[Learning]) -> list[Median]:
    """Return the medians of each task, in the rows' order; a seed that did not reach a success counts as infinite."""
    by_task: dict[str, list[Learning]] = {}
    for row in rows:
        by_task.setdefault(row.task, []).append(row)
    return [
        Median(
            task=task,
            seeds=len(own),
            reached=sum(r.learned is not None for r in own),
            half=_median(r.half for r in own),
            learned=_median(r.learned for r in own),
            seconds=_median(None if r.learned is None else r.seconds for r in own),
        )
        for task, own in by_task.items()
    ]


def _median(values: Iterable[float | None]) -> float | None:
    found = median(math.inf if value is None else value for value in values)
    return None if math.isinf(found) else found
