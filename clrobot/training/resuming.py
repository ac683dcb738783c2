"""Opening an unfinished run: its newest whole snapshot, or the end of its newest stage, or anew."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import torch as th

from clrobot.agents.algorithms.learner import Learner
from clrobot.agents.methods.shared.method import Method
from clrobot.errors import UserError, cut
from clrobot.experiment.config import RunConfig
from clrobot.experiment.machine import Machine
from clrobot.experiment.torch_threads import torch_threads_put_back
from clrobot.imports import command
from clrobot.manifests import MANIFEST
from clrobot.results.run_metrics import RunMetrics
from clrobot.results.scores import Score
from clrobot.runs.checkpoint import CheckpointInfo, load_agent, load_method_state
from clrobot.runs.folder import RunFolder
from clrobot.runs.score_book import read_scores
from clrobot.runs.snapshot import Damaged, OtherRun, Snapshot, pass_over, set_aside, snapshots, step_of
from clrobot.training.observer import Observer, Silent
from clrobot.training.plan import plan_stage
from clrobot.training.stage import begin_stage
from clrobot.training.tracking import Tracking
from clrobot.training.training import Training
from clrobot.training.training_env import training_env
from clrobot.training.untrained import untrained


def resume(path: Path | str, observer: Observer | None = None, machine: Machine | None = None) -> RunFolder:
    """Go on with an unfinished training; it ends with the same bits as one that never stopped.

    Args:
        path: the run's folder.
        observer: gets a call whenever there is something to report.
        machine: what is given anew here; a tracker opens only so, whatever the run's files say.

    Raises:
        UserError: there is no run, it is finished, another process trains it, or its files do not belong together.
    """
    with torch_threads_put_back():
        return open_training(Path(path), observer or Silent(), machine).run()


def open_training(path: Path, observer: Observer, machine: Machine | None = None) -> Training:
    """Open an unfinished run and put everything back as its newest whole snapshot has it; see `resume`.

    What cannot be put back is passed over with a warning, before anything is written.

    Raises:
        UserError: there is no run, it is finished, another process trains it, or its files do not belong together.
    """
    run = RunFolder.open(path)
    if run.finished:
        run.clear_end()
        page = "" if (run.path / "report.html").exists() else f" but its page: {command('report', run.path)}"
        raise UserError(f"{path} is finished; there is nothing to resume{page}")
    run.check_physics()
    run.lock()
    try:
        config = run.config.on(machine or Machine())
        if config.device != run.config.device:
            observer.warn(f"the run was begun on {run.config.device}: on {config.device} it ends with other bits")
        snapshot = _newest_whole(run, config, observer)
        end = None if snapshot is not None else _end_of_stage(run, config)
        if isinstance(end, str) and _stages_done(run):
            raise UserError(
                f"{path} cannot be gone on with, and is left as it is: it holds no whole snapshot, and {end}; "
                "put back what is damaged, or train again into another folder"
            )
        training = Training(config, run, *untrained(config), _tracking(config, observer), observer)
    except BaseException:
        run.unlock()
        raise
    with training.writing():
        if snapshot is not None:
            for folder in snapshots(run.resume):
                if step_of(folder) > step_of(snapshot.folder):  # passed over, and pruned at the next one
                    pass_over(folder)
            _go_on_at(training, snapshot)
        elif isinstance(end, _EndOfStage):
            _go_on_after(training, end)
            if (aside := set_aside(run.resume)) is not None:
                observer.warn(
                    f"{path} holds no whole snapshot: it goes on from the end of stage {end.stage}, and keeps those "
                    f"in {aside} until it is finished"
                )
        else:
            # Stopped before its first stage was over: from the start, which gives the same bits.
            aside = set_aside(run.resume)
            kept = "" if aside is None else f", and keeps those in {aside} until it is finished"
            observer.warn(f"{path} holds no whole snapshot: it starts anew{kept}")
            run.clear_beginning(config)
            training.measure_untrained()
    return training


def _tracking(config: RunConfig, observer: Observer) -> Tracking:
    """Return the tracker; one that is not installed here is a warning, since the run can do without."""
    try:
        return Tracking(config, observer.warn)
    except UserError as error:
        observer.warn(str(error).partition(";")[0])
        return Tracking(config.model_copy(update={"tracker": "none"}), observer.warn)


# From a snapshot -------------------------------------------------------------------------------------------


def _newest_whole(run: RunFolder, config: RunConfig, observer: Observer) -> Snapshot | None:
    """Return the newest snapshot with which everything can be put back, or None.

    Raises:
        OtherRun: there is none, and one is of other settings or scores than the folder holds now.
    """
    other: OtherRun | None = None
    for folder in snapshots(run.resume):
        try:
            snapshot = Snapshot(folder, config)
            with snapshot.restoring():
                _stage_ends_before(snapshot, read_scores(run.scores_file))
                progress = snapshot.progress
                _try_stage(config, *untrained(config), progress.stage, progress.stage_start, snapshot)
        except Damaged as error:
            observer.warn(f"{error}; an older one is used")
        except OtherRun as error:
            other = other or error
        else:
            if other is not None:
                observer.warn(f"{str(other).partition(';')[0]}: an older snapshot is used")
            return snapshot
    if other is not None:
        raise other
    return None


def _try_stage(
    config: RunConfig,
    learner: Learner,
    method: Method,
    stage: int,
    start: int,
    snapshot: Snapshot | None = None,
) -> None:
    """Put a learner that is thrown away where the stage goes on: whatever is wrong fails now."""
    if stage > len(config.curriculum.stages):
        raise ValueError(f"stage {stage} of {len(config.curriculum.stages)}")
    plan = plan_stage(config, learner, method, stage, start)
    env = training_env(config, learner.algorithm.settings.num_envs, plan.trained, stage)
    try:
        begin_stage(config, learner, method, plan, env, snapshot)
    finally:
        env.close()


def _stage_ends_before(snapshot: Snapshot, lines: list[Score]) -> list[int]:
    """Return the step at which each stage before the snapshot's ended.

    Raises:
        LookupError, ValueError: the snapshot's counts do not fit each other or the run's scores.
    """
    progress = snapshot.progress
    if progress.scores > len(lines):
        raise ValueError(f"{progress.scores} scores, and the run has {len(lines)}")
    ends = {score.stage: score.step for score in lines[: progress.scores] if 0 < score.stage < progress.stage}
    before = [ends[stage] for stage in range(1, progress.stage)]
    if progress.stage_start != (before or [0])[-1]:
        raise ValueError(f"stage {progress.stage} from step {progress.stage_start:,}")
    if [record.stage for record in progress.per_stage] != list(range(1, progress.stage)):
        raise ValueError(f"stage {progress.stage} after {len(progress.per_stage)} others")
    return before


def _go_on_at(training: Training, snapshot: Snapshot) -> None:
    """Put costs and scores back as they were at a snapshot; the stage itself restores the learner."""
    progress, lines = snapshot.progress, read_scores(training.folder.scores_file)
    training.ledger.restore(
        seconds=progress.seconds,
        gradient_steps=progress.gradient_steps,
        method_gradient_steps=progress.method_gradient_steps,
        method_environment_steps=progress.method_environment_steps,
        task_inference_steps=progress.task_inference_steps,
        divergences=progress.divergences,
        film_failures=progress.film_failures,
        worlds_made=progress.worlds_made,
        worlds_seconds=progress.worlds_seconds,
        grown=progress.grown,
        per_stage=progress.per_stage,
    )
    _rewrite_scores(training, lines[: progress.scores])
    training.folder.note_going_on(training.config, progress.step)
    training.go_on_within(snapshot, _stage_ends_before(snapshot, lines))
    training.begin_logging(purge_step=progress.step + 1)


# From the end of a stage -----------------------------------------------------------------------------------


class _EndOfStage(NamedTuple):
    """What the newest finished stage left; the next one depends on nothing else."""

    stage: int
    weights: dict[str, th.Tensor]
    remembered: dict[str, th.Tensor]  # by the method
    info: CheckpointInfo
    metrics: RunMetrics
    scores: list[Score]


def _end_of_stage(run: RunFolder, config: RunConfig) -> _EndOfStage | str:
    """Return what the newest finished stage left, or a clause that says why nothing can go on from there."""
    done = _stages_done(run)
    if not done:
        return "no stage is over"
    if not config.plasticity.reset_optimizer:
        return "with --plasticity.no-reset-optimizer no checkpoint holds what the next stage begins with"
    try:
        end = _read_end(run, done)
        learner, method = untrained(config)
        _put_back(learner, method, end)
        _try_stage(config, learner, method, end.stage + 1, end.info.step)
    except UserError as error:
        return str(error).partition(";")[0]
    except Exception as error:
        return f"{run.checkpoint(done)} is damaged ({cut(str(error), 200) or type(error).__name__})"
    return end


def _stages_done(run: RunFolder) -> int:
    """Return the newest stage that is over: its metrics.json comes last, and a checkpoint may be there before it."""
    newest = (run.stages() or [0])[-1]
    if not (run.path / "metrics.json").exists():
        return newest if newest > 1 else 0
    with suppress(UserError):
        if (done := run.read_metrics().stages_done) == newest - 1:
            return done
    return newest


def _read_end(run: RunFolder, stage: int) -> _EndOfStage:
    """Return what a stage left, as the run's files have it.

    Raises:
        UserError: a file is missing or damaged, or they tell of different moments.
    """
    agent, (remembered, info) = load_agent(run, stage), load_method_state(run, stage)
    metrics, lines = run.read_metrics(), read_scores(run.scores_file)
    if metrics.stages_done != stage:
        raise UserError(
            f"metrics.json tells of {metrics.stages_done} stages, and the newest checkpoint is of stage {stage}"
        )
    if metrics.stage_ends[-1] != info.step:
        raise UserError(f"metrics.json tells that stage {stage} ended at another step than its checkpoint does")
    scores = [score for score in lines if score.stage <= stage]
    return _EndOfStage(stage, dict(agent.policy.state_dict()), remembered, info, metrics, scores)


def _put_back(learner: Learner, method: Method, end: _EndOfStage) -> None:
    while learner.policy.slots < end.info.slots:
        learner.policy.add_slot()
    learner.policy.load_state_dict(end.weights)
    method.load_state_dict(dict(end.remembered))
    learner.model.num_timesteps, learner.model._n_updates = end.info.step, end.info.updates


def _go_on_after(training: Training, end: _EndOfStage) -> None:
    """Put everything back as the newest finished stage left it."""
    _put_back(training.learner, training.method, end)
    metrics = end.metrics
    training.ledger.restore(
        seconds=metrics.seconds.by_kind,
        gradient_steps=metrics.gradient_steps.learning,
        method_gradient_steps=metrics.gradient_steps.method,
        method_environment_steps=metrics.environment_steps.method,
        task_inference_steps=metrics.task_inference_steps,
        divergences=metrics.diverged_simulations,
        film_failures=metrics.failed_recordings,
        worlds_made=metrics.worlds_made,
        worlds_seconds=metrics.worlds_seconds,
        grown=metrics.grown,
        per_stage=metrics.per_stage,
    )
    _rewrite_scores(training, end.scores)
    training.folder.note_going_on(training.config, end.info.step)
    training.stage_ends = list(metrics.stage_ends)
    training.begin_logging(purge_step=end.info.step + 1)


def _rewrite_scores(training: Training, scores: list[Score]) -> None:
    (training.folder.path / MANIFEST).unlink(missing_ok=True)  # written again at the stage's end
    training.book.rewrite(scores)
