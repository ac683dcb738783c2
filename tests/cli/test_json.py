"""What the verbs print for a program: one JSON document, of the rows that the table shows."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from support.made_up_runs import made_up_run

from clrobot.agents.methods import METHODS
from clrobot.cli.train import summarise
from clrobot.envs.tasks import TASKS
from clrobot.experiment.curricula import CURRICULA
from clrobot.experiment.curriculum import Stage

Cli = Callable[..., Any]


def printed(cli: Cli, *words: str | Path) -> Any:
    outcome = cli(*words, "--format", "json")
    assert (outcome.code, outcome.err) == (0, "")
    return json.loads(outcome.out)


def test_tasks(cli: Cli) -> None:
    rows = printed(cli, "tasks")
    assert [row["task"] for row in rows] == [task.id for task in TASKS]
    assert rows[0]["gymnasium_id"] == TASKS[0].gym_id()
    table = " ".join(cli("tasks").out.replace("│", " ").split())
    assert all(row["task"] in table and row["gymnasium_id"] in table for row in rows)


def test_methods(cli: Cli) -> None:
    assert printed(cli, "methods") == [{"method": method.name, "summary": method.summary} for method in METHODS]


def test_curricula(cli: Cli) -> None:
    rows = printed(cli, "curricula")
    assert {row["curriculum"] for row in rows} == set(CURRICULA)
    for row in rows:
        assert tuple(Stage(**stage) for stage in row["stages"]) == CURRICULA[row["curriculum"]].stages


def test_evaluate(cli: Cli, tiny_run: Path) -> None:
    words = ("evaluate", tiny_run, "--stage", "2", "--episodes", "4", "--stochastic")
    rows = printed(cli, *words)
    tasks = ("reach", "button-press", "drawer-open")
    expected = [(task, actions, task != "drawer-open") for task in tasks for actions in ("mean", "sampled")]
    assert [(row["task"], row["actions"], row["trained"]) for row in rows] == expected
    assert {(row["run"], row["stage"], row["episodes"]) for row in rows} == {("tiny", 2, 4)}
    lines = [line.split("│")[3:7] for line in cli(*words).out.splitlines() if line.startswith("│")]
    shown = [cells for cells in lines if cells[0].strip()]  # a long name goes on in the next line
    for row, cells in zip(rows, shown, strict=True):
        numbers = [float(cell.strip().replace("−", "-")) for cell in cells]
        names = ("success_any", "success_final", "return_mean", "length_mean")
        assert numbers == pytest.approx([row[name] for name in names], abs=0.0501)


def test_evaluate_without_labels(cli: Cli, tiny_run: Path) -> None:
    rows = printed(cli, "evaluate", tiny_run, "--episodes", "4", "--task-id", "none")
    assert [row["task"] for row in rows] == ["reach", "button-press", "drawer-open"]
    for row in rows:
        assert {row[name] * 4 for name in ("success_any_label_given", "success_any_no_label", "inferred")} <= set(
            range(5)
        )


@pytest.mark.parametrize("verb", ["tasks", "methods", "curricula"])
def test_another_format_is_refused(verb: str, cli: Cli) -> None:
    outcome = cli(verb, "--format", "xml")
    assert (outcome.code, outcome.out) == (2, "")


def test_a_table_has_no_negative_zero(tmp_path: Path) -> None:
    """Each task got better by a hair after its own stage."""
    matrix = [[0.0] * 3, [0.9, 0.0, 0.0], [0.9, 0.8, 0.0], [0.904, 0.804, 0.9]]
    run = made_up_run(tmp_path / "run", matrix)
    assert run.read_metrics().value("forgetting") == pytest.approx(-0.004)
    text = io.StringIO()
    summarise(run, Console(file=text, width=80))
    assert "0.00" in text.getvalue()
    assert "-0.00" not in text.getvalue()
