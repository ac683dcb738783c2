"""Taking a finished run further."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch as th
import yaml
from safetensors.torch import load_file
from support.outcomes import WholeRuns, outcome
from support.trainings import settings

import clrobot.training.extend
from clrobot.comparison.comparison import compare
from clrobot.errors import UserError
from clrobot.evaluation.evaluator import Evaluator
from clrobot.experiment.config import make_config
from clrobot.results.scores import Score
from clrobot.runs.folder import RunFolder
from clrobot.training.extend import extend
from clrobot.training.resuming import resume
from clrobot.training.training import train

pytestmark = pytest.mark.usefixtures("quick_training")
TASKS = ("reach", "button-press", "drawer-open")  # those of quick
EXTENDABLE = ("finetune", "si", "packnet", "progress-compress", "replay", "generative-replay")  # one of each kind


SAC = {
    "algo": "sac",
    "sac": {"num_envs": 4, "train_freq": 8, "gradient_steps": 2, "batch_size": 16, "learning_starts": 32},
}


def tiny(method: str, tasks: tuple[str, ...]) -> dict[str, Any]:
    """Settings of a tiny run of the first tasks of quick."""
    curriculum = {"name": "quick", "stages": [{"task": task, "steps": 256} for task in tasks]}
    return settings(method) | {"curriculum": curriculum, "steps": None}


@pytest.mark.parametrize("method", EXTENDABLE)
def test_an_extended_run_ends_as_one_that_was_planned_so(method: str, whole_runs: WholeRuns, tmp_path: Path) -> None:
    short = train(make_config(**tiny(method, TASKS[:2])), tmp_path / "short")
    before = outcome(short.path)
    longer = resume(extend(short, TASKS[2], 256, tmp_path / "longer").path)
    assert outcome(longer.path) == whole_runs[method].outcome
    assert outcome(short.path) == before  # not touched


def test_with_one_head_for_all_too(tmp_path: Path) -> None:
    runs = []
    for name, count in (("planned", 3), ("short", 2)):
        asked = tiny("finetune", TASKS[:count])
        asked["curriculum"] |= {"heads": "one"}
        runs.append(train(make_config(**asked), tmp_path / name))
    longer = resume(extend(runs[1], TASKS[2], 256, tmp_path / "longer").path)
    assert outcome(longer.path) == outcome(runs[0].path)


def test_sac_too(tmp_path: Path) -> None:
    planned = train(make_config(**tiny("finetune", TASKS[:2]) | SAC), tmp_path / "planned")
    short = train(make_config(**tiny("finetune", TASKS[:1]) | SAC), tmp_path / "short")
    longer = resume(extend(short, TASKS[1], 256, tmp_path / "longer").path)
    assert outcome(longer.path) == outcome(planned.path)


def test_a_task_that_comes_again_is_a_slot_of_its_own(tiny_copy: Path, cli) -> None:
    words = ("--task", "reach", "--steps", "64", "--overrides", "action.delay", "2", "--out", "again")
    done = cli("extend", tiny_copy, *words)
    assert done.code == 0, done.err
    again = RunFolder.open(Path("again"))
    assert again.config.curriculum.slots == ("reach", "button-press", "drawer-open", "reach-2")
    assert again.config.curriculum.stages[-1].overrides == {"action.delay": 2}
    assert again.stages() == [0, 1, 2, 3, 4]
    matrix = again.read_metrics().success_matrix
    assert all(rate is not None for row in matrix for rate in row)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--task", "juggle", "--steps", "64"), "unknown task 'juggle'"),
        (("--task", "reach", "--steps", "0"), "--steps 0; expected 1 or more"),
        (("--task", "reach", "--steps", "64", "--out", "."), "already holds"),
        (
            ("--task", "reach", "--steps", "64", "--overrides", "object.mass", "1"),
            "object.mass means nothing for reach",
        ),
    ],
)
def test_what_cannot_be_done_is_one_sentence(words, sentence: str, tiny_copy: Path, cli) -> None:
    done = cli("extend", tiny_copy, *words)
    assert done.code == 2
    assert sentence in done.err
    assert done.err.count("\n") == 1
    assert not tiny_copy.with_name(f"{tiny_copy.name}-reach").exists()


def test_a_run_that_came_meanwhile_stays(tiny_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every stage is measured on the new task before anything is written, which takes a while."""
    measure = clrobot.training.extend._with_new_slot

    def another_is_quicker(*given: Any) -> Any:
        found = measure(*given)
        (tmp_path / "longer").mkdir()
        (tmp_path / "longer" / "config.yaml").write_text("theirs")
        return found

    monkeypatch.setattr(clrobot.training.extend, "_with_new_slot", another_is_quicker)
    with pytest.raises(UserError, match="longer already holds a run"):
        extend(tiny_copy, "push", 256, tmp_path / "longer")
    assert (tmp_path / "longer" / "config.yaml").read_text() == "theirs"


def test_an_unfinished_run_is_refused(tiny_copy: Path, tmp_path: Path) -> None:
    shutil.rmtree(tiny_copy / "stage_03")
    with pytest.raises(UserError, match="not finished"):
        extend(RunFolder.open(tiny_copy), "reach", 64, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_moments_that_no_checkpoint_keeps_are_refused(tmp_path: Path) -> None:
    on = tiny("finetune", TASKS[:1]) | {"plasticity": {"reset_optimizer": False}}
    run = train(make_config(**on), tmp_path / "run")
    with pytest.raises(UserError, match="reset-optimizer"):
        extend(run, "reach", 64, tmp_path / "out")


def test_the_extended_configuration_is_a_run_of_its_own(tiny_copy: Path, tmp_path: Path) -> None:
    longer = extend(RunFolder.open(tiny_copy), "reach", 64, tmp_path / "longer")
    stages = yaml.safe_load(longer.config_file.read_text())["curriculum"]["stages"]
    assert stages[-1] == {"task": "reach", "steps": 64}
    old, new = (load_file(run / "stage_03" / "weights.safetensors") for run in (tiny_copy, longer.path))
    assert all((old[name] == new[name]).all() for name in old)


def test_it_measures_with_the_run_s_threads_of_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With another number the scores would have other bits."""
    run = train(make_config(**tiny("finetune", TASKS[:1]) | {"torch_threads": 2}), tmp_path / "run")
    threads: list[int] = []
    score = Evaluator.score

    def noted(*arguments: Any, **named: Any) -> Score:
        threads.append(th.get_num_threads())
        return score(*arguments, **named)

    monkeypatch.setattr(Evaluator, "score", noted)
    extend(run, "push", 64, tmp_path / "more")
    assert threads == [2, 2]
    assert th.get_num_threads() == 1


# Before the new stage is over ------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["finetune", "progress-compress"])
def test_until_its_new_stage_is_over_it_is_a_run_planned_so_and_stopped(
    method: str, whole_runs: WholeRuns, tmp_path: Path
) -> None:
    short = train(make_config(**tiny(method, TASKS[:2])), tmp_path / "short")
    metrics = extend(short, TASKS[2], 256, tmp_path / "longer").read_metrics()
    planned = whole_runs[method].run.read_metrics()
    assert (metrics.stages, metrics.stages_done, metrics.slot_names) == (3, 2, list(TASKS))
    assert metrics.success_matrix[:3] == planned.success_matrix[:3]
    assert metrics.stage_ends == planned.stage_ends[:2]
    assert metrics.seconds == short.read_metrics().seconds
    assert metrics.per_stage == short.read_metrics().per_stage


def test_what_shows_runs_shows_one_that_was_just_extended(tiny_copy: Path, tmp_path: Path, cli) -> None:
    longer = extend(RunFolder.open(tiny_copy), "push", 64, tmp_path / "longer")
    for words in (["report", longer.path], ["plot", longer.path, "--format", "svg"], ["evaluate", longer.path]):
        done = cli(*words)
        assert done.code == 0, done
    page = (longer.path / "report.html").read_text(encoding="utf-8")
    assert "push" in page


def test_a_copy_that_learned_nothing_new_yet_is_no_row_beside_its_run(tiny_copy: Path, tmp_path: Path) -> None:
    run = RunFolder.open(tiny_copy)
    longer = extend(run, "push", 64, tmp_path / "longer")
    both = compare([run, longer])
    assert [group.runs for group in both.groups] == [(run,)]
    assert both.notes == ("longer was trained no further than tiny yet and is left out.",)
    alone = compare([longer])
    assert [group.label for group in alone.groups] == ["ewc (3 of 4 stages)"]
    assert alone.notes == ("longer is unfinished (3 of 4 stages): its numbers are of those stages.",)
    resume(longer.path)
    later = compare([run, RunFolder.open(longer.path)])
    assert [len(group.runs) for group in later.groups] == [1, 1]


def test_what_no_checkpoint_lists_is_not_copied(tiny_copy: Path, tmp_path: Path) -> None:
    """A sparse file of 20 GB takes no place on a stranger's disk, and all of it here; a pipe ends never."""
    run = RunFolder.open(tiny_copy)
    with (run.checkpoint(1) / "more").open("wb") as file:
        file.truncate(20 * 2**30)
    os.mkfifo(run.checkpoint(2) / "pipe")
    (run.path / "videos").mkdir(exist_ok=True)
    (run.path / "videos" / "link.mp4").symlink_to("/dev/zero")
    longer = extend(run, "push", 64, tmp_path / "longer")
    usual = {"checkpoint.json", "manifest.json", "method.safetensors", "weights.safetensors"}
    for stage in (0, 1, 2, 3):
        assert {path.name for path in longer.checkpoint(stage).iterdir()} == usual
    assert not list((longer.path / "videos").glob("*"))


def test_a_checkpoint_larger_than_it_can_be_is_refused_uncopied(tiny_copy: Path, tmp_path: Path) -> None:
    with (tiny_copy / "stage_02" / "weights.safetensors").open("r+b") as file:
        file.truncate(20 * 2**30)
    with pytest.raises(UserError, match="it has 21,474,836,480 bytes"):
        extend(tiny_copy, "push", 64, tmp_path / "longer")
    assert not (tmp_path / "longer").exists()
