"""The transfer matrix: every pair once, written row by row, and the file that the oracle reads."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.importing import imported
from support.references import reference
from support.trainings import TINY

import clrobot
import clrobot.training.transfer
from clrobot.envs.tasks import TASKS_BY_ID
from clrobot.errors import Busy, UserError
from clrobot.published.references import FILE, WHAT, Reference, learner_settings, reference_areas
from clrobot.published.rows import read_rows, settings_text
from clrobot.report.transfer_page import matrix_of, write_transfer
from clrobot.results.metrics import auc
from clrobot.results.numbers import DASH
from clrobot.runs.folder import RunFolder
from clrobot.runs.transfer_file import (
    PUBLISHED,
    TransferRow,
    mean_transfer,
    parse_transfer,
    published_transfer,
    transfer_text,
)
from clrobot.studies.driver import Outcome
from clrobot.training.training import train
from clrobot.training.transfer import TransferStudy, budget, measure_transfer


def row(source: str, target: str, ft: float, seed: int = 0) -> TransferRow:
    return TransferRow(
        source=source,
        target=target,
        ft=ft,
        area=0.5,
        area_alone=0.25,
        trained_alone=1,
        final=1.0,
        steps=50_000,
        steps_before=40_000,
        budget=50_000,
        seed=seed,
        version="0.1.0",
    )


ROWS = [row("reach", "push", 0.5), row("push", "reach", -1.25), row("reach", "push", 0.25, seed=1)]


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the runs of tasks alone, which train here rather than in processes of their own."""
    names: list[str] = []

    def run_all(plans: Any, jobs: int, tell: Any) -> Outcome:
        for plan in plans:
            if not plan.folder.exists():
                names.append(plan.folder.name)
                train(plan.config, plan.folder)
        return Outcome([RunFolder.open(plan.folder) for plan in plans], [])

    monkeypatch.setattr(clrobot.training.transfer, "run_all", run_all)
    return names


def tiny(out: Path, **changes: Any) -> TransferStudy:
    used = {name: value for name, value in TINY.items() if name in ("network", "ppo", "evaluation")}
    chosen = {"steps": 192, "first_steps": 64} | changes
    return TransferStudy(out, ("reach", "push"), threads=1, settings=tuple(used.items()), **chosen)


@pytest.mark.usefixtures("quick_training")
def test_every_pair_is_trained_once_and_written_at_once(
    trained: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, told = tiny(tmp_path), []
    train_pair = clrobot.training.transfer._train_pair

    def fails_at_the_second(study: TransferStudy, source: str, target: str) -> TransferRow:
        if told:
            raise KeyboardInterrupt
        return train_pair(study, source, target)

    monkeypatch.setattr(clrobot.training.transfer, "_train_pair", fails_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        measure_transfer(study, 1, told.append)
    (first,) = study.rows()
    assert (first.source, first.target, first.budget, first.steps_before) == ("reach", "push", 192, 64)
    assert first.ft == pytest.approx((first.area - first.area_alone) / (1 - first.area_alone), abs=1e-5)
    assert first.trained_alone == 1
    assert len(told) == 1
    monkeypatch.setattr(clrobot.training.transfer, "_train_pair", train_pair)
    rows = measure_transfer(study, 1, told.append)
    assert [(r.source, r.target) for r in rows] == [("push", "reach"), ("reach", "push")]
    assert rows[1] == first
    assert sorted(trained) == ["push-192-0", "push-64-0", "reach-192-0", "reach-64-0"]
    assert not (tmp_path / "runs" / "reach-push-0").exists()
    assert measure_transfer(study, 1, told.append) == study.rows()
    assert len(told) == 2
    with pytest.raises(UserError, match="give the same steps once more"):
        tiny(tmp_path, steps=256).rows()


@pytest.mark.usefixtures("quick_training", "trained")
def test_two_seeds_may_be_trained_at_once_and_one_seed_by_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_pair, others = clrobot.training.transfer._train_pair, row("reach", "push", 0.5, seed=1)
    others = others.model_copy(update={"budget": 192, "steps_before": 64})

    def beside(study: TransferStudy, source: str, target: str) -> TransferRow:
        if not study.file.exists():
            study.add(others)  # by another process
        with pytest.raises(Busy, match=r"another process is training into .* with --seed 0"):
            measure_transfer(study, 1, lambda _: None)
        return train_pair(study, source, target)

    monkeypatch.setattr(clrobot.training.transfer, "_train_pair", beside)
    rows = measure_transfer(tiny(tmp_path), 1, lambda _: None)
    assert [(r.source, r.target, r.seed) for r in rows] == [
        ("push", "reach", 0),
        ("reach", "push", 0),
        ("reach", "push", 1),
    ]
    assert rows[2] == others


@pytest.mark.usefixtures("quick_training")
def test_a_task_with_references_is_set_against_their_mean(
    trained: list[str], ships: Callable[..., None], tmp_path: Path
) -> None:
    study = tiny(tmp_path)
    learner = settings_text(learner_settings(study.alone("push", 192).config))
    push = {"task": "push", "settings": learner, "steps": 192}
    ships(reference(seed=3, curve="0:0 192:0.5", **push), reference(seed=4, curve="0:0 192:1", **push))
    by_target = {row.target: row for row in measure_transfer(study, 1, lambda _: None)}
    assert (by_target["push"].area_alone, by_target["push"].trained_alone) == (pytest.approx(0.375), 2)
    assert by_target["push"].ft == pytest.approx((by_target["push"].area - 0.375) / 0.625)
    assert by_target["reach"].trained_alone == 1
    assert sorted(trained) == ["push-64-0", "reach-192-0", "reach-64-0"]


@pytest.mark.usefixtures("quick_training")
def test_a_task_that_is_solved_trains_no_longer(
    trained: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clrobot.training.transfer, "SOLVED", 0.0)
    rows = measure_transfer(tiny(tmp_path), 1, lambda _: None)
    assert {row.steps for row in rows} == {128}, "stopped at the boundary after the first point, of three iterations"


def test_what_a_slot_begins_as_may_solve_it_and_an_area_is_of_two_points() -> None:
    def scored(step: int, slot: int = 1) -> Any:
        return SimpleNamespace(stage=2, slot=slot, step=step)

    training: Any = SimpleNamespace(next_stage=2, stop=SimpleNamespace(asked=False), book=SimpleNamespace(scores=[]))
    observer = clrobot.training.transfer._UntilSolved()
    observer.training = training
    training.book.scores += [scored(100), scored(100), scored(100, slot=0), scored(150, slot=0)]
    observer.advanced(64, 1.0)
    assert not training.stop.asked
    training.book.scores.append(scored(150))
    observer.advanced(64, 1.0)
    assert training.stop.asked


@pytest.mark.usefixtures("quick_training", "trained")
def test_transfer_to_what_needs_no_learning_is_undefined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clrobot.training.transfer, "_area", lambda *_: 1.0)
    told: list[str] = []
    rows = measure_transfer(tiny(tmp_path), 1, told.append)
    assert [row.ft for row in rows] == [None, None]
    assert tiny(tmp_path).rows() == rows, "an empty cell comes back as nothing"
    assert mean_transfer([*rows, row("reach", "push", 0.5)]) == {("reach", "push"): 0.5}
    assert f"reach → push  {DASH}" in told
    tasks, matrix = matrix_of(rows)
    assert (tasks, np.isnan(matrix).all()) == (["push", "reach"], True)
    assert write_transfer(tmp_path, rows).exists()


def test_processes_of_their_own_have_what_import_gave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text("", encoding="utf-8")
    monkeypatch.setattr("clrobot.imports._given", [str(tmp_path / "mine.py")])
    monkeypatch.setattr(clrobot.training.transfer, "_train_pair", imported)
    no_study: Any = None
    found = clrobot.training.transfer._trained(no_study, [("reach", "push"), ("push", "reach")], jobs=2)
    assert list(found) == [["--import", str(tmp_path / "mine.py")]] * 2


def test_a_curve_that_ended_early_stays_where_it_was() -> None:
    area = clrobot.training.transfer._area([(0, 0.0), (50, 1.0)], 100)
    assert area == pytest.approx(0.5 * 0.5 + 0.5)
    assert area == pytest.approx(auc([0, 50, 100], [0.0, 1.0, 1.0], 0, 100))


def test_a_task_is_learned_first_for_as_long_as_a_curriculum_gives_it() -> None:
    assert budget("reach") == 40_000
    assert budget("hammer") == 320_000
    assert budget("no-such-task") == 200_000


# The file --------------------------------------------------------------------------------------------------


def test_the_file_goes_round_trip_and_seeds_are_averaged() -> None:
    assert parse_transfer(transfer_text(ROWS), "it") == ROWS
    assert mean_transfer(ROWS) == {("reach", "push"): 0.375, ("push", "reach"): -1.25}


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "is no transfer matrix"),
        ("from,to\nreach,push\n", "expected the columns from,to,ft"),
        (transfer_text(ROWS).replace("0.25", "2.5"), "damaged"),
        (transfer_text(ROWS) + "reach,push\n", "damaged"),
    ],
)
def test_another_file_is_one_sentence(text: str, match: str) -> None:
    with pytest.raises(UserError, match=match) as error:
        parse_transfer(text, "matrix.csv")
    assert str(error.value).startswith("matrix.csv is ")


def test_the_published_matrix_is_whole() -> None:
    found = published_transfer()
    assert found.keys() == {(i, j) for i in TASKS_BY_ID.ours for j in TASKS_BY_ID.ours if i != j}
    assert all(gain <= 1 for gain in found.values())


def test_the_published_matrix_is_set_against_the_shipped_references(tmp_path: Path) -> None:
    rows = parse_transfer((Path(clrobot.__file__).parent / PUBLISHED).read_text(encoding="utf-8"), PUBLISHED)
    study = TransferStudy(tmp_path, tuple(TASKS_BY_ID.ours))
    shipped = read_rows(FILE, Reference, WHAT)
    stages = {task: study.alone(task, study.steps).config for task in study.tasks}
    alone = {
        task: reference_areas(config, config.curriculum.stages[0], study.steps, shipped)
        for task, config in stages.items()
    }
    for row in rows:
        mean = float(np.mean(alone[row.target]))
        assert (row.area_alone, row.trained_alone) == (pytest.approx(mean, abs=1e-5), 10)
        assert row.ft == pytest.approx((row.area - mean) / (1 - mean), abs=2e-4)


# Shown -----------------------------------------------------------------------------------------------------


def test_the_page_has_the_matrix_and_the_best_starts(tmp_path: Path) -> None:
    tasks, matrix = matrix_of(ROWS)
    assert tasks == ["push", "reach"]
    np.testing.assert_array_equal(matrix, [[np.nan, -1.25], [0.375, np.nan]])
    page = write_transfer(tmp_path, ROWS).read_text()
    assert (tmp_path / "transfer.svg").read_text().count("+0.38") >= 1
    words = re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", page[page.index("<body>") :]))
    assert "2 pairs, seeds 0, 1, 50,000 control steps each" in words
    assert "push reach +0.38" in words
    assert re.findall(r'(?:src|href)="(?!data:|#)', page) == []


def test_bad_input_is_one_sentence(cli) -> None:
    for words, match in (
        (["--tasks", "reach"], "is one task; give two or more"),
        (["--tasks", "reach", "reach"], "names one twice"),
        (["--tasks", "reach", "pusch"], "did you mean push"),
        (["--jobs", "0"], "expected 1 or more"),
        (["--steps", "2047"], "--steps 2,047: a learning curve has an iteration at least; give 2,048 or more"),
    ):
        outcome = cli("transfer", *words)
        assert (outcome.code, outcome.out) == (2, "")
        assert match in outcome.err.replace("\n", " ")
        assert [*Path.cwd().iterdir()] == []
