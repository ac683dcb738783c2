"""What is set beside each other is alike: physics, curricula, how far runs came, and the tasks of a mean."""

from __future__ import annotations

import json
from pathlib import Path

from support.made_up_runs import made_up_run

from clrobot.comparison.comparison import compare
from clrobot.comparison.tables import as_text
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
