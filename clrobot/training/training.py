"""A training: the stages of a run that are left, one after another, in the run's folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from safetensors import SafetensorError
from stable_baselines3.common.base_class import BaseAlgorithm

from clrobot.agents.algorithms.learner import Learner
from clrobot.agents.methods.shared.kept import bytes_beside
from clrobot.agents.methods.shared.method import Method
from clrobot.envs.worlds.foreign import WorldFailed
from clrobot.errors import UserError
from clrobot.evaluation.evaluator import Evaluator
from clrobot.experiment.config import RunConfig
from clrobot.experiment.machine import Machine
from clrobot.experiment.prepare import prepare
from clrobot.experiment.torch_threads import torch_threads_put_back
from clrobot.films.drawable import Drawable
from clrobot.imports import command
from clrobot.results.run_metrics import run_metrics
from clrobot.results.scores import Score
from clrobot.results.stage_record import Parameters
from clrobot.runs.checkpoint import save_checkpoint
from clrobot.runs.folder import RunFolder
from clrobot.runs.free import check_free
from clrobot.runs.lock import check_held
from clrobot.runs.metrics_file import write_metrics
from clrobot.runs.references import default_store, find_references, noted_physics
from clrobot.runs.score_book import ScoreBook
from clrobot.runs.snapshot import Snapshot
from clrobot.training.after_stage import after_stage
from clrobot.training.callback import StageCallback
from clrobot.training.context import RunContext
from clrobot.training.ledger import Ledger
from clrobot.training.measuring import Measuring
from clrobot.training.observer import Observer, Silent
from clrobot.training.plan import StagePlan, plan_stage
from clrobot.training.saver import Saver, write_failure
from clrobot.training.stage import train_stage
from clrobot.training.start_check import check_several_tasks
from clrobot.training.stopping import StopSwitch
from clrobot.training.tensorboard import tensorboard_logger, without_traces, write_scores
from clrobot.training.tracking import Tracking
from clrobot.training.training_env import training_env
from clrobot.training.untrained import untrained


def train(config: RunConfig, out: Path | str, observer: Observer | None = None) -> RunFolder:
    """Train through the configured curriculum into the new folder `out`.

    The run's page is written by `clrobot.report.page.write_report`, or by the command line.

    Raises:
        UserError: `out` already holds something, a setting cannot be used here, or the training went to NaN.
    """
    with torch_threads_put_back():
        return Training.begin(config, Path(out), observer or Silent()).run()


class Training:
    """What a run is trained with, and the loop over its stages; made by `begin`, or by `resuming.open_training`.

    Attributes:
        config: the run's settings, as they hold on this machine.
        folder: the run's.
        learner: the algorithm and its model.
        method: the continual-learning method.
        observer: what the training reports to.
        ledger: what the run has cost so far.
        book: its scores so far.
        stage_ends: environment steps at the end of each finished stage.
        within: the snapshot at which the next stage goes on, if there is one.
        stop: the request to save and stop at the next boundary.
    """

    def __init__(
        self,
        config: RunConfig,
        folder: RunFolder,
        learner: Learner,
        method: Method,
        tracking: Tracking,
        observer: Observer,
    ) -> None:
        self.folder = folder
        self.config = config
        self.learner = learner
        self.method = method
        self.observer = observer
        self.stop = StopSwitch(folder.path, observer)
        self.ledger = Ledger()
        self.book = ScoreBook(folder.scores_file)
        self.stage_ends: list[int] = []
        self._context = RunContext(config, folder, self.ledger, self.stop)
        self._tracking = tracking
        evaluator = Evaluator(config.curriculum, config.evaluation.seed, config.threads)
        tell = partial(_tell, learner.model, config.curriculum.slots, tracking)
        self._measuring = Measuring(evaluator, config.evaluation, self.book, self.ledger, tell)
        self._drawable = Drawable(config.curriculum, observer.warn)
        self._saver = Saver(folder.resume, config.checkpoint, learner, method, self.ledger, self.book, observer.warn)
        self.within: Snapshot | None = None

    @classmethod
    def begin(cls, config: RunConfig, out: Path, observer: Observer, machine: Machine | None = None) -> Training:
        """Make the run's folder, and measure and save the untrained agent.

        Args:
            config: the run's settings, which its folder gets as they are.
            out: the folder.
            observer: gets a call whenever there is something to report.
            machine: what is given anew here, where the settings are another's; None: the settings' own.

        Raises:
            UserError: `out` already holds something, or a setting cannot be used here.
        """
        check_free(out)
        config = prepare(config)
        check_several_tasks(config)
        here = config if machine is None else config.on(machine)
        learner, method = untrained(here)
        tracking = Tracking(here, observer.warn)
        folder = RunFolder.create(out, config)
        folder.lock()
        try:
            training = cls(here, folder, learner, method, tracking, observer)
        except BaseException:
            folder.unlock()
            raise
        for remark in learner.algorithm.remarks:
            observer.warn(remark)
        for name in dict.fromkeys(stage.name for stage in config.curriculum.stages if not stage.tells_success):
            observer.warn(f"nothing tells success in {name}: its return is measured in its place")
        with training.writing():
            training.measure_untrained()
        return training

    def measure_untrained(self) -> None:
        """Measure and save the agent as it is before any stage."""
        self.begin_logging()
        self.stop.pause("evaluating", 1, self.learner.step, 0)
        self._measuring.all_slots(self.learner.policy, 0, self.learner.step, learned=0)
        save_checkpoint(self.folder, 0, self.learner.model, self.method)

    def begin_logging(self, purge_step: int | None = None) -> None:
        """Write TensorBoard events, and tell the tracker; readers forget what lies at `purge_step` or beyond."""
        logger = tensorboard_logger(self.folder.path / "tensorboard", purge_step)
        self._tracking.open(self.folder)
        logger.output_formats.append(self._tracking)
        self.learner.model.set_logger(logger)

    def go_on_within(self, snapshot: Snapshot, stage_ends: list[int]) -> None:
        """Let the next stage begin at a snapshot within it."""
        self.within, self.stage_ends = snapshot, stage_ends

    @property
    def next_stage(self) -> int:
        """The stage that is trained next, from 1."""
        return len(self.stage_ends) + 1

    def run(self, last: int | None = None) -> RunFolder:
        """Go through every stage that is left, or through those until stage `last`.

        Raises:
            UserError: the training went to NaN, or the run cannot be written, or was taken over by another process.
            Stopped: it was asked to stop, and has been saved.
        """
        with self.writing():
            while self.next_stage <= (last or len(self.config.curriculum.stages)):
                self._stage(self.next_stage)
            self.learner.model.logger.close()
            check_held(self.folder.path)
            shutil.rmtree(self.folder.resume, ignore_errors=True)
            self.folder.unlock()
        return self.folder

    def _stage(self, stage: int) -> None:
        snapshot, self.within = self.within, None
        start = self.learner.step if snapshot is None else snapshot.progress.stage_start
        plan = plan_stage(self.config, self.learner, self.method, stage, start)
        done = 0 if snapshot is None else snapshot.progress.step - start
        self.observer.stage_started(stage, self.config.curriculum.slots[plan.slot], plan.steps, done)
        self._learn(plan, snapshot)
        row = after_stage(self._context, self.learner, self.method, plan, self._measuring, self._drawable)
        self.stage_ends.append(self.learner.step)
        self._write_metrics()
        self.observer.stage_finished(stage, row)

    def _learn(self, plan: StagePlan, snapshot: Snapshot | None) -> None:
        num_envs = self.learner.algorithm.settings.num_envs
        with self.ledger.timed("train"):
            env = training_env(self.config, num_envs, plan.trained, plan.stage)
        try:
            callback = StageCallback(self._context, self.learner, plan, env, self._measuring, self._saver)
            train_stage(self.config, self.learner, self.method, plan, env, callback, snapshot)
            self.ledger.divergences += env.divergences
        except BaseException:
            # In a notebook whatever was raised, and with it this frame, may live on: worker processes, a pool of
            # gigabytes.
            with suppress(Exception):
                env.abandon()
            raise
        env.close()

    def _write_metrics(self) -> None:
        parameters = Parameters(**self.learner.policy.parameter_counts())
        costs = self.ledger.costs(parameters, bytes_beside(self.learner.policy, self.method))
        physics = noted_physics(self.folder)
        areas, shipped = find_references(self.config, default_store(self.folder), self.stage_ends, physics)
        slots = self.config.curriculum.slots
        in_sequence = self.method.in_sequence(len(slots))
        trained = self.method.heads(len(self.stage_ends) - 1, len(slots))
        metrics = run_metrics(
            self.book.scores,
            slots,
            self.stage_ends,
            costs,
            areas,
            shipped=shipped,
            in_sequence=in_sequence,
            trained=trained,
        )
        write_metrics(self.folder, metrics)
        self._tracking.metrics(metrics, self.learner.step)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Turn a file that cannot be written into one sentence, and let go of the run when anything fails."""
        try:
            with without_traces():
                yield
        except (OSError, SafetensorError) as error:
            self._let_go()
            raise UserError(
                f"{self.folder.path} cannot be written ({write_failure(error)}); "
                f"mend that, then go on with: {command('resume', self.folder.path)}"
            ) from error
        except BaseException as error:
            self._let_go()
            if isinstance(error, WorldFailed):
                raise UserError(f"{error}, then go on with: {command('resume', self.folder.path)}") from error
            raise

    def _let_go(self) -> None:
        try:
            self._tracking.close(failed=True)
            # There may be none yet, or no room for what it has left to write.
            with without_traces(), suppress(Exception):
                self.learner.model.logger.close()
        finally:
            self.folder.unlock()


def _tell(model: BaseAlgorithm, slots: Sequence[str], tracking: Tracking, scores: Sequence[Score]) -> None:
    """Let TensorBoard and the tracker hear of new scores."""
    write_scores(model.logger, slots, scores)
    tracking.scores(scores)
