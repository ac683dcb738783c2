"""Snapshots that somebody made by hand, with checksums that agree: one sentence, and nothing is lost.

A reader adds an attack by one line in FORGERIES.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from support.models import forge_manifest
from support.outcomes import Warned, WholeRuns, outcome, stopped

from clrobot.errors import UserError
from clrobot.runs.snapshot import snapshots
from clrobot.training.resuming import resume

pytestmark = pytest.mark.usefixtures("quick_training")


def tensors(name: str, change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    """Change what one file of tensors holds."""

    def forge(snapshot: Path) -> None:
        held = load_file(snapshot / name)
        change(held)
        save_file(held, snapshot / name)

    return forge


def fields(name: str, **changes: Any) -> Callable[[Path], None]:
    """Change fields of one JSON file."""

    def forge(snapshot: Path) -> None:
        content = json.loads((snapshot / name).read_text())
        (snapshot / name).write_text(json.dumps(content | changes))

    return forge


def without_one(held: dict[str, Any]) -> None:
    held.pop(sorted(held)[0])


def misshapen(held: dict[str, Any]) -> None:
    for name in held:
        held[name] = held[name].flatten()[:1].clone()


FORGERIES: dict[str, Callable[[Path], None]] = {
    "episodes: not pairs": fields("progress.json", episodes=[[1.0, 2, 3]]),
    "episodes: far too long": fields("progress.json", episodes=[[1.0, 10**30]]),
    "weights: one is missing": tensors("weights.safetensors", without_one),
    "weights: other shapes": tensors("weights.safetensors", misshapen),
    "weights: none": tensors("weights.safetensors", dict.clear),
    "moments: other shapes": tensors("optimizer.safetensors", misshapen),
    "memory: one is missing": tensors("method.safetensors", without_one),
    "arrays: one is missing": tensors("arrays.safetensors", without_one),
    "arrays: other shapes": tensors("arrays.safetensors", misshapen),
    "generators: none": fields("generators.json", numpy={}, python={}, simulation=[], actions={}),
    "generators: text": fields("generators.json", numpy="a", python="b"),
    "generators: huge": fields("generators.json", numpy={"pos": 10**400, "has_gauss": 0, "gauss": 0.0}),
    "step: 10^30": fields("progress.json", step=10**30),
    "step: negative": fields("progress.json", step=-1),
    "phase: 10^12": fields("progress.json", phase=10**12),
    "stage: beyond the curriculum": fields("progress.json", stage=900),
    "scores: more than there are": fields("progress.json", scores=10**9),
    "log counts: text": fields("progress.json", log_counts={"a": "b"}),
    "curve: text": fields("progress.json", curve_due=["a"]),
    "seconds: none": fields("progress.json", seconds={"train": None}),
    "per stage: other keys": fields("progress.json", per_stage=[{"a": 1}]),
    "run's checksums: text": fields("run.json", **{"config.yaml": "a"}),
}


@pytest.fixture(scope="module")
def stopped_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stopped(tmp_path_factory.mktemp("stopped") / "run", "ewc", boundary=9)


@pytest.mark.parametrize("attack", FORGERIES)
def test_a_forged_snapshot_is_a_sentence_or_is_passed_over(
    attack: str, stopped_run: Path, whole_runs: WholeRuns, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(stopped_run, tmp_path / "run"))
    newest = snapshots(run / "resume")[0]
    FORGERIES[attack](newest)
    forge_manifest(newest)
    observer = Warned()
    said = []
    try:
        resume(run, observer)
        said += observer.warnings
    except UserError as error:
        said.append(str(error))
        shutil.rmtree(newest)  # as the sentence asks: an older one leads to the same end
        resume(run, Warned())
    assert len(said) == 1
    assert said[0].isprintable()
    assert outcome(run) == whole_runs["ewc"].outcome
