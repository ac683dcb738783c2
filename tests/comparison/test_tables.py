"""A comparison as text: what each format says, and that nothing is cut off."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.made_up_runs import made_up_run

from clrobot.comparison.comparison import Comparison, compare
from clrobot.comparison.runs import expand
from clrobot.comparison.sections import cell, difference_cell
from clrobot.comparison.tables import as_text
from clrobot.results.statistics import Estimate

Cli = Callable[..., Any]

START = [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.5, 1.0, 0.0]]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Three seeds of finetune and one of ewc."""
    for seed, final in enumerate([0.2, 0.4, 0.6]):
        made_up_run(tmp_path / "runs" / f"f{seed}", [*START, [final, 0.6, 1.0]], method="finetune", seed=seed)
    made_up_run(tmp_path / "runs" / "e", [*START, [0.9, 1.0, 1.0]], method="ewc")
    return tmp_path / "runs"


@pytest.fixture
def found(runs: Path) -> Comparison:
    return compare_all(runs)


def compare_all(folder: Path) -> Comparison:
    return compare(expand([folder]))


def test_the_table_fits_eighty_columns_and_cuts_nothing_off(found: Comparison) -> None:
    text = as_text(found, "table")
    assert max(map(len, text.splitlines())) <= 80
    for word in ("finetune", "ewc", "forgetting", "environment", "0.67", "0.97", "button-press", "0.00…0.90"):
        assert word in text, text
    assert "…\n" not in text
    sentence = "Intervals: 95 % over seeds, Student's t below 10 of them and the bootstrap's from 10 on"
    assert sentence in " ".join(text.split())
    assert "One seed gives no interval: ewc." in text
    assert "Not comparable as it stands: The rows have other seeds (ewc: 0; finetune: 0, 1, 2)." in " ".join(
        text.split()
    )


def test_a_long_label_does_not_push_numbers_out(tmp_path: Path) -> None:
    for strength in (1.0, 2.0):
        made_up_run(tmp_path / str(strength), [*START, [0.9, 1.0, 1.0]], method="ewc", ewc={"strength": strength})
    text = as_text(compare_all(tmp_path), "table")
    assert max(map(len, text.splitlines())) <= 80
    assert "0.97" in text


@pytest.mark.parametrize("width", range(60, 130, 3))
def test_no_number_is_cut_off_in_a_terminal_of_any_width(width: int, found: Comparison) -> None:
    text = as_text(found, "table", width=width)
    assert max(map(len, text.splitlines())) <= width
    written = text.split()
    for group in found.groups:
        for metric in found.metrics:
            interval = cell(group.estimates[metric.name], metric.kind).interval()
            for word in (*interval.split(), *metric.title.split()):
                assert word in written, (width, metric.name)


def test_markdown_has_the_best_in_bold(found: Comparison) -> None:
    text = as_text(found, "markdown")
    lines = text.splitlines()
    assert lines[2] == (
        "| method | seeds | average success | average success (final step) | forgetting | backward transfer "
        "| retention |"
    )
    assert lines[3] == "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    (ewc, finetune) = (line for line in lines[4:6])
    assert ewc.startswith("| ewc | 1 | **0.97** | **0.48** | **0.05** |")
    assert finetune.startswith("| finetune | 3 | 0.67 0.50…0.83 |")
    widths = {line.count("|") for line in lines[2:6]}
    assert widths == {8}


def test_latex_has_the_best_in_bold_and_no_bare_special_characters(found: Comparison) -> None:
    text = as_text(found, "latex")
    assert r"ewc & 1 & \textbf{0.97}" in text
    assert r"{\scriptsize 0.50\,\ldots\,0.83}" in text
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 15
    assert r"forward transfer, tasks $\ge$ 2" in text
    body = [line for line in text.splitlines() if not line.startswith("%")]
    assert not any("_" in line.replace(r"\_", "") or "–" in line for line in body)


def test_csv_has_every_number_of_every_row(found: Comparison) -> None:
    rows = list(csv.DictReader(io.StringIO(as_text(found, "csv"))))
    assert [row["label"] for row in rows] == ["ewc", "finetune"]
    finetune = rows[1]
    assert finetune["seeds"] == "0 1 2"
    assert float(finetune["average_success"]) == pytest.approx(2 / 3)
    assert float(finetune["average_success_low"]) < 2 / 3 < float(finetune["average_success_high"])
    assert finetune["average_success_n"] == "3"
    assert float(finetune["final_success.reach"]) == pytest.approx(0.4)
    assert rows[0]["average_success_low"] == rows[0]["forward_transfer"] == ""
    assert rows[0]["forward_transfer_n"] == "0"


def test_json_has_every_number_of_every_row(found: Comparison) -> None:
    content = json.loads(as_text(found, "json"))
    assert content["statistic"] == "mean"
    ewc, finetune = content["rows"]
    assert (ewc["label"], ewc["method"], ewc["seeds"]) == ("ewc", "ewc", [0])
    assert finetune["seeds"] == [0, 1, 2]
    assert set(finetune["metrics"]) == {metric.name for metric in found.metrics}
    success = finetune["metrics"]["average_success"]
    assert success["value"] == pytest.approx(2 / 3)
    assert success["low"] < 2 / 3 < success["high"]
    assert (success["n"], success["undefined"]) == (3, 0)
    nothing = {"value": None, "low": None, "high": None, "n": 0, "undefined": 1}
    assert ewc["metrics"]["forward_transfer"] == nothing
    assert list(ewc["final_success"]) == ["reach", "button-press", "drawer-open"]
    assert finetune["final_success"]["reach"]["value"] == pytest.approx(0.4)
    assert content["notes"] == list(found.notes) != []


def test_the_verb_prints_one_json_document(cli: Cli, runs: Path, found: Comparison, tmp_path: Path) -> None:
    outcome = cli("compare", runs, "--format", "json")
    assert (outcome.code, outcome.err) == (0, "")
    assert json.loads(outcome.out) == json.loads(as_text(found, "json"))
    assert cli("compare", runs, "--format", "json", "--out", "here.json").code == 0
    assert (tmp_path / "here.json").read_text() == outcome.out


def test_no_zero_is_negative_and_a_minus_is_one(tmp_path: Path) -> None:
    for seed, last in enumerate((1.0, 0.0)):
        made_up_run(tmp_path / str(seed), [*START, [1.0, 1.0 - last / 250, last]], method="ewc", steps=64 + seed)
    for form in ("table", "markdown"):
        text = as_text(compare_all(tmp_path), form)
        assert "0.00" in text
        assert "-0.0" not in text
        assert "−0.0" not in text
    made_up_run(tmp_path / "2", [*START, [0.5, 0.5, 1.0]], method="ewc", steps=70)
    assert "−0.50" in as_text(compare_all(tmp_path), "table")
    latex = as_text(compare_all(tmp_path), "latex")
    assert "$-$0.50" in latex
    assert "−" not in latex


def test_the_verb_compares(cli: Cli, runs: Path) -> None:
    outcome = cli("compare", runs / "e", runs / "f0")
    assert (outcome.code, outcome.err) == (0, "")
    assert "ewc" in outcome.out
    assert "finetune" in outcome.out
    assert "Not comparable" not in outcome.out


def test_the_verb_writes_a_file(cli: Cli, runs: Path, tmp_path: Path) -> None:
    outcome = cli("compare", runs, "--format", "csv", "--statistic", "iqm", "--out", tmp_path / "table.csv")
    assert (outcome.code, outcome.out.strip()) == (0, str(tmp_path / "table.csv"))
    assert len((tmp_path / "table.csv").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("words", "clause"),
    [
        ([], "no run; give one or more run folders"),
        (["nowhere"], "no run folder at nowhere"),
        (["."], "holds no run"),
    ],
)
def test_the_verb_refuses(cli: Cli, words: list[str], clause: str) -> None:
    outcome = cli("compare", *words)
    assert (outcome.code, outcome.out) == (2, "")
    assert clause in outcome.err


def test_the_verb_refuses_a_file_that_cannot_be_written(cli: Cli, runs: Path, tmp_path: Path) -> None:
    outcome = cli("compare", runs, "--out", tmp_path / "no" / "table.md")
    assert outcome.code == 2
    assert "No such file" in outcome.err


@pytest.mark.parametrize(
    ("estimate", "clear"),
    [
        (Estimate(0.2, 0.1, 0.3, 4), True),
        (Estimate(-0.2, -0.3, -0.1, 4), True),
        (Estimate(0.2, -0.1, 0.3, 4), False),
        (Estimate(0.02, 0.02, 0.02, 4), False),  # a few that are equal, as counts of fifty episodes often are
        (Estimate(0.2, 0.1, 0.3, 3), False),
        (Estimate(0.2, None, None, 1), False),
    ],
)
def test_a_difference_is_clear_of_several_runs_that_spread(estimate: Estimate, clear: bool) -> None:
    assert difference_cell(estimate, "rate").clear == clear
