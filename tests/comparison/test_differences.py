"""Differences between methods, paired by seed: to which row, over which seeds, and where they are shown."""

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
from clrobot.comparison.tables import as_text
from clrobot.errors import UserError
from clrobot.results.catalogue import RUN_METRICS
from clrobot.runs.folder import RunFolder

START = [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.5, 1.0, 0.0]]


def seeds(folder: Path, method: str, finals: dict[int, float], **settings: Any) -> list[RunFolder]:
    """Runs whose first skill ends at these success rates, by seed."""
    return [
        made_up_run(folder / f"{method}-{seed}", [*START, [final, 0.6, 1.0]], method=method, seed=seed, **settings)
        for seed, final in finals.items()
    ]


@pytest.fixture
def found(tmp_path: Path) -> Comparison:
    finetune = seeds(tmp_path, "finetune", {0: 0.2, 1: 0.5, 2: 0.3, 9: 0.0})
    return compare([*finetune, *seeds(tmp_path, "ewc", {2: 0.7, 0: 0.5, 1: 0.8})])


def test_a_difference_is_the_mean_over_the_seeds_that_both_have(found: Comparison) -> None:
    (difference,) = found.differences
    assert (difference.group.label, difference.baseline.label) == ("ewc", "finetune")
    assert difference.seeds == (0, 1, 2)
    assert difference.final_success["reach"].value == pytest.approx((0.3 + 0.3 + 0.4) / 3)
    success = difference.estimates["average_success"]
    assert (success.value, success.n) == (pytest.approx(1 / 9), 3)
    # s = 0.0192: the luck that both have in common is not in it.
    assert success.low is not None
    assert success.low == pytest.approx(1 / 9 - 4.3027 * (1 / 30 / 3**0.5) / 3**0.5, abs=1e-3)
    assert difference.samples("average_success") == pytest.approx([0.1, 0.1, 0.4 / 3])
    assert difference.estimates["forgetting"].value == pytest.approx(-1 / 6)
    assert difference.estimates["forward_transfer"].value is None


def test_without_a_baseline_or_a_common_seed_there_is_none(tmp_path: Path) -> None:
    ewc = seeds(tmp_path, "ewc", {0: 0.5, 1: 0.6})
    assert compare([*ewc, *seeds(tmp_path, "si", {0: 0.5})]).differences == ()
    assert compare([*ewc, *seeds(tmp_path, "finetune", {5: 0.5})]).differences == ()


def test_of_several_baselines_it_is_the_one_with_the_same_settings(tmp_path: Path) -> None:
    runs = []
    for name, width in (("narrow", 8), ("wide", 16)):
        network = {"network": {"widths": (width,)}}
        runs += seeds(tmp_path / name, "finetune", {0: width / 100}, **network)
        runs += seeds(tmp_path / name, "ewc", {0: 0.9}, **network)
    found = compare(runs)
    pairs = {d.group.label: d.baseline.label for d in found.differences}
    assert pairs == {
        "ewc (network.widths=8)": "finetune (network.widths=8)",
        "ewc (network.widths=16)": "finetune (network.widths=16)",
    }


def test_another_budget_is_no_pair(tmp_path: Path) -> None:
    runs = [*seeds(tmp_path, "finetune", {0: 0.5}), *seeds(tmp_path, "ewc", {0: 0.5}, steps=128)]
    assert compare(runs).differences == ()


@pytest.mark.parametrize("form", ["table", "markdown", "latex"])
def test_they_stand_beside_every_table_of_what_was_learned(found: Comparison, form: Any) -> None:
    text = as_text(found, form)
    for title in (
        "What was learned and kept",
        "How well it is still done",
        "What came over from earlier tasks",
        "How learning went",
        "Success on each task at the end",
    ):
        assert f"{title}: less finetune, by seed" in " ".join(text.split())
    assert "+0.11" in text
    assert "0.00…0.00" in text or r"0.00\,\ldots\,0.00" in text, "an interval without width is shown"
    assert "Differences are means over the seeds that both rows have" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 80 or form != "table"


def test_wide_intervals_make_two_tables_of_one_in_a_terminal_and_cut_nothing_off(tmp_path: Path) -> None:
    """Five columns of differences with signs, `−0.61…−0.56` each, are more than 80 characters."""
    finetune = seeds(tmp_path, "finetune", {0: 0.2, 1: 0.21, 2: 0.19})
    found = compare([*finetune, *seeds(tmp_path, "ewc", {0: 0.9, 1: 0.9, 2: 0.9})])
    text = as_text(found, "table")
    assert max(map(len, text.splitlines())) <= 80
    assert "…\n" not in text
    difference = found.differences[0].estimates["retention"]
    interval = f"+{difference.low:.2f}…+{difference.high:.2f}"
    assert interval in text
    assert text.count("What was learned and kept: less finetune") == 2
    for format in ("markdown", "latex"):
        assert as_text(found, format).count("What was learned and kept: less finetune") == 1  # type: ignore[arg-type]


def test_few_seeds_are_said_to_be_few(tmp_path: Path) -> None:
    three = {0: 0.2, 1: 0.5, 2: 0.3}
    few = compare([*seeds(tmp_path, "finetune", three), *seeds(tmp_path, "ewc", three)])
    sentence = "Of 3 pairs no sign test can give a two-sided p below 0.25."
    assert sentence in " ".join(as_text(few, "table").split())
    six = dict.fromkeys(range(6), 0.5)
    many = compare([*seeds(tmp_path / "many", "finetune", six), *seeds(tmp_path / "many", "ewc", six)])
    assert "sign test" not in as_text(many, "table")


def test_csv_and_json_hold_them(found: Comparison) -> None:
    row = next(row for row in csv.DictReader(io.StringIO(as_text(found, "csv"))) if row["label"] == "ewc")
    assert float(row["less finetune: average_success"]) == pytest.approx(1 / 9)
    assert row["less finetune: average_success_n"] == "3"
    assert float(row["steps_to_success.reach"]) == 50.0
    assert float(row["relative_return.reach"]) == 1.0
    content = json.loads(as_text(found, "json"))
    (difference,) = content["differences"]
    assert (difference["label"], difference["baseline"], difference["seeds"]) == ("ewc", "finetune", [0, 1, 2])
    assert difference["metrics"]["average_success"]["value"] == pytest.approx(1 / 9)
    assert difference["final_success"]["reach"]["value"] == pytest.approx(1 / 3)
    assert content["rows"][0]["tasks"]["steps_to_success"]["reach"]["value"] == 50.0


def test_only_the_metrics_that_are_asked_for_are_shown(found: Comparison, cli: Callable[..., Any]) -> None:
    runs = {run.path.parent for group in found.groups for run in group.runs}
    outcome = cli("compare", *runs, "--metrics", "forgetting", "seconds.total")
    assert (outcome.code, outcome.err) == (0, "")
    assert "forgetting" in outcome.out
    for word in ("retention", "parameters", "button-press"):
        assert word not in outcome.out
    chosen = json.loads(cli("compare", *runs, "--metrics", "forgetting", "--format", "json").out)
    assert [set(row["metrics"]) for row in chosen["rows"]] == [{"forgetting"}] * 2


def test_a_metric_that_does_not_exist_is_one_sentence(found: Comparison, cli: Callable[..., Any]) -> None:
    runs = {run.path.parent for group in found.groups for run in group.runs}
    outcome = cli("compare", *runs, "--metrics", "retentoin")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == "clrobot: unknown metric 'retentoin'; did you mean retention or forgetting?\n"


def test_every_metric_has_a_place_in_a_run_s_numbers_and_bounds_that_hold_it(tmp_path: Path) -> None:
    (run,) = seeds(tmp_path, "ewc", {0: 0.5}, reference=[0.2, 0.2, 0.2])
    metrics = run.read_metrics()
    for metric in RUN_METRICS:
        value = metrics.value(metric.name)
        assert value is None or metric.least <= value <= metric.most, metric
    with pytest.raises(UserError, match="unknown metric"):
        compare(expand([tmp_path]), metrics=["nothing"])
