"""Runs side by side: rows, intervals, the best, and the reasons against a comparison."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.made_up_runs import made_up_run
from support.models import forge_manifest

from clrobot.comparison.comparison import compare
from clrobot.comparison.runs import expand
from clrobot.comparison.sections import task_sections
from clrobot.errors import UserError
from clrobot.runs.folder import RunFolder

KEEPS = [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [1.0, 1.0, 1.0]]
FORGETS = [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.5, 1.0, 0.0], [0.2, 0.6, 1.0]]


def seeds(folder: Path, method: str, finals: list[float]) -> list[RunFolder]:
    """Runs of seeds 0, 1, … whose first skill ends at these success rates."""
    return [
        made_up_run(folder / f"{method}-{seed}", [*FORGETS[:3], [final, 0.6, 1.0]], method=method, seed=seed)
        for seed, final in enumerate(finals)
    ]


def test_the_seeds_of_one_method_are_one_row(tmp_path: Path) -> None:
    found = compare([*seeds(tmp_path, "finetune", [0.2, 0.4, 0.6]), *seeds(tmp_path, "ewc", [0.8, 0.9, 1.0])])
    assert [group.label for group in found.groups] == ["finetune", "ewc"]
    assert found.notes == ()
    finetune, ewc = found.groups
    assert finetune.seeds == (0, 1, 2)
    success = finetune.estimates["average_success"]
    assert (success.value, success.n) == (pytest.approx((0.4 + 0.6 + 1.0) / 3), 3)
    assert success.low is not None
    assert success.high is not None
    # Student's t of 0.6, 2/3 and 2.2/3, whose spread is 1/15.
    assert (success.low, success.high) == pytest.approx((2 / 3 - 0.16561, 2 / 3 + 0.16561), abs=1e-4)
    assert finetune.estimates["forgetting"].value == pytest.approx((0.6 + 0.4) / 2)
    assert finetune.estimates["backward_transfer"].value == pytest.approx(-0.5)
    assert finetune.estimates["average_success_final_step"].value == pytest.approx(1 / 3)
    assert finetune.estimates["parameters.total"].value == 120
    assert finetune.estimates["seconds.total"].value == 10.0
    assert finetune.estimates["environment_steps.learning"].value == 192
    assert finetune.estimates["environment_steps.method"].value == 30
    assert list(ewc.final_success) == ["reach", "button-press", "drawer-open"]
    assert ewc.final_success["reach"].value == pytest.approx(0.9)
    assert ewc.final_success["drawer-open"].low == 1.0


def test_other_threads_of_the_physics_are_no_difference(tmp_path: Path) -> None:
    runs = [made_up_run(tmp_path / f"run-{n}", KEEPS, seed=n, threads=n) for n in (0, 2)]
    found = compare(runs)
    assert [(group.label, group.seeds) for group in found.groups] == [("ewc", (0, 2))]
    assert found.notes == ()


def test_the_interquartile_mean_leaves_an_outlier_out(tmp_path: Path) -> None:
    runs = seeds(tmp_path, "ewc", [0.5, 0.5, 0.5, 0.0])
    assert compare(runs).groups[0].final_success["reach"].value == pytest.approx(0.375)
    assert compare(runs, "iqm").groups[0].final_success["reach"].value == pytest.approx(0.5)


def test_the_best_is_the_highest_success_and_the_lowest_forgetting(tmp_path: Path) -> None:
    found = compare([*seeds(tmp_path, "finetune", [0.2]), *seeds(tmp_path, "ewc", [0.8])])
    for metric in ("average_success", "forgetting", "backward_transfer", "retention"):
        assert found.best(metric) == "ewc"
    assert found.best("parameters.total") is None, "all the same: none is best"
    assert found.best("forward_transfer") is None, "undefined in all"
    assert [found.leads(group, "forgetting") for group in found.groups] == [False, True]


def test_forward_transfer_is_of_the_areas_over_the_seeds(tmp_path: Path) -> None:
    runs = [
        made_up_run(tmp_path / str(seed), KEEPS, method="ewc", seed=seed, reference=reference)
        for seed, reference in enumerate([[0.2, 0.2, 0.2], [0.4, 0.4, 0.4]])
    ]
    # Every stage goes 0 → 1/2 → 1: areas of 1/2 against 0.3 on average.
    for name, tasks, t in (("forward_transfer", 3, 3.18245), ("forward_transfer_from_2", 2, 4.30265)):
        found = compare(runs).groups[0].estimates[name]
        assert found.value == pytest.approx(0.2 / 0.7)
        # The references' error is all there is: of each task 0.2 / √2 / √2, times the slope (1 - 1/2) / (1 - 0.3)²,
        # and of a mean of so many √N less, with as many degrees of freedom.
        half = t * (0.2 / 2**0.5) / 2**0.5 * 0.5 / 0.49 / tasks**0.5
        assert found.low == pytest.approx(0.2 / 0.7 - half, abs=1e-3)
        assert found.high == pytest.approx(0.2 / 0.7 + half, abs=1e-3)


def test_forward_transfer_to_each_task_is_of_its_own_areas(tmp_path: Path) -> None:
    references = [[0.2, 0.0, 0.3], [0.4, 0.2, 0.3]]
    runs = [
        made_up_run(tmp_path / str(seed), KEEPS, method="ewc", seed=seed, reference=reference)
        for seed, reference in enumerate(references)
    ]
    found = compare(runs).groups[0].tasks["forward_transfer"]
    # Areas of 1/2 against .3, .1 and .3.
    values = {name: estimate.value for name, estimate in found.items()}
    assert values == pytest.approx({"reach": 0.2 / 0.7, "button-press": 0.4 / 0.9, "drawer-open": 0.2 / 0.7})
    assert found["drawer-open"].low == found["drawer-open"].high, "nothing varies there"


def test_there_is_no_table_of_what_nobody_measured(tmp_path: Path) -> None:
    run = made_up_run(tmp_path / "a", KEEPS, seed=0)
    assert "Forward transfer to each task" not in {section.title for section in task_sections(compare([run]))}
    other = made_up_run(tmp_path / "b", KEEPS, seed=1, reference=[0.2, 0.2, 0.2])
    assert "Forward transfer to each task" in {section.title for section in task_sections(compare([other]))}


def test_other_settings_of_a_method_are_another_row(tmp_path: Path) -> None:
    found = compare(
        [
            made_up_run(tmp_path / "a", KEEPS, method="ewc", ewc={"strength": 10.0}),
            made_up_run(tmp_path / "b", KEEPS, method="ewc", ewc={"strength": 100.0}),
            made_up_run(tmp_path / "c", KEEPS, method="finetune", ewc={"strength": 100.0}),
            made_up_run(tmp_path / "d", KEEPS, method="finetune", seed=1, video={"enabled": False}),
        ]
    )
    labels = [group.label for group in found.groups]
    assert labels == ["ewc (ewc.strength=10.0)", "ewc (ewc.strength=100.0)", "finetune"]
    assert found.groups[2].seeds == (0, 1)


def test_the_same_run_twice_is_no_second_sample(tmp_path: Path) -> None:
    found = compare([made_up_run(tmp_path / "a", KEEPS), made_up_run(tmp_path / "b", KEEPS)])
    assert found.groups[0].estimates["average_success"].n == 1
    assert found.notes == ("b has the settings and the seed of a and is left out.",)


def test_it_says_why_runs_are_not_comparable(tmp_path: Path) -> None:
    a = made_up_run(tmp_path / "a", KEEPS, method="ewc", versions={"mujoco": "4.0.0"})
    others = {
        "Other budgets: 64 + 64 + 64 (a); 128 + 128 + 128 (b).": {"steps": 128},
        "Other numbers of evaluation episodes: 50 (a); 20 (b).": {"evaluation": {"episodes": 20}},
        "Other evaluation seeds: 1000000 (a); 3 (b).": {"evaluation": {"seed": 3}},
        "Other points of the learning curve: 10 points of 20 episodes (a); 4 points of 20 episodes (b).": {
            "evaluation": {"curve_points": 4}
        },
        "Other versions of mujoco: 4.0.0 (a); 3.3.0 (b).": {"versions": {"mujoco": "3.3.0"}},
        "The rows have other seeds (ewc: 0; finetune: 7).": {"seed": 7},
        "Other algorithm or network settings: the rows differ in more than the method.": {
            "network": {"widths": (8,)}
        },
    }
    for i, (note, change) in enumerate(others.items()):
        settings = {"method": "finetune", "versions": {"mujoco": "4.0.0"}} | change
        b = made_up_run(tmp_path / str(i) / "b", KEEPS, **settings)  # type: ignore[arg-type]
        assert compare([a, b]).notes == (note,)


def test_other_curricula_are_other_rows_and_said(tmp_path: Path) -> None:
    turned = {"name": "quick", "stages": [{"task": t, "steps": 64} for t in ("drawer-open", "reach", "button-press")]}
    a = made_up_run(tmp_path / "a", KEEPS, method="ewc")
    b = made_up_run(tmp_path / "b", KEEPS, method="ewc", curriculum=turned)
    found = compare([a, b])
    assert [group.label for group in found.groups] == ["ewc (quick, 192 steps)", "ewc (quick, 192 steps) #2"]
    assert (
        "Other curricula: reach, button-press, drawer-open (a); drawer-open, reach, button-press (b)." in found.notes
    )


def test_an_unfinished_run_is_a_row_of_its_own(tmp_path: Path) -> None:
    a = made_up_run(tmp_path / "a", KEEPS, method="ewc")
    b = made_up_run(tmp_path / "b", KEEPS[:3], method="ewc", seed=1)
    c = made_up_run(tmp_path / "c", KEEPS[:1], method="ewc", seed=2)
    found = compare([a, b, c])
    assert [group.label for group in found.groups] == ["ewc", "ewc (2 of 3 stages)"]
    assert "b is unfinished (2 of 3 stages): its numbers are of those stages." in found.notes
    assert "c has no finished stage and is left out." in found.notes


SHORT = {"name": "short", "stages": [{"task": task, "steps": 64} for task in ("reach", "button-press")]}
SHORT_ROWS = [row[:2] for row in KEEPS[:3]]


@pytest.mark.parametrize(
    ("settings", "rows"),
    [
        ({}, 1),
        ({"seed": 1}, 2),
        ({"ewc": {"strength": 7.0}}, 2),
        ({"method": "finetune"}, 2),
        ({"steps": 128}, 2),
        ({"rows": 2}, 2),  # it has one stage, and the other two
    ],
)
def test_an_unfinished_run_that_was_trained_no_further_than_a_finished_one_is_no_row(
    settings: dict[str, Any], rows: int, tmp_path: Path
) -> None:
    usual: dict[str, Any] = {"method": "ewc", "rows": 3}
    more = usual | settings
    a = made_up_run(tmp_path / "a", SHORT_ROWS, method="ewc", curriculum=SHORT)
    b = made_up_run(tmp_path / "b", KEEPS[: more.pop("rows")], **more)
    for runs in ([a, b], [b, a]):
        found = compare(runs)
        assert len(found.groups) == rows
        left_out = "b was trained no further than a yet and is left out." in found.notes
        assert left_out == (rows == 1)
        assert any("b is unfinished" in note for note in found.notes) == (rows == 2)


def test_multitask_runs_of_more_tasks_were_not_trained_in_the_same_way(tmp_path: Path) -> None:
    a = made_up_run(tmp_path / "a", SHORT_ROWS, method="multitask", curriculum=SHORT)
    b = made_up_run(tmp_path / "b", KEEPS[:3], method="multitask")
    assert len(compare([a, b]).groups) == 2


def test_nothing_to_compare_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none of the runs has a finished stage"):
        compare([made_up_run(tmp_path / "a", KEEPS[:1])])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metrics.json", '{"stages": 3}'),
        ("environment.json", "[]"),
        ("environment.json", "{}"),
        ("metrics.json", "["),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: str) -> None:
    run = made_up_run(tmp_path / "a", KEEPS)
    (run.path / name).write_text(content)
    forge_manifest(run.path)
    with pytest.raises(UserError, match=name):
        compare([run])


def test_a_folder_of_runs_stands_for_the_runs_in_it(tmp_path: Path) -> None:
    for name in ("b", "a"):
        made_up_run(tmp_path / "runs" / name, KEEPS, seed=ord(name))
    (tmp_path / "runs" / "references").mkdir()
    found = expand([tmp_path / "runs", tmp_path / "runs" / "a"])
    assert [run.path.name for run in found] == ["a", "b"]
    with pytest.raises(UserError, match="holds no run"):
        expand([tmp_path])
