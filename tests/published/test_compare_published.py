"""A user's runs beside the published ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.made_up_runs import made_up_run
from support.published import published

from clrobot.published import results
from clrobot.published.results import WHAT, Result
from clrobot.published.rows import add_rows

Cli = Callable[..., Any]
ROWS = [(0.0, 0.0, 0.0), (1.0, 0.5, 0.0), (0.5, 1.0, 0.25), (0.5, 0.5, 1.0)]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rows = [row for seed in (10, 11) for method in ("finetune", "ewc") for row in published(seed, method)]
    add_rows(tmp_path / "data.csv", rows, Result, WHAT)
    monkeypatch.setattr(results, "FILE", tmp_path / "data.csv")
    return tmp_path / "data.csv"


def mine(folder: Path, seed: int = 10, method: str = "replay", **settings: Any) -> Path:
    return made_up_run(
        folder / f"{method}-{seed}", ROWS, **{"seed": seed, "method": method, "steps": None} | settings
    ).path


def test_rows_stand_side_by_side_and_pair_by_seed(cli: Cli, data: Path, tmp_path: Path) -> None:
    runs = [mine(tmp_path, seed) for seed in (10, 11, 12)]
    outcome = cli("compare", *runs, "--published", "--format", "json")
    assert (outcome.code, outcome.err) == (0, "")
    found = json.loads(outcome.out)
    rows = {row["label"]: row for row in found["rows"]}
    assert list(rows) == ["replay", "ewc, published", "finetune, published"]
    assert rows["replay"]["published"] is False
    assert rows["ewc, published"]["published"] is True
    assert rows["ewc, published"]["seeds"] == [10, 11]
    assert rows["ewc, published"]["metrics"]["average_success"]["value"] == 0.9
    assert rows["ewc, published"]["final_success"]["reach"]["value"] == 0.9
    (pair,) = [d for d in found["differences"] if d["label"] == "replay"]
    assert (pair["baseline"], pair["seeds"]) == ("finetune, published", [10, 11])
    assert any("another version of torch: 2.0.0, here " in note for note in found["notes"])
    assert "Published seconds are another machine's, most of them beside other work." in found["notes"]


@pytest.mark.parametrize("form", ["table", "markdown", "csv", "latex"])
def test_every_format_has_them(cli: Cli, data: Path, tmp_path: Path, form: str) -> None:
    outcome = cli("compare", mine(tmp_path), "--published", "--format", form)
    assert outcome.code == 0
    assert "ewc," in outcome.out


def test_a_user_s_own_baseline_comes_first(cli: Cli, data: Path, tmp_path: Path) -> None:
    runs = [mine(tmp_path, 12, method) for method in ("finetune", "replay")]
    found = json.loads(cli("compare", *runs, "--published", "--format", "json").out)
    assert {(d["label"], d["baseline"]) for d in found["differences"]} == {
        ("replay", "finetune"),
        ("ewc, published", "finetune, published"),
    }


def test_without_the_flag_nothing_is_read(cli: Cli, data: Path, tmp_path: Path) -> None:
    data.write_text("damaged")
    assert cli("compare", mine(tmp_path)).code == 0


def refusal(cli: Cli, *words: Any) -> str:
    outcome = cli("compare", *words, "--published")
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    return str(outcome.err)


def test_a_curriculum_that_has_none_is_refused(cli: Cli, data: Path, tmp_path: Path) -> None:
    run = mine(tmp_path, curriculum={"name": "mine", "stages": [{"task": t, "steps": 9} for t in ("reach",) * 3]})
    assert "nothing is published for mine with these stages and steps; published are quick" in refusal(cli, run)


def test_other_steps_are_another_curriculum(cli: Cli, data: Path, tmp_path: Path) -> None:
    assert "nothing is published for quick with these stages" in refusal(cli, mine(tmp_path, steps=64))


def test_a_file_without_rows_says_so(cli: Cli, data: Path, tmp_path: Path) -> None:
    data.write_text(data.read_text().splitlines()[0] + "\n")
    assert "no results come with this version" in refusal(cli, mine(tmp_path))


def test_seeds_that_overlap_are_the_same_run_twice(cli: Cli, data: Path, tmp_path: Path) -> None:
    run = mine(tmp_path, 11, "ewc")
    assert "ewc-11 is published itself (ewc, seed 11), and the same run twice is no second sample" in refusal(
        cli, run
    )
    assert cli("compare", mine(tmp_path, 12, "ewc"), "--published").code == 0
    # With other settings it is another run.
    assert cli("compare", mine(tmp_path, 10, "ewc", ewc={"strength": 9.0}), "--published").code == 0


def test_damaged_data_and_another_format_are_refused(cli: Cli, data: Path, tmp_path: Path) -> None:
    run, text = mine(tmp_path), data.read_text()
    data.write_text(text.replace(",quick,", ",", 1)[: len(text) // 2])
    assert "data.csv, line" in refusal(cli, run)
    data.write_text(text.replace("metric,", "number,", 1))
    assert "has other columns than published results of this version (it lacks 'metric')" in refusal(cli, run)
    data.unlink()
    assert "No such file" in refusal(cli, run)


def test_an_unknown_metric_is_refused(cli: Cli, data: Path, tmp_path: Path) -> None:
    assert "unknown metric 'forgeting'; did you mean forgetting" in refusal(
        cli, mine(tmp_path), "--metrics", "forgeting"
    )
