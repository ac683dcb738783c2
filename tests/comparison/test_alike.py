"""What is set beside each other is alike: physics, curricula, how far runs came, and the tasks of a mean."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.made_up_runs import made_up_run

from clrobot.comparison.comparison import compare
from clrobot.comparison.numbers import task_value
from clrobot.comparison.publish import publish
from clrobot.comparison.readme import published_comparison
from clrobot.comparison.tables import as_text
from clrobot.experiment.config import make_config
from clrobot.experiment.prepare import settle
from clrobot.published.results import read_results
from clrobot.report.comparison_page import write_comparison
from clrobot.runs.folder import RunFolder

KEPT = [(0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (1.0, 0.0, 0.0), (1.0, 0.0, 1.0)]  # the second is never learned
LOST = [(0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (1.0, 1.0, 0.0), (1.0, 0.25, 1.0)]


def in_physics(run: RunFolder, version: int) -> RunFolder:
    environment = json.loads((run.path / "environment.json").read_text())
    run.write_json("environment.json", environment | {"physics": version})
    run.record()
    return run


def test_runs_of_other_physics_are_rows_of_their_own(tmp_path: Path) -> None:
    runs = [in_physics(made_up_run(tmp_path / f"{seed}", KEPT, seed=seed), 1 + seed) for seed in (0, 1)]
    found = compare(runs)
    assert [group.label for group in found.groups] == ["ewc (physics 1)", "ewc (physics 2)"]
    assert [group.physics for group in found.groups] == [1, 2]
    assert "Other physics: 1 (0); 2 (1)." in found.notes
    assert len(compare([in_physics(run, 1) for run in runs]).groups) == 1


def test_one_head_for_all_is_not_paired_with_a_head_for_each(tmp_path: Path) -> None:
    stages = [{"task": task, "steps": 64} for task in ("reach", "push", "stack")]
    curricula = [{"name": "c", "stages": stages}, {"name": "c", "heads": "one", "stages": stages}]
    runs = [
        made_up_run(tmp_path / method, KEPT, method=method, curriculum=curriculum, steps=None)
        for method, curriculum in zip(("finetune", "ewc"), curricula, strict=True)
    ]
    found = compare(runs)
    assert found.differences == ()
    assert "Other heads, order or padding: as usual (finetune); heads: one (ewc)." in found.notes


def test_a_run_that_is_not_as_far_is_not_the_best(tmp_path: Path) -> None:
    runs = [
        made_up_run(tmp_path / "ewc", [*KEPT[:3], (0.9, 0.9, 0.9)], method="ewc"),
        made_up_run(tmp_path / "replay", KEPT[:2], method="replay"),
        made_up_run(tmp_path / "finetune", LOST, method="finetune"),
    ]
    found = compare(runs)
    assert max(group.estimates["average_success"].value or 0 for group in found.groups) == 1.0
    assert found.best("average_success") == "ewc"
    slot = (found.slots or ())[0]
    assert [found.leads_in_task(group, slot) for group in found.groups if group.method == "replay"] == [False]


def test_rows_of_a_shorter_curriculum_have_a_best_of_their_own(tmp_path: Path) -> None:
    """They are finished, though others have more stages."""
    short = {"name": "short", "stages": [{"task": "reach", "steps": 64}, {"task": "push", "steps": 64}]}
    runs = [
        made_up_run(tmp_path / "long-ewc", KEPT, method="ewc"),
        made_up_run(tmp_path / "long-finetune", LOST, method="finetune"),
        made_up_run(tmp_path / "ewc", [(0, 0), (1, 0), (1, 1)], method="ewc", curriculum=short, steps=None),
        made_up_run(tmp_path / "finetune", [(0, 0), (1, 0), (0, 1)], method="finetune", curriculum=short, steps=None),
    ]
    found = compare(runs)
    leaders = [group.config.curriculum.name for group in found.groups if found.leads(group, "average_success")]
    assert sorted(leaders) == ["quick", "short"]


def test_a_mean_over_other_tasks_is_no_difference(tmp_path: Path) -> None:
    """What one never learned is left out of its mean, and is in the other's."""
    runs = [
        made_up_run(tmp_path / f"{method}-{seed}", rows, method=method, seed=seed)
        for method, rows in (("finetune", LOST), ("ewc", KEPT))
        for seed in range(4)
    ]
    (difference,) = compare(runs).differences
    kept = difference.estimates["retention"]
    assert [group.estimates["retention"].value for group in compare(runs).groups] == [0.625, 1.0]
    assert (kept.value, kept.n, kept.undefined) == (None, 0, 4)
    assert difference.samples("retention") == [None] * 4
    assert difference.estimates["average_success"].n == 4
    assert as_text(compare(runs), "json")


def test_a_mean_that_the_last_task_has_no_part_in_is_none_of_it(tmp_path: Path) -> None:
    """Nothing comes after it that could hurt it: whether it was learned says nothing of retention."""
    never = [(0, 0, 0), (1, 0, 0), (0.5, 1, 0), (0.5, 0.5, 0)]
    runs = [
        made_up_run(tmp_path / f"{method}-{seed}", rows, method=method, seed=seed)
        for method, rows in (("finetune", never), ("ewc", [(0, 0, 0), (1, 0, 0), (1, 1, 0), (1, 1, 1)]))
        for seed in range(4)
    ]
    (difference,) = compare(runs).differences
    assert (difference.estimates["retention"].value, difference.estimates["retention"].n) == (0.5, 4)


def test_published_means_over_other_tasks_are_no_difference_either() -> None:
    """On reuse8 ewc and fine-tuning learned other tasks with every seed."""
    runs = [run for run in read_results() if run.first.curriculum == "reuse8"]
    shown = published_comparison(runs).differences
    (pair,) = [d for d in shown if d.group.method == "ewc" and d.baseline.method == "finetune"]
    assert pair.estimates["average_success"].n == 5
    assert (pair.estimates["retention"].value, pair.estimates["retention"].n) == (None, 0)


TASKS = ("reach", "push", "stack")


def in_drawn_order(path: Path, seed: int, method: str, final: dict[str, float]) -> RunFolder:
    """A run whose seed drew the order of the tasks, and how often each is done at the end."""
    planned = {"name": "shuffled", "order": "seed", "stages": [{"task": task, "steps": 64} for task in TASKS]}
    curriculum = settle(make_config(curriculum=planned, seed=seed)).curriculum
    rows = [[0.0] * 3, *([[final[task] for task in curriculum.slots]] * 3)]
    areas = [0.25 + 0.125 * TASKS.index(task) for task in curriculum.slots]
    settings = curriculum.model_dump(mode="json")
    return made_up_run(path, rows, method=method, seed=seed, curriculum=settings, steps=None, reference=areas)


def test_seeds_that_drew_their_order_are_one_row_and_tasks_go_by_their_names(tmp_path: Path) -> None:
    ewc, finetune = {"reach": 1.0, "push": 0.5, "stack": 0.25}, {"reach": 0.5, "push": 0.5, "stack": 0.0}
    runs = [
        in_drawn_order(tmp_path / f"{method}-{seed}", seed, method, final)
        for method, final in (("ewc", ewc), ("finetune", finetune))
        for seed in range(4)
    ]
    assert len({run.config.curriculum.slots for run in runs}) > 1
    found = compare(runs)
    assert [(group.label, group.seeds) for group in found.groups] == [(m, (0, 1, 2, 3)) for m in ("ewc", "finetune")]
    for group, final in zip(found.groups, (ewc, finetune), strict=True):
        assert {name: estimate.value for name, estimate in group.final_success.items()} == final
        assert not group.in_one_order
        per_seed = [run.value("forward_transfer_from_2") for run in group.numbers]
        assert group.estimates["forward_transfer_from_2"].value == sum(v for v in per_seed if v is not None) / 4
    # To a task with which a seed began nothing could be transferred; to each other one it counts.
    for slot in TASKS:
        later = [
            value
            for run in found.groups[0].numbers
            if run.slot_names[0] != slot and (value := task_value(run, slot, "forward_transfer")) is not None
        ]
        estimate = found.groups[0].tasks["forward_transfer"][slot]
        assert estimate.n == len(later)
        assert estimate.value == pytest.approx(sum(later) / len(later))
    assert found.later_slots == found.slots
    (difference,) = found.differences
    assert {slot: estimate.value for slot, estimate in difference.final_success.items()} == {
        task: ewc[task] - finetune[task] for task in TASKS
    }
    assert not any(note.startswith("Other ") for note in found.notes)
    page = write_comparison(runs, tmp_path / "report.html").read_text()
    assert "finetune" in page


def test_they_are_published_as_the_curriculum_that_was_planned(tmp_path: Path) -> None:
    final = dict.fromkeys(TASKS, 0.5)
    runs = [in_drawn_order(tmp_path / str(seed), seed, "ewc", final) for seed in range(3)]
    for run in runs:
        for stage in range(4):
            run.checkpoint(stage).mkdir()
    publish(runs, tmp_path / "data.csv", commit="c" * 12, loaded=False, replace=False)
    found = read_results(tmp_path / "data.csv")
    assert len({run.first.stages for run in found}) == len({run.first.fingerprint for run in found}) == 1
    assert not any(run.older for run in found)
    (group,) = published_comparison(found).groups
    assert group.seeds == (0, 1, 2)
    assert {name: estimate.value for name, estimate in group.final_success.items()} == final
