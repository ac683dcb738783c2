"""Forward transfer against the references that come with clrobot: found without training, and marked as such."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.made_up_runs import made_up_run
from support.references import reference
from support.trainings import quickly

from clrobot.comparison.comparison import compare
from clrobot.comparison.tables import as_json, as_text
from clrobot.published.provenance import provenance
from clrobot.published.results import read_results
from clrobot.report.page import write_report
from clrobot.results.metrics import forward_transfer
from clrobot.results.transfer_estimate import forward_transfer_estimate
from clrobot.runs.folder import RunFolder
from clrobot.runs.references import default_store, find_references, missing_references, shipped_areas, use_references

Cli = Callable[..., Any]
TASKS = ("reach", "button-press", "drawer-open")
ROWS = [(0.0, 0.0, 0.0), (1.0, 0.5, 0.0), (0.5, 1.0, 0.25), (0.5, 0.5, 1.0)]


def curves(tasks: tuple[str, ...] = TASKS, seeds: int = 2, **columns: Any) -> list[Any]:
    """Curves that rise in a line to 1 at 16,384 steps and, by another seed, at 8,192."""
    points = ["0:0 16384:1", "0:0 8192:1 16384:1"]
    return [
        reference(task=task, seed=seed, **{"curve": points[seed % 2]} | columns)
        for task in tasks
        for seed in range(seeds)
    ]


def run(folder: Path, name: str = "run", **settings: Any) -> RunFolder:
    return made_up_run(folder / name, ROWS, **{"steps": 8192, "method": "finetune"} | settings)


def test_the_mean_over_the_seeds_is_what_a_stage_is_set_against(tmp_path: Path, ships: Callable[..., None]) -> None:
    ships(*curves())
    metrics = use_references(run(tmp_path))
    # Over half of the first curve and all of the second's rise: means of .25 and .5.
    for task in metrics.per_task:
        assert task.auc_reference == pytest.approx(0.375)
        assert task.reference == "shipped"
        assert task.forward_transfer == pytest.approx(forward_transfer([task.auc], [0.375])[0])
    written = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert [task["reference"] for task in written["per_task"]] == ["shipped"] * 3


def test_a_training_has_them_without_being_asked(
    cli: Cli, tiny_flags: tuple[str, ...], ships: Callable[..., None], tmp_path: Path
) -> None:
    from clrobot.experiment.config import make_config
    from clrobot.published.references import learner_settings
    from clrobot.published.rows import settings_text

    ppo = {"num_envs": 4, "n_steps": 16, "batch_size": 32, "n_epochs": 1}
    tiny = settings_text(learner_settings(make_config(network={"widths": (8,)}, ppo=ppo)))
    ships(*curves(TASKS[:2], settings=tiny))
    with quickly():
        assert cli("train", *tiny_flags, "--method", "finetune", "--out", "run").code == 0
    tasks = RunFolder.open(tmp_path / "run").read_metrics().per_task
    assert [task.reference for task in tasks] == ["shipped", "shipped", None]
    assert tasks[0].forward_transfer is not None
    assert tasks[2].forward_transfer is None


@pytest.mark.parametrize(("noted", "area"), [({"physics": 7}, 0.375), ({"physics": 8}, None), ({}, 0.375 / 2)])
def test_a_run_has_the_references_of_the_physics_that_it_was_trained_in(
    noted: dict[str, int], area: float | None, tmp_path: Path, ships: Callable[..., None], cli: Cli
) -> None:
    """Whatever the version here: of a run that noted none it is the first."""
    first = [reference(task=task, curve="0:0 16384:0.75", seed=0) for task in TASKS]
    ships(*curves(physics=7), *first)
    made = run(tmp_path)
    environment = {name: value for name, value in made.read_environment().items() if name != "physics"}
    made.write_json("environment.json", environment | noted)
    made.record()
    assert [task.auc_reference for task in use_references(made).per_task] == [area and pytest.approx(area)] * 3
    for stage in range(4):
        made.checkpoint(stage).mkdir()
    assert len(missing_references([made], unless_shipped=True)) == (3 if area is None else 0)
    (said,) = compare([made]).remarks if area is None else [""]
    assert ("they are of physics 1, and this is 8" in said) == (area is None)
    assert cli("publish", made.path, "--out", "r.csv", "--commit", "0123456789ab").code == 0
    (published,) = read_results(Path("r.csv"))
    assert published.first.physics == noted.get("physics", 1)
    assert published.task_value(0, "auc_reference") == (area and pytest.approx(area))


def test_where_none_is_noted_it_is_the_first_physics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clrobot.published.provenance.PHYSICS_VERSION", 2, raising=False)
    assert provenance({})["physics"] == 1
    assert provenance({"physics": 2})["physics"] == 2


def test_one_s_own_comes_first(tmp_path: Path, ships: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    ships(*curves())
    own = np.array([np.nan, 0.125, np.nan])
    monkeypatch.setattr("clrobot.runs.references.reference_areas", lambda *_: own.copy())
    made = run(tmp_path)
    found = find_references(made.config, default_store(made), made.read_metrics().stage_ends, physics=1)
    assert found.areas.tolist() == pytest.approx([0.375, 0.125, 0.375])
    assert found.shipped == (True, False, True)
    assert [task.reference for task in use_references(made).per_task] == ["shipped", "own", "shipped"]


def test_with_one_head_for_all_there_is_none(tmp_path: Path, ships: Callable[..., None]) -> None:
    ships(*curves())
    one = {"name": "one", "heads": "one", "stages": [{"task": task, "steps": 8192} for task in TASKS]}
    metrics = use_references(run(tmp_path, curriculum=one, steps=None))
    assert [task.reference for task in metrics.per_task] == [None] * 3


def test_tasks_that_are_trained_at_once_have_none(tmp_path: Path, ships: Callable[..., None]) -> None:
    ships(*curves())
    metrics = use_references(run(tmp_path, method="multitask"))
    assert metrics.references == frozenset()
    assert compare([RunFolder.open(tmp_path / "run")]).remarks == ()


def test_a_sweep_trains_none_that_comes_with_clrobot(tmp_path: Path, ships: Callable[..., None]) -> None:
    ships(*curves(TASKS[:2]))
    made = run(tmp_path)
    lacking = missing_references([made], unless_shipped=True)
    assert [config.curriculum.name for config in lacking.values()] == ["drawer-open"]
    assert len(missing_references([made])) == 3


# Side by side ----------------------------------------------------------------------------------------------


def test_a_comparison_has_the_references_seed_by_seed(tmp_path: Path, ships: Callable[..., None]) -> None:
    """Their spread is part of the interval: as one mean for every run they would have none."""
    ships(*curves(seeds=4))
    runs = [run(tmp_path, f"run-{seed}", seed=seed) for seed in (10, 11)]
    for made in runs:
        use_references(made)
    (group,) = compare(runs).groups
    areas = shipped_areas(runs[0].config, group.metrics[0].stage_ends, physics=1)
    np.testing.assert_allclose(areas, [[0.25] * 3, [0.5] * 3] * 2)
    mine = [[task.auc for task in metrics.per_task] for metrics in group.metrics]
    assert group.estimates["forward_transfer"] == forward_transfer_estimate(mine, areas)
    found = group.estimates["forward_transfer"]
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low > 0.1
    assert group.reference == "shipped"
    assert as_json(compare(runs))["rows"][0]["reference"] == "shipped"


def test_every_reference_of_a_task_counts_however_many_the_others_have(
    tmp_path: Path, ships: Callable[..., None]
) -> None:
    ships(*curves(TASKS[:2], seeds=4), *curves(TASKS[2:], seeds=3))
    made = run(tmp_path)
    areas = shipped_areas(made.config, made.read_metrics().stage_ends, physics=1)
    assert np.isfinite(areas).sum(axis=0).tolist() == [4, 4, 3]
    use_references(made)
    (group,) = compare([made]).groups
    assert group.estimates["forward_transfer"].value == pytest.approx(made.read_metrics().forward_transfer)


def test_own_references_beside_shipped_ones_leave_these_their_spread(
    tmp_path: Path, ships: Callable[..., None]
) -> None:
    """By task: what one is measured against says nothing of the others."""
    runs = [run(tmp_path, f"run-{seed}", seed=seed) for seed in (10, 11, 12)]
    found = {}
    for kind, tasks in (("all", TASKS), ("two", TASKS[:2])):
        ships(*curves(tasks, seeds=4))
        for made in runs:
            use_references(made)
            if kind == "two":
                metrics = json.loads((made.path / "metrics.json").read_text())
                metrics["per_task"][2] |= {"auc_reference": 0.25 + made.config.seed / 100, "reference": "own"}
                (made.path / "metrics.json").write_text(json.dumps(metrics))
                made.record()
        (group,) = compare(runs).groups
        found[kind] = group.tasks["forward_transfer"]
    for task in TASKS[:2]:
        assert found["two"][task] == found["all"][task]
        assert found["two"][task].high - found["two"][task].low > 0.1
    assert found["two"][TASKS[2]].low is not None
    assert found["two"][TASKS[2]] != found["all"][TASKS[2]]


def test_a_task_that_no_run_was_measured_against_is_undefined(tmp_path: Path, ships: Callable[..., None]) -> None:
    """As in the runs' own numbers, though references of it have come since."""
    ships(*curves(TASKS[:2], seeds=4))
    made = run(tmp_path)
    use_references(made)
    ships(*curves(TASKS, seeds=4))
    (group,) = compare([made]).groups
    assert group.tasks["forward_transfer"][TASKS[2]].value is None
    assert group.estimates["forward_transfer"].value == pytest.approx(made.read_metrics().forward_transfer)


def test_where_the_references_of_a_row_are_not_shipped_any_more_it_has_no_interval(
    tmp_path: Path, ships: Callable[..., None]
) -> None:
    """Their means have no spread: as a sample they would make the interval too narrow."""
    ships(*curves(seeds=4))
    runs = [run(tmp_path, f"run-{seed}", seed=seed) for seed in (10, 11, 12)]
    for made in runs:
        use_references(made)
    (before,) = compare(runs).groups
    ships(*curves(TASKS[:2], seeds=4))
    (after,) = compare(runs).groups
    for name in ("forward_transfer", "forward_transfer_from_2"):
        assert before.estimates[name].low is not None
        assert after.estimates[name].value == pytest.approx(before.estimates[name].value)
        assert after.estimates[name].low is None


def test_comparison_and_page_say_what_it_is_measured_against(tmp_path: Path, ships: Callable[..., None]) -> None:
    ships(*curves())
    made = run(tmp_path)
    use_references(made)
    text = as_text(compare([made]), "markdown")
    sentence = "Forward transfer is measured against the references that come with clrobot (2 seeds)."
    assert sentence in text
    assert f"Not comparable as it stands: {sentence}" not in text
    assert "Those references were made with torch 2.0.0, and the run with " in text
    page = write_report(made.path).read_text(encoding="utf-8")
    assert sentence in page


def test_comparison_and_page_say_which_setting_differs(tmp_path: Path, ships: Callable[..., None]) -> None:
    ships(*curves(TASKS[:2]))
    made = run(tmp_path, ppo={"gamma": 0.99})
    sentence = (
        "No reference that comes with clrobot fits reach, button-press: ppo.gamma is 0.99 here and 0.95 there. "
        "`clrobot references RUN` trains the run's own."
    )
    assert compare([made]).remarks == (sentence,)
    page = write_report(made.path).read_text(encoding="utf-8")
    assert "ppo.gamma is 0.99 here and 0.95 there" in page


def test_rows_with_other_references_are_not_comparable_as_they_stand(
    tmp_path: Path, ships: Callable[..., None]
) -> None:
    ships(*curves())
    first = run(tmp_path, "first", reference=(0.1, 0.1, 0.1))
    second = run(tmp_path, "second", method="ewc")
    use_references(second)
    (note,) = [n for n in compare([first, second]).notes if "references" in n]
    assert note == "Other references of forward transfer: own (first); shipped (second)."
