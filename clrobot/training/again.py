"""One stage of a run trained anew, elsewhere, and compared with the run bit for bit."""

from __future__ import annotations

import json
import shutil
import stat
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from clrobot.errors import UserError
from clrobot.experiment.machine import Machine
from clrobot.experiment.method import make_method
from clrobot.experiment.torch_threads import torch_threads_put_back
from clrobot.files import TEXT_LIMIT, read_own
from clrobot.manifests import MANIFEST, checksum, write_manifest
from clrobot.results.run_metrics import Costs, run_metrics
from clrobot.runs.checkpoint import check_checkpoint, checkpoint_files
from clrobot.runs.folder import RunFolder
from clrobot.runs.metrics_file import write_metrics
from clrobot.runs.score_book import read_scores
from clrobot.training.observer import Observer
from clrobot.training.resuming import open_training
from clrobot.training.training import Training


class Again(NamedTuple):
    """How a stage came out again.

    Attributes:
        stage: from 1.
        files: of its checkpoint that differ, by name.
        scores: how many of its evaluations differ.
        of: how many there are.
    """

    stage: int
    files: tuple[str, ...]
    scores: int
    of: int

    @property
    def same(self) -> bool:
        """Whether no bit differs."""
        return not self.files and self.scores == 0


def train_again(run: RunFolder, stage: int, observer: Observer) -> Again:
    """Train one stage of a run anew, in a temporary folder, and compare its checkpoint and scores.

    The first stage begins with the untrained agent; a later one with what the run kept of the stage before. The run
    may be a stranger's: no tracker of its settings is opened, and what was not checked is neither copied nor read.

    Raises:
        UserError: the run has no such stage, or it cannot be trained here.
    """
    done = [found for found in run.stages() if found > 0]
    if stage not in done:
        raise UserError(f"--stage {stage}: {run.path} has no such stage finished; expected one of {done}")
    with tempfile.TemporaryDirectory(prefix="clrobot-again-") as parent, torch_threads_put_back():
        anew = Path(parent) / "run"
        if stage == 1:
            training = Training.begin(run.config, anew, observer, Machine())
        else:
            _copy_until(run, stage - 1, anew)
            training = open_training(anew, observer)
        return _compare(run, training.run(last=stage), stage)


def _copy_until(run: RunFolder, stage: int, to: Path) -> None:
    """Copy what the stage after `stage` begins with; nothing is copied that the run's settings do not account for.

    Raises:
        UserError: the stage's checkpoint, or another file, is damaged.
    """
    check_checkpoint(run, stage)
    to.mkdir()
    copy, metrics = RunFolder(to), run.read_metrics()
    for name in ("config.yaml", "environment.json"):
        (to / name).write_bytes(read_own(run.path / name, TEXT_LIMIT))
    copy.checkpoint(stage).mkdir()
    for name in checkpoint_files(run, stage):
        shutil.copyfile(run.checkpoint(stage) / name, copy.checkpoint(stage) / name, follow_symlinks=False)
    write_manifest(copy.checkpoint(stage))
    scores = [score for score in read_scores(run.scores_file) if score.stage <= stage]
    copy.scores_file.write_text("".join(score.to_line() for score in scores), encoding="utf-8")
    costs = replace(Costs.of(metrics), per_stage=metrics.per_stage[:stage])
    slots = run.config.curriculum.slots
    method = make_method(run.config)
    in_sequence, trained = method.in_sequence(len(slots)), method.heads(stage - 1, len(slots))
    ends = metrics.stage_ends[:stage]
    write_metrics(copy, run_metrics(scores, slots, ends, costs, in_sequence=in_sequence, trained=trained))


def _compare(run: RunFolder, anew: RunFolder, stage: int) -> Again:
    files = []
    for number in (0, 1) if stage == 1 else (stage,):
        one, other = run.checkpoint(number), anew.checkpoint(number)
        folders = [folder for folder in (one, other) if folder.is_dir() and not folder.is_symlink()]
        names = {path.name for folder in folders for path in folder.iterdir() if path.name != MANIFEST}
        files += [f"{one.name}/{name}" for name in sorted(names) if _differ(one / name, other / name)]
    first = 0 if stage == 1 else stage
    then, now = ([s for s in read_scores(r.scores_file) if first <= s.stage <= stage] for r in (run, anew))
    differ = sum(a != b for a, b in zip(then, now, strict=False)) + abs(len(then) - len(now))
    return Again(stage, tuple(files), differ, len(then))


def _differ(theirs: Path, ours: Path) -> bool:
    """Return whether two files differ; what is no plain file, or not as long as ours, is not even read.

    A checkpoint names the checksum of the run's settings as they are written: an older clrobot knew fewer of them.
    """
    try:
        found, length = theirs.lstat(), ours.stat().st_size
    except FileNotFoundError:
        return True
    if not stat.S_ISREG(found.st_mode):
        return True
    if theirs.name == "checkpoint.json" and found.st_size <= TEXT_LIMIT:
        return _without_config(theirs) != _without_config(ours)
    if found.st_size != length:
        return True
    return checksum(theirs) != checksum(ours)


def _without_config(path: Path) -> object:
    """Return what a checkpoint.json says, but for the checksum of the settings; its bytes if it is none."""
    content = read_own(path, TEXT_LIMIT)
    try:
        said = json.loads(content)
    except (ValueError, RecursionError):
        return content
    return {name: value for name, value in said.items() if name != "config"} if isinstance(said, dict) else content
