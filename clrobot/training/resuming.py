"""Opening an unfinished run: its newest whole snapshot, or the end of its newest stage, or anew."""

from __future__ import annotations

from pathlib import Path

from clrobot.errors import UserError
from clrobot.experiment.config import RunConfig
from clrobot.experiment.machine import Machine
from clrobot.files import MANIFEST
from clrobot.results.scores import Score
from clrobot.runs.checkpoint import load_agent, load_method_state
from clrobot.runs.folder import RunFolder
from clrobot.runs.score_book import read_scores
from clrobot.runs.snapshot import Damaged, Snapshot, snapshots
from clrobot.training.observer import Observer, Silent
from clrobot.training.tracking import Tracking
from clrobot.training.training import Training
from clrobot.training.untrained import torch_threads_put_back, untrained


def resume(path: Path | str, observer: Observer | None = None, machine: Machine | None = None) -> RunFolder:
    """Go on with an unfinished training; it ends with the same bits as one that never stopped.

    Args:
        path: the run's folder.
        observer: is told how it goes.
        machine: what is given anew here; a tracker opens only so, whatever the run's files say.

    Raises:
        UserError: there is no run, it is finished, another process trains it, or its files do not belong together.
    """
    with torch_threads_put_back():
        return open_training(Path(path), observer or Silent(), machine).run()


def open_training(path: Path, observer: Observer, machine: Machine | None = None) -> Training:
    """Open an unfinished run and put everything back as its newest whole snapshot has it; see `resume`.

    Raises:
        UserError: there is no run, it is finished, another process trains it, or its files do not belong together.
    """
    run = RunFolder.open(path)
    if run.finished:
        raise UserError(f"{path} is finished; there is nothing to resume")
    run.lock()
    try:
        config = (machine or Machine()).applied_to(run.config)
        if config.device != run.config.device:
            observer.warn(f"the run was begun on {run.config.device}: on {config.device} it ends with other bits")
        training = Training(config, run, *untrained(config), _tracking(config, observer), observer)
    except BaseException:
        run.unlock()
        raise
    with training.writing():
        if (snapshot := _newest_whole(run, observer)) is not None:
            with snapshot.restoring():
                _restore(training, snapshot)
        elif (problem := _restore_end_of_stage(training)) is None:
            if snapshots(run.resume):
                done = len(training.stage_ends)
                observer.warn(f"{path} holds no whole snapshot: it goes on from the end of stage {done}")
        elif run.stages()[-1:] not in ([], [0]):
            raise UserError(
                f"{path} cannot be gone on with, and is left as it is: it holds no whole snapshot, and {problem}; "
                "put back what is damaged, or train again into another folder"
            )
        else:
            # Stopped before its first stage was over: from the start, which gives the same bits.
            observer.warn(f"{path} holds no whole snapshot: it starts anew")
            run.clear_beginning()
            training.measure_untrained()
    return training


def _tracking(config: RunConfig, observer: Observer) -> Tracking:
    """Return the tracker; one that is not installed here is a warning, since the run can do without."""
    try:
        return Tracking(config, observer.warn)
    except UserError as error:
        observer.warn(str(error).partition(";")[0])
        return Tracking(config.model_copy(update={"tracker": "none"}), observer.warn)


def _newest_whole(run: RunFolder, observer: Observer) -> Snapshot | None:
    for folder in snapshots(run.resume):
        try:
            return Snapshot(folder)
        except Damaged as error:
            observer.warn(f"{error}; an older one is used")
    return None


def _restore(training: Training, snapshot: Snapshot) -> None:
    """Put costs and scores back as they were at a snapshot; the stage itself restores the learner."""
    run, progress = training.folder, snapshot.progress
    stages = len(training.config.curriculum.stages)
    lines = read_scores(run.scores_file)
    if progress.stage > stages or progress.scores > len(lines):
        raise UserError(
            f"{snapshot.folder} is of stage {progress.stage} and {progress.scores} scores, but the run has "
            f"{stages} stages and {len(lines)} scores; the run's files do not belong together"
        )
    training.ledger.restore(
        seconds=progress.seconds,
        gradient_steps=progress.gradient_steps,
        method_gradient_steps=progress.method_gradient_steps,
        method_environment_steps=progress.method_environment_steps,
        task_inference_steps=progress.task_inference_steps,
        divergences=progress.divergences,
        film_failures=progress.film_failures,
        per_stage=progress.per_stage,
    )
    scores = lines[: progress.scores]
    _rewrite_scores(training, scores)
    ends = {score.stage: score.step for score in scores if 0 < score.stage < progress.stage}
    training.go_on_within(snapshot, [ends[stage] for stage in range(1, progress.stage)])
    training.begin_logging(purge_step=progress.step + 1)


def _restore_end_of_stage(training: Training) -> str | None:
    """Put everything back as the newest finished stage left it; the next stage depends on nothing else.

    Returns a clause that says why that cannot be, or None where it is done.
    """
    run, learner = training.folder, training.learner
    stages = [stage for stage in run.stages() if stage > 0]
    if not stages:
        return "no stage is over"
    if not training.config.plasticity.reset_optimizer:
        return "with --plasticity.no-reset-optimizer no checkpoint holds what the next stage begins with"
    stage = stages[-1]
    try:
        agent, (remembered, info) = load_agent(run, stage), load_method_state(run, stage)
        metrics, lines = run.read_metrics(), read_scores(run.scores_file)
    except UserError as error:
        return str(error).partition(";")[0]
    if metrics.stages_done != stage:
        return f"metrics.json tells of {metrics.stages_done} stages, and the newest checkpoint is of stage {stage}"
    while learner.policy.slots < agent.policy.slots:
        learner.policy.add_slot()
    learner.policy.load_state_dict(agent.policy.state_dict())
    try:
        training.method.load_state_dict(remembered)
    except (LookupError, RuntimeError, TypeError, ValueError) as error:
        return f"{run.checkpoint(stage) / 'method.safetensors'} is damaged ({type(error).__name__})"
    training.ledger.restore(
        seconds=metrics.seconds.by_kind,
        gradient_steps=metrics.gradient_steps.learning,
        method_gradient_steps=metrics.gradient_steps.method,
        method_environment_steps=metrics.environment_steps.method,
        task_inference_steps=metrics.task_inference_steps,
        divergences=metrics.diverged_simulations,
        film_failures=metrics.failed_recordings,
        per_stage=metrics.per_stage,
    )
    _rewrite_scores(training, [score for score in lines if score.stage <= stage])
    training.stage_ends = list(metrics.stage_ends)
    learner.model.num_timesteps, learner.model._n_updates = info.step, info.updates
    training.begin_logging(purge_step=info.step + 1)
    return None


def _rewrite_scores(training: Training, scores: list[Score]) -> None:
    (training.folder.path / MANIFEST).unlink(missing_ok=True)  # written again at the stage's end
    training.book.rewrite(scores)
