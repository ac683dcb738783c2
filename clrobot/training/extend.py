"""Taking a finished run further, with a stage that nobody planned for."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from clrobot.errors import UserError, explain, shown
from clrobot.errors import warn as to_standard_error
from clrobot.evaluation.evaluator import Evaluator
from clrobot.experiment.config import RunConfig, make_config
from clrobot.experiment.config_file import dump_config
from clrobot.experiment.curriculum import Stage
from clrobot.experiment.layout import layout
from clrobot.experiment.machine import Machine
from clrobot.experiment.method import make_method
from clrobot.experiment.prepare import prepare
from clrobot.experiment.torch_threads import torch_threads_put_back
from clrobot.imports import command
from clrobot.manifests import MANIFEST
from clrobot.results.scores import Score
from clrobot.runs.checkpoint import check_checkpoint, checkpoint_files, load_agent, rebind_checkpoints
from clrobot.runs.folder import RunFolder
from clrobot.runs.free import check_free, new_run
from clrobot.runs.lock import LOCK
from clrobot.runs.method_files import copies
from clrobot.runs.metrics_file import rebuild_metrics
from clrobot.runs.references import default_store, find_references, noted_physics
from clrobot.runs.score_book import read_scores
from clrobot.training.tensorboard import tensorboard_logger, write_scores
from clrobot.training.tracking import Tracking
from clrobot.training.untrained import untrained

# What is the old run's alone: its page, its run of a tracker, and snapshots that a killed process may have left.
_NOT_COPIED = {LOCK, "report.html", "resume", "tracker.json"}


@torch_threads_put_back()
def extend(
    run: RunFolder | Path | str,
    task: str,
    steps: int,
    out: Path | str,
    overrides: Mapping[str, float] | None = None,
    machine: Machine | None = None,
    changes: Mapping[str, Any] | None = None,
    world: Mapping[str, Any] | None = None,
) -> RunFolder:
    """Copy a finished run to `out` with one more stage planned; `resume` then trains that stage.

    The copy's curriculum, configuration and scores are those of a run planned so from the start: agents as they
    were after each stage are measured on the new slot too. A stage depends only on what it is given and on its own
    seed, so the extended run ends with the same bits as the planned one. The run itself is not touched.

    Args:
        run: the finished run, or its folder.
        task: the task to learn now.
        steps: control steps.
        out: the new run's folder.
        overrides: what differs in the task's world.
        machine: what is given anew here.
        changes: settings with which the new stage is trained, as `make_config` takes them, such as `warm_start`. The
            copy's configuration then says of the stages before what they were not trained with: for experiments.
        world: what else a curriculum's YAML says of such a stage, such as `{"horizon": 200}`.

    Raises:
        UserError: the run is not finished or its optimizer goes on from stage to stage, the task is unknown, or
            `out` is taken.
    """
    run, out = run if isinstance(run, RunFolder) else RunFolder.open(Path(run)), Path(out)
    config = run.config
    if not run.finished:
        raise UserError(f"{run.path} is not finished; go on with it first: {command('resume', run.path)}")
    if not config.plasticity.reset_optimizer:
        raise UserError(
            f"{run.path} was trained with --plasticity.no-reset-optimizer, whose moments no checkpoint keeps; "
            "extend a run that starts every stage with fresh ones"
        )
    run.check_physics()
    method, done = make_method(config), len(config.curriculum.stages)
    if any(method.trained_slots(k, done) != method.trained_slots(k, done + 1) for k in range(done)):
        raise UserError(f"{run.path} trained all its tasks at once; train again with {task} among them")
    check_free(out)
    if changes:
        config = make_config(**config.model_dump() | dict(changes))
    extended = prepare(_with_stage(config, task, steps, _world(world or {}, overrides or {})))
    old, new = layout(config.curriculum), layout(extended.curriculum)
    if (old.size, old.actions) != (new.size, new.actions):
        raise UserError(
            f"with {task} an observation has {new.size} numbers and an action {new.actions}, and the network of "
            f"{run.path} takes {old.size} and {old.actions}; train anew with it in the curriculum"
        )
    here = extended.on(machine or Machine())
    untrained(here)  # what cannot be used here is refused before anything is copied
    Tracking(here, to_standard_error)
    scores = _with_new_slot(run, extended, here.threads)
    for stage in run.stages():
        check_checkpoint(run, stage)
    with new_run(out) as folder:
        shutil.copytree(run.path, folder, ignore=partial(_left_out, run), copy_function=copies())
        (folder / "config.yaml").write_text(dump_config(extended), encoding="utf-8")
        (folder / "scores.jsonl").write_text("".join(score.to_line() for score in scores), encoding="utf-8")
        logger, slots = tensorboard_logger(folder / "tensorboard"), extended.curriculum.slots
        write_scores(logger, slots, [score for score in scores if score.slot == len(slots) - 1])
        logger.close()
        copy = RunFolder(folder)
        copy.note_sources(extended)
        rebind_checkpoints(copy)
        copy.record()
        # Of the longer curriculum too: a copy that is stopped before its new stage is over can be shown and compared.
        ends = run.read_metrics().stage_ends
        rebuild_metrics(copy, *find_references(extended, default_store(RunFolder(out)), ends, noted_physics(run)))
    return RunFolder.open(out)


def _left_out(run: RunFolder, path: str, names: list[str]) -> set[str]:
    """Return what of a folder is not copied: what is the old run's alone, and in a checkpoint what was not checked.

    A link would be followed, a pipe waited for, and a sparse file copied with all its zeros.
    """
    folder = Path(path)
    left = {name for name in names if not (folder / name).is_dir() and not (folder / name).is_file()}
    left |= {name for name in names if (folder / name).is_symlink()}
    if folder == run.path:
        left |= _NOT_COPIED
    elif (stage := next((k for k in run.stages() if run.checkpoint(k) == folder), None)) is not None:
        left |= set(names) - {MANIFEST, *checkpoint_files(run, stage)}
    return left


def _with_stage(config: RunConfig, task: str, steps: int, world: Mapping[str, Any]) -> RunConfig:
    old = config.curriculum
    try:
        stage = Stage.model_validate({**world, "task": task, "steps": steps})
        curriculum = old.with_stages((*old.stages, stage))
    except ValidationError as error:
        raise UserError(explain(error)) from error
    return config.model_copy(update={"curriculum": curriculum})


def _world(said: Mapping[str, Any], overrides: Mapping[str, float]) -> dict[str, Any]:
    """Return what a stage says beside its task and its steps.

    Raises:
        UserError: it is said twice, or is measured and not said.
    """
    taken = {"task", "steps", "measured", *(["overrides"] if overrides else [])}
    if twice := sorted(map(str, taken & set(said))):
        raise UserError(f"the world {shown(dict(said))} has {twice[0]}, which has its own place; leave it out there")
    return {"overrides": dict(overrides), **said}


def _with_new_slot(run: RunFolder, extended: RunConfig, threads: int) -> list[Score]:
    """Return the run's scores with the new slot's after each stage's."""
    slots = len(extended.curriculum.stages)
    evaluator = Evaluator(extended.curriculum, extended.evaluation.seed, threads)
    heads = make_method(extended).heads
    scores = read_scores(run.scores_file)
    result = []
    for i, score in enumerate(scores):
        result.append(score)
        last_of_row = score.slot == slots - 2 and (i + 1 == len(scores) or scores[i + 1].stage != score.stage)
        if last_of_row:
            agent = load_agent(run, score.stage)
            is_next = score.stage > 0 and heads(score.stage - 1, slots) == slots - 1
            measured = evaluator.score_next if is_next else evaluator.score
            episodes = extended.evaluation.zero_shot_episodes
            result.append(measured(agent.policy, slots - 1, episodes, stage=score.stage, step=score.step))
    return result
