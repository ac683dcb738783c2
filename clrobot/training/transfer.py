"""The transfer matrix: every task after every other, its head begun as a copy, beside the task alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from clrobot import __version__
from clrobot.errors import UserError
from clrobot.experiment.config import make_algorithm, make_config
from clrobot.experiment.curricula import CURRICULA
from clrobot.files import atomic, read_plain
from clrobot.imports import import_given, import_words
from clrobot.published.references import reference_areas
from clrobot.published.rows import alone
from clrobot.results.metrics import auc
from clrobot.results.numbers import number
from clrobot.runs.folder import RunFolder
from clrobot.runs.lock import hold
from clrobot.runs.score_book import read_scores
from clrobot.runs.transfer_file import BUDGET, TransferRow, parse_transfer, transfer_text
from clrobot.studies.driver import run_all
from clrobot.studies.plan import Plan
from clrobot.training.extend import extend
from clrobot.training.observer import Silent
from clrobot.training.resuming import open_training
from clrobot.training.stopping import Stopped
from clrobot.training.training import Training

SOLVED: Final = 0.95  # the success at which a task counts as solved, and its training ends
FIRST_STEPS: Final = 200_000  # of a task that none of our curricula has
MATRIX: Final = "transfer.csv"  # in the study's folder


@dataclass(frozen=True)
class TransferStudy:
    """Every ordered pair of a few tasks, with PPO and nothing else.

    Attributes:
        out: the folder: the matrix, and in `runs/` each task trained alone.
        tasks: ids of native tasks, two or more.
        seed: of every training.
        steps: control steps of the second task, over which the areas are taken.
        first_steps: of the first task; None: the most that one of our curricula gives it.
        threads: of the physics.
        settings: further ones, as `make_config` takes them.
    """

    out: Path
    tasks: tuple[str, ...]
    seed: int = 0
    steps: int = BUDGET
    first_steps: int | None = None
    threads: int = 0
    settings: tuple[tuple[str, Any], ...] = ()

    @property
    def file(self) -> Path:
        """The matrix."""
        return self.out / MATRIX

    def alone(self, task: str, steps: int) -> Plan:
        """Return the training of a task alone, and its folder."""
        config = make_config(
            curriculum={"name": task, "stages": [{"task": task, "steps": steps}]},
            method="finetune",
            seed=self.seed,
            threads=self.threads,
            **{
                "video": {"enabled": False},
                "task_inference": {"enabled": False},
                "evaluation": {"episodes": 20, "curve_episodes": 20, "stochastic": False},
            }
            | dict(self.settings),
        )
        return Plan(self.out / "runs" / f"{task}-{steps}-{self.seed}", config)

    def before(self, task: str) -> int:
        """Return the control steps of a task that is learned first."""
        return self.first_steps or budget(task)

    def reference_areas(self, task: str) -> list[float]:
        """Return the areas of the references of a task that come with clrobot, over `steps`; none where none fits."""
        config = self.alone(task, self.steps).config
        return [float(area) for area in reference_areas(config, config.curriculum.stages[0], self.steps)]

    def check(self) -> None:
        """Refuse steps that make no learning curve, before anything is trained.

        Raises:
            UserError: the second task has less than an iteration.
        """
        least = make_algorithm(self.alone(self.tasks[1], self.steps).config).iteration
        if self.steps < least:
            raise UserError(
                f"--steps {self.steps:,}: a learning curve has an iteration at least; give {least:,} or more"
            )

    def rows(self) -> list[TransferRow]:
        """Return what is in the matrix so far.

        Raises:
            UserError: the file is no matrix, or one of other budgets.
        """
        if not self.file.exists():
            return []
        rows = parse_transfer(read_plain(self.file).decode("utf-8", "replace"), str(self.file))
        for row in rows:
            if row.source in self.tasks and (row.budget, row.steps_before) != (self.steps, self.before(row.source)):
                raise UserError(
                    f"{self.file} has {row.source} → {row.target} with {row.steps_before:,} and {row.budget:,} "
                    "steps; give the same steps once more, or another --out"
                )
        return rows

    def missing(self) -> list[tuple[str, str]]:
        """Return the pairs that the matrix does not have with this seed."""
        have = {(row.source, row.target, row.seed) for row in self.rows()}
        return [(i, j) for i in self.tasks for j in self.tasks if i != j and (i, j, self.seed) not in have]

    def add(self, row: TransferRow) -> None:
        """Put a row into the matrix, which other processes may add theirs to: of other seeds."""
        with alone(self.out):
            rows = sorted([*self.rows(), row], key=lambda row: (row.source, row.target, row.seed))
            with atomic(self.file) as file:
                file.write_text(transfer_text(rows), encoding="utf-8")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let no other process train this seed's pairs meanwhile: each is trained in a folder that is cleared first.

        Raises:
            Busy: another does.
        """
        place = self.out / "runs" / f"seed-{self.seed}.lock"
        place.parent.mkdir(parents=True, exist_ok=True)
        lock = hold(place.open("ab"), place.with_suffix(".json"), f"{self.out} with --seed {self.seed}")
        try:
            yield
        finally:
            lock.release()


def budget(task: str) -> int:
    """Return the most control steps that one of our curricula gives a task in its usual world."""
    stages = [stage for curriculum in CURRICULA.ours.values() for stage in curriculum.stages]
    return max((s.steps for s in stages if s.task == task and not s.overrides), default=FIRST_STEPS)


def measure_transfer(study: TransferStudy, jobs: int, tell: Callable[[str], None]) -> list[TransferRow]:
    """Train what is missing of a matrix, `jobs` processes at a time; return all rows.

    Each task is trained once for all its pairs, and over the second task's budget only where no reference that comes
    with clrobot has its area. A row is written as soon as its pair is trained. Called once more, it goes on with what
    was stopped: a task alone at its newest snapshot, a pair without a row from its beginning.

    Raises:
        UserError: the steps make no learning curve, the folder holds something else, a training failed, or another
            process trains the same seed's pairs.
        TrainingStopped: the trainings of first tasks were asked to stop.
    """
    study.check()
    if not study.missing():
        return study.rows()
    with study.held():
        pairs = study.missing()
        firsts = [study.alone(i, study.before(i)) for i in dict.fromkeys(i for i, _ in pairs)]
        targets = dict.fromkeys(j for _, j in pairs)
        seconds = [study.alone(j, study.steps) for j in targets if not study.reference_areas(j)]
        trained = run_all(list({plan.folder: plan for plan in (*firsts, *seconds)}.values()), jobs, tell)
        if trained.failures:
            raise UserError(f"{len(trained.failures)} trainings failed; {trained.failures[0]}")
        for row in _trained(study, pairs, jobs):
            study.add(row)
            tell(f"{row.source} → {row.target}  {number(row.ft, signed=True)}")
    return study.rows()


def _trained(study: TransferStudy, pairs: Sequence[tuple[str, str]], jobs: int) -> Iterator[TransferRow]:
    """Yield each pair's row as soon as it is trained; where there is one job, in this process."""
    if jobs == 1:
        yield from (_train_pair(study, *pair) for pair in pairs)
        return
    # A process of its own knows nothing of what `--import` gave to this one.
    words = (import_words(),)
    with ProcessPoolExecutor(jobs, get_context("spawn"), initializer=import_given, initargs=words) as pool:
        try:
            for future in as_completed([pool.submit(_train_pair, study, *pair) for pair in pairs]):
                yield future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _train_pair(study: TransferStudy, source: str, target: str) -> TransferRow:
    """Train `target` after `source`, until it is solved, and return the row; the run is let go of."""
    folder = study.out / "runs" / f"{source}-{target}-{study.seed}"
    shutil.rmtree(folder, ignore_errors=True)  # of a study that was stopped: a pair is trained in one go
    changes = {"warm_start": {"choose": "newest"}}
    run = extend(study.alone(source, study.before(source)).folder, target, study.steps, folder, changes=changes)
    _train_until_solved(run.path)
    curve = _curve(run, slot=1)
    areas = study.reference_areas(target)
    if not areas:
        own = RunFolder.open(study.alone(target, study.steps).folder)
        areas = [_area(_curve(own, slot=0), study.steps)]
    area, area_alone = _area(curve, study.steps), fmean(areas)
    row = TransferRow(
        source=source,
        target=target,
        ft=None if area_alone == 1 else (area - area_alone) / (1 - area_alone),
        area=area,
        area_alone=area_alone,
        trained_alone=len(areas),
        final=curve[-1][1],
        steps=curve[-1][0],
        steps_before=study.before(source),
        budget=study.steps,
        seed=study.seed,
        version=__version__,
    )
    shutil.rmtree(folder)
    return row


class _UntilSolved(Silent):
    """Asks a training to stop as soon as an evaluation within it says that the task is solved.

    What a slot begins as may solve it: that is one point, and an area is of two.
    """

    training: Training

    def advanced(self, steps: int, success: float | None) -> None:
        if success is not None and success >= SOLVED:
            stage = self.training.next_stage
            measured = {s.step for s in self.training.book.scores if (s.stage, s.slot) == (stage, stage - 1)}
            if len(measured) > 1:
                self.training.stop.asked = True


def _train_until_solved(folder: Path) -> None:
    observer = _UntilSolved()
    observer.training = open_training(folder, observer)
    with suppress(Stopped):
        observer.training.run()


def _curve(run: RunFolder, slot: int) -> list[tuple[int, float]]:
    """Return a slot's learning curve in the newest stage: control steps of the stage, success."""
    own = [s for s in read_scores(run.scores_file) if s.slot == slot and s.stage == slot + 1]
    start = own[0].step
    curve = {score.step - start: score.success_any for score in own}
    return [(step, success) for step, success in curve.items() if success is not None]


def _area(curve: Sequence[tuple[int, float]], steps: int) -> float:
    """Return the area under a curve over `steps`; one that ended earlier stays where it was."""
    at, success = zip(*curve, strict=True)
    return auc(at, success, 0, steps)
