"""What the demo shows at its end: one page, one film of all methods, and the sentence to take away."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from support.made_up_runs import made_up_run

import clrobot.films.record
from clrobot.cli.demo import _film, _page, what_to_look_at
from clrobot.runs.folder import RunFolder

KEPT = [(0.0, 0.0, 0.0), (1.0, 0.5, 0.0), (1.0, 0.9, 0.25), (0.98, 0.88, 1.0)]
LOST = [(0.0, 0.0, 0.0), (0.96, 0.5, 0.0), (0.5, 0.9, 0.25), (0.24, 0.7, 1.0)]


def run(folder: Path, method: str, rows: list[Any]) -> RunFolder:
    return made_up_run(folder / method, rows, method=method, curriculum="first3", steps=None)


def test_it_names_the_skill_that_was_lost_most_and_what_became_of_it_elsewhere(tmp_path: Path) -> None:
    runs = [run(tmp_path, "finetune", LOST), run(tmp_path, "ewc", KEPT), run(tmp_path, "progressive", KEPT)]
    assert what_to_look_at(runs) == (
        "Look at push: finetune had learned it to 0.96 and ends at 0.24, with ewc at 0.98, with progressive "
        "at 0.98; the film shows them side by side, and the page says the rest."
    )


def test_where_nothing_was_lost_it_says_so(tmp_path: Path) -> None:
    runs = [run(tmp_path, "finetune", KEPT), run(tmp_path, "ewc", KEPT)]
    assert what_to_look_at(runs).startswith("Look at: nothing was forgotten")


def test_the_film_has_a_row_for_each_method_and_a_column_for_each_skill(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    monkeypatch.setattr(clrobot.films.record, "record_grid", lambda *given: made.append(given))
    runs = [RunFolder.open(shutil.copytree(tiny_run, tmp_path / name)) for name in ("one", "two")]
    assert _film(runs, tmp_path / "grid.mp4", 1) == tmp_path / "grid.mp4"
    ((path, rows, title, episodes, threads),) = made
    assert (path, title[0], episodes, threads) == (tmp_path / "grid.mp4", "quick, at the end", 1, 1)
    tasks = runs[0].read_metrics().per_task
    assert [[(cell.slot, cell.success_rate) for cell in row] for row in rows] == [
        [(slot, task.final) for slot, task in enumerate(tasks)]
    ] * 2
    assert all(cell.agent.stage == 3 for row in rows for cell in row)


def test_a_film_or_a_page_that_fails_is_a_warning(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any) -> None:
        raise OSError("no room")

    monkeypatch.setattr(clrobot.films.record, "record_grid", fail)
    monkeypatch.setattr("clrobot.report.comparison_page.write_comparison", fail)
    runs = [RunFolder.open(tiny_run)] * 2
    assert _film(runs, tmp_path / "grid.mp4", 1) is None
    assert _page(runs, tmp_path / "report.html") is None
    warnings = capsys.readouterr().err.splitlines()
    assert "no film of all methods was made (no room)" in warnings[0]
    assert f"no page was written (no room); `clrobot report {tmp_path}` tries again" in warnings[1]
