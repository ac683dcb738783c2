"""References for forward transfer: trained once, found again, and used without being asked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.made_up_runs import score
from support.models import forge_manifest
from support.trainings import quickly

from clrobot.errors import UserError
from clrobot.experiment.config import make_config
from clrobot.experiment.curriculum import Curriculum, Stage
from clrobot.manifests import check_record
from clrobot.results.run_metrics import Costs
from clrobot.runs.folder import RunFolder
from clrobot.runs.metrics_file import rebuild_metrics, write_metrics
from clrobot.runs.references import (
    default_store,
    find_reference,
    missing_references,
    reference_areas,
    reference_config,
    reference_folder,
    use_references,
)

pytestmark = pytest.mark.usefixtures("quick_training")
Cli = Callable[..., Any]
SETTINGS: dict[str, Any] = {"curriculum": "quick", "method": "ewc", "seed": 3}


# The key ---------------------------------------------------------------------------------------------------


def key(slot: int = 0, **settings: Any) -> str:
    return reference_folder(Path(), make_config(**(SETTINGS | settings)), slot).name


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 4},
        {"steps": 64},
        {"ppo": {"gamma": 0.9}},
        {"network": {"widths": (8,)}},
        {"torch_threads": 2},
        {"evaluation": {"curve_points": 3}},
        {"evaluation": {"seed": 5}},
    ],
    ids=str,
)
def test_what_determines_a_reference_changes_its_name(change: dict[str, Any]) -> None:
    assert key(**change) != key()


@pytest.mark.parametrize(
    "change",
    [
        {"method": "finetune"},
        {"ewc": {"strength": 1.0}},
        {"video": {"enabled": False}},
        {"checkpoint": {"steps": 9}},
        {"memory_limit_mb": 1},
        {"threads": 2},
        {"curriculum": {"name": "other", "stages": [{"task": "reach", "steps": 40_000}]}},
    ],
    ids=str,
)
def test_what_does_not_determine_it_does_not(change: dict[str, Any]) -> None:
    assert key(**change) == key()
    assert key().startswith("reach-")
    assert key(1).startswith("button-press-")


def test_a_reference_takes_no_more_threads_than_its_run() -> None:
    assert reference_config(make_config(**SETTINGS, threads=2), 0).threads == 2


def test_a_reference_is_the_stage_alone_without_a_method() -> None:
    config = reference_config(make_config(**SETTINGS, steps=640, ppo={"gamma": 0.9}, ewc={"strength": 1.0}), 1)
    assert config.curriculum == Curriculum(name="button-press", stages=(Stage(task="button-press", steps=640),))
    assert (config.method, config.seed, config.ppo.gamma, config.video.enabled) == ("finetune", 3, 0.9, False)
    assert reference_folder(Path(), config).name == key(1, steps=640, ppo={"gamma": 0.9})


def test_a_task_that_comes_twice_has_one_reference(tmp_path: Path) -> None:
    twice = {"name": "twice", "stages": [{"task": "reach", "steps": 64}] * 2}
    run = RunFolder.create(tmp_path / "run", make_config(curriculum=twice))
    assert len(missing_references([run])) == 1
    assert next(iter(missing_references([run]))).parent == tmp_path / "references"


# Trained, found and used -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tiny_flags: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run `finetune` of two stages and its references, made by the verb. Only to be read."""
    from clrobot.cli import main

    folder = tmp_path_factory.mktemp("referenced")
    curriculum = folder / "two.yaml"
    curriculum.write_text("{name: two, stages: [{task: reach, steps: 64}, {task: button-press, steps: 64}]}")
    words = ["train", "--curriculum", str(curriculum), *tiny_flags]
    with quickly():
        main([*words, "--method", "finetune", "--out", str(folder / "finetune")])
        main(["references", str(folder / "finetune")])
    return folder


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "copy"))


def test_the_verb_trains_what_is_missing_and_measures(trained: Path) -> None:
    run = RunFolder.open(trained / "finetune")
    assert len(list((trained / "references").iterdir())) == 2
    tasks = run.read_metrics().per_task
    for slot, task in enumerate(tasks):
        reference = find_reference(trained / "references", run.config, slot)
        assert reference is not None
        assert task.auc_reference == reference.read_metrics().per_task[0].auc
        assert task.forward_transfer == pytest.approx((task.auc - task.auc_reference) / (1 - task.auc_reference))
    # Fine-tuning's first stage is its own reference: the same seed, the same bits.
    assert tasks[0].auc == tasks[0].auc_reference
    assert run.read_metrics().forward_transfer == pytest.approx(np.mean([t.forward_transfer for t in tasks]))
    assert check_record(run.path) is None
    assert "Forward transfer" in (run.path / "report.html").read_text(encoding="utf-8")


def test_what_is_there_is_not_trained_again(cli: Cli, copy: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (copy / "references").rglob("*")}
    outcome = cli("references", copy / "finetune")
    assert (outcome.code, outcome.err) == (0, "")
    assert "reach" in outcome.out
    assert "forward transfer" in outcome.out
    assert {path: path.stat().st_mtime_ns for path in (copy / "references").rglob("*")} == before


def test_a_later_training_uses_them_without_being_asked(cli: Cli, copy: Path, tiny_flags: tuple[str, ...]) -> None:
    words = ["train", "--curriculum", copy / "two.yaml", *tiny_flags, "--method", "ewc", "--out", copy / "ewc"]
    assert cli(*words).code == 0
    metrics = RunFolder.open(copy / "ewc").read_metrics()
    assert metrics.forward_transfer is not None
    assert all(task.auc_reference is not None for task in metrics.per_task)


def test_a_store_elsewhere_is_used(copy: Path, tmp_path: Path) -> None:
    (copy / "references").rename(tmp_path / "store")
    run = RunFolder.open(copy / "finetune")
    assert np.isnan(reference_areas(run.config, default_store(run))).all()
    assert use_references(run).forward_transfer is None
    assert use_references(run, tmp_path / "store").forward_transfer is not None
    assert check_record(run.path) is None


def test_an_unfinished_reference_is_gone_on_with(cli: Cli, copy: Path) -> None:
    run = RunFolder.open(copy / "finetune")
    (reference,) = (copy / "references").glob("button-press-*")
    shutil.rmtree(reference / "stage_01")
    for name in ("report.html", "metrics.json", "manifest.json"):
        (reference / name).unlink()
    assert find_reference(copy / "references", run.config, 1) is None
    outcome = cli("references", copy / "finetune")
    assert outcome.code == 0, outcome
    assert find_reference(copy / "references", run.config, 1) is not None


def break_metrics(reference: Path) -> None:
    (reference / "metrics.json").write_text("{}")
    forge_manifest(reference)


def break_checksum(reference: Path) -> None:
    with (reference / "scores.jsonl").open("r+") as file:
        file.write("#")


def break_settings(reference: Path) -> None:
    text = (reference / "config.yaml").read_text()
    (reference / "config.yaml").write_text(text.replace("seed: 0", "seed: 1"))
    forge_manifest(reference)


@pytest.mark.parametrize("damage", [break_metrics, break_checksum, break_settings])
def test_a_reference_that_is_not_what_it_should_be_is_not_used(copy: Path, damage: Callable[[Path], None]) -> None:
    run = RunFolder.open(copy / "finetune")
    (reference,) = (copy / "references").glob("reach-*")
    damage(reference)
    areas = reference_areas(run.config, copy / "references")
    assert np.isnan(areas).tolist() == [True, False]


def test_the_verb_refuses_a_damaged_reference(cli: Cli, copy: Path) -> None:
    (reference,) = (copy / "references").glob("reach-*")
    break_checksum(reference)
    before = (copy / "finetune" / "metrics.json").read_bytes()
    outcome = cli("references", copy / "finetune")
    assert outcome.code == 2
    assert f"the reference {reference} is damaged; move it elsewhere" in outcome.err
    assert outcome.err.count("\n") == 1
    assert (copy / "finetune" / "metrics.json").read_bytes() == before


def test_the_verb_refuses_what_is_no_run(cli: Cli, tmp_path: Path) -> None:
    assert "no run; give one or more run folders" in cli("references").err
    assert "no run folder" in cli("references", tmp_path / "nothing").err


def test_a_run_that_is_being_trained_is_left_alone(copy: Path) -> None:
    run = RunFolder.open(copy / "finetune")
    run.lock()
    try:
        with pytest.raises(UserError, match="another process is training"):
            use_references(run)
    finally:
        run.unlock()


# The metrics of a finished run, anew -----------------------------------------------------------------------


def test_metrics_built_anew_are_the_same_bytes(tiny_copy: Path) -> None:
    run = RunFolder.open(tiny_copy)
    before = {name: (tiny_copy / name).read_bytes() for name in ("metrics.json", "manifest.json")}
    rebuild_metrics(run)
    assert {name: (tiny_copy / name).read_bytes() for name in before} == before


def test_metrics_built_anew_keep_what_scores_do_not_tell(tiny_copy: Path) -> None:
    run = RunFolder.open(tiny_copy)
    old = run.read_metrics()
    write_metrics(run, old.model_copy(update={"failed_recordings": 7}))
    new = rebuild_metrics(run, [0.5, 0.5, 0.5])
    assert new == run.read_metrics()
    assert new.per_task[0].auc_reference == 0.5
    assert Costs.of(new) == replace(Costs.of(old), failed_recordings=7)


def test_scores_that_do_not_fit_are_refused(tiny_copy: Path) -> None:
    with (tiny_copy / "scores.jsonl").open("a") as file:
        file.write(score(9, 9, 0, 0.5).to_line())
    forge_manifest(tiny_copy)
    with pytest.raises(UserError, match=r"metrics\.json does not fit the run's scores"):
        rebuild_metrics(RunFolder.open(tiny_copy))


def test_steps_are_counted(tiny_run: Path) -> None:
    metrics = json.loads((tiny_run / "metrics.json").read_text())
    # Two iterations of 64 samples in each stage, in one pass of two minibatches.
    assert metrics["gradient_steps"] == {"learning": 3 * 2 * 1 * 2, "method": 0}
    assert metrics["environment_steps"]["learning"] == 3 * 128
