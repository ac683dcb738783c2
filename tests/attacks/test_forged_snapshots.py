"""Snapshots that somebody made by hand, with checksums that agree: an older one is used, and nothing is lost.

A reader adds an attack by one line in FORGERIES.
"""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest
from support.forging import Forgery, doubles, fields, filled, lacking, misshapen, tensors, without_one
from support.models import forge_manifest
from support.outcomes import Warned, WholeRuns, outcome, stopped

from clrobot.errors import UserError
from clrobot.runs.folder import RunFolder
from clrobot.runs.snapshot import Progress, Snapshot, snapshots
from clrobot.training.resuming import open_training, resume

pytestmark = pytest.mark.usefixtures("quick_training")


FORGERIES: dict[str, Forgery] = {
    "episodes: not pairs": fields("progress.json", episodes=[[1.0, 2, 3]]),
    "episodes: far too long": fields("progress.json", episodes=[[1.0, 10**30]]),
    "weights: one is missing": tensors("weights.safetensors", without_one),
    "weights: other shapes": tensors("weights.safetensors", misshapen),
    "weights: none": tensors("weights.safetensors", dict.clear),
    "weights: another kind": tensors("weights.safetensors", doubles),
    "weights: infinite": tensors("weights.safetensors", filled(math.inf)),
    "moments: other shapes": tensors("optimizer.safetensors", misshapen),
    "moments: another kind": tensors("optimizer.safetensors", doubles),
    "moments: one is missing": tensors("optimizer.safetensors", without_one),
    "memory: other shapes": tensors("method.safetensors", misshapen),
    "memory: no numbers": tensors("method.safetensors", filled(math.nan)),
    "memory: one is missing": tensors("method.safetensors", without_one),
    "arrays: one is missing": tensors("arrays.safetensors", without_one),
    "arrays: other shapes": tensors("arrays.safetensors", misshapen),
    "generators: none": fields("generators.json", numpy={}, python={}, simulation=[], actions={}),
    "generators: numpy reads beyond its words": fields(
        "generators.json", numpy={"pos": 10**6, "has_gauss": 0, "gauss": 0.0}
    ),
    "generators: Python's gauss is text": fields("generators.json", python={"version": 3, "gauss": "a"}),
    "generators: text": fields("generators.json", numpy="a", python="b"),
    "generators: huge": fields("generators.json", numpy={"pos": 10**400, "has_gauss": 0, "gauss": 0.0}),
    "step: 10^30": fields("progress.json", step=10**30),
    "step: negative": fields("progress.json", step=-1),
    "phase: 10^12": fields("progress.json", phase=10**12),
    "stage: beyond the curriculum": fields("progress.json", stage=900),
    "scores: more than there are": fields("progress.json", scores=10**9),
    "stage: begun elsewhere": fields("progress.json", stage_start=1),
    "scores: none": fields("progress.json", scores=0),
    "log counts: below zero": fields("progress.json", log_counts={"gradients/norm": -1}),
    "log counts: 10^400": fields("progress.json", log_counts={"gradients/norm": 10**400}),
    "log counts: text": fields("progress.json", log_counts={"a": "b"}),
    "curve: points without number": fields("progress.json", curve_due=list(range(10_001))),
    "cuts: of a world that needs none": fields("progress.json", cut=1),
    "episodes: more than are kept": fields("progress.json", episodes=[[1.0, 100]] * 101),
    "curve: text": fields("progress.json", curve_due=["a"]),
    "seconds: none": fields("progress.json", seconds={"train": None}),
    "seconds: of something else": fields("progress.json", seconds={"sleep": 1.0}),
    "seconds: 10^300": fields("progress.json", seconds={"train": 1e300}),
    "divergences: missing": lacking("progress.json", "divergences"),
    "per stage: none": fields("progress.json", per_stage=[]),
    "per stage: other keys": fields("progress.json", per_stage=[{"a": 1}]),
    "run's checksums: text": fields("run.json", **{"config.yaml": "a"}),
}


@pytest.fixture(scope="module")
def stopped_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stopped(tmp_path_factory.mktemp("stopped") / "run", "ewc", boundary=9)


@pytest.mark.parametrize("attack", FORGERIES)
def test_a_forged_snapshot_is_passed_over_and_an_older_one_leads_to_the_same_end(
    attack: str, stopped_run: Path, whole_runs: WholeRuns, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(stopped_run, tmp_path / "run"))
    newest, older = snapshots(run / "resume")
    FORGERIES[attack](newest)
    forge_manifest(newest)
    observer = Warned()
    training = open_training(run, observer)
    assert training.within is not None
    assert training.within.folder == older
    assert len(observer.warnings) == 1, observer.warnings
    assert observer.warnings[0].isprintable()
    assert (newest.parent / "passed-over" / newest.name).is_dir(), "it may be whole elsewhere"
    training.run()
    assert outcome(run) == whole_runs["ewc"].outcome


def test_with_every_snapshot_forged_a_training_goes_on_from_the_end_of_a_stage(
    stopped_run: Path, whole_runs: WholeRuns, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(stopped_run, tmp_path / "run"))
    for snapshot in snapshots(run / "resume"):
        tensors("method.safetensors", misshapen)(snapshot)
        forge_manifest(snapshot)
    observer = Warned()
    resume(run, observer)
    assert len(observer.warnings) == 3
    assert "goes on from the end of stage 1" in observer.warnings[-1]
    assert outcome(run) == whole_runs["ewc"].outcome


@pytest.mark.parametrize("name", ["weights.safetensors", "method.safetensors"])
def test_with_its_checkpoint_forged_too_it_is_left_as_it_is(name: str, stopped_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(stopped_run, tmp_path / "run"))
    for folder in (*snapshots(run / "resume"), run / "stage_01"):
        tensors(name, misshapen)(folder)
        forge_manifest(folder)
    before = {path: path.read_bytes() for path in sorted(run.rglob("*")) if path.is_file()}
    with pytest.raises(UserError, match=r"is left as it is: it holds no whole snapshot, and .* damaged") as refused:
        resume(run, Warned())
    assert str(refused.value).isprintable()
    assert {path: path.read_bytes() for path in sorted(run.rglob("*")) if path.is_file()} == before


def test_what_is_logged_may_be_no_number(stopped_run: Path) -> None:
    """Such as how much is explained of returns that are all the same."""
    progress = Snapshot(snapshots(stopped_run / "resume")[0], RunFolder.open(stopped_run).config).progress
    text = progress.model_copy(update={"log": {"train/explained_variance": math.nan}}).model_dump_json()
    assert math.isnan(Progress.model_validate_json(text).log["train/explained_variance"])
    assert json.loads(text)["step"] == progress.step
