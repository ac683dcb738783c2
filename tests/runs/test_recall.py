"""Which forward transfer is recall: of tasks that come again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.made_up_runs import made_up_run

from clrobot.report.page import write_report
from clrobot.results.numbers import number
from clrobot.runs.folder import RunFolder
from clrobot.runs.recall import recall_remarks, repeated


def run_of(path: Path, *tasks: str) -> RunFolder:
    stages: list[dict[str, Any]] = [{"task": task, "steps": 100} for task in tasks]
    stages[-1] |= {"overrides": {"object.mass": 1.0}} if tasks[-1] == "push" else {}
    rows = [[0.0] * len(tasks), *([0.5 + 0.125 * k] * len(tasks) for k in range(len(tasks)))]
    curriculum = {"name": "again", "stages": stages}
    return made_up_run(path, rows, steps=None, reference=[0.25] * len(tasks), curriculum=curriculum)


def test_a_task_that_comes_again_in_any_world_is_repeated(tmp_path: Path) -> None:
    assert repeated(run_of(tmp_path / "run", "push", "reach", "push").config.curriculum) == [False, False, True]


def test_recall_is_told_apart_from_transfer(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", "push", "reach", "push")
    metrics = run.read_metrics()
    _, new, again = (task.forward_transfer for task in metrics.per_task)
    assert new is not None
    assert again is not None
    assert new != again
    (said,) = recall_remarks(run.config.curriculum, metrics)
    assert said == (
        f"push-2 comes again: forward transfer to it is recall, {number(again, signed=True)} in the mean; to tasks "
        f"that are new, from the second on, it is {number(new, signed=True)}."
    )
    assert said in write_report(run.path).read_text()


def test_of_no_new_task_nothing_is_said(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", "push", "push")
    (said,) = recall_remarks(run.config.curriculum, run.read_metrics())
    assert said.startswith("push-2 comes again: forward transfer to it is recall, +")
    assert said.endswith(" in the mean.")


def test_where_none_comes_again_nothing_is_said(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", "push", "reach")
    assert recall_remarks(run.config.curriculum, run.read_metrics()) == []
