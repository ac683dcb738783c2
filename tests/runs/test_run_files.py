"""`scores.jsonl` and `metrics.json`: what is written is read back, and what is damaged is one sentence."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from support.made_up_runs import made_up_run, page_run, score
from support.models import forge_manifest

from clrobot.errors import UserError
from clrobot.results.run_metrics import RunMetrics
from clrobot.results.scores import Score
from clrobot.runs import score_book
from clrobot.runs.folder import RunFolder
from clrobot.runs.score_book import read_scores

SAMPLED = {
    "stochastic_success_any": 0.75,
    "stochastic_success_final": 0.5,
    "stochastic_return_mean": 1.5,
    "stochastic_length_mean": 40.0,
}
SCORES = [score(0, 0, 0, 0.0), score(0, 0, 1, 0.2), score(1, 100, 0, 0.8, **SAMPLED)]
HUGE = (10**400, 10**5000, 2**63, -1, True, 1.0, "1", None)
NO_NUMBER = (math.nan, math.inf, -math.inf, 1e999, 10**400, True, "0.5")


def sentence(refused: pytest.ExceptionInfo[UserError]) -> str:
    text = str(refused.value)
    assert text.isprintable()
    return text


# Scores ----------------------------------------------------------------------------------------------------


def write(path: Path, scores: list[Score], tail: str = "") -> Path:
    path.write_text("".join(line.to_line() for line in scores) + tail)
    return path


def test_a_line_is_what_it_has_always_been() -> None:
    assert SCORES[1].to_line() == (
        '{"stage": 0, "step": 0, "slot": 2, "episodes": 10, "success_any": 0.2, "success_final": 0.1, '
        '"return_mean": 1.0, "length_mean": 50.0}\n'
    )
    assert SCORES[2].to_line() == (
        '{"stage": 1, "step": 100, "slot": 1, "episodes": 10, "success_any": 0.8, "success_final": 0.4, '
        '"return_mean": 1.0, "length_mean": 50.0, "stochastic_success_any": 0.75, "stochastic_success_final": 0.5, '
        '"stochastic_return_mean": 1.5, "stochastic_length_mean": 40.0}\n'
    )


def test_scores_are_read_back(tmp_path: Path) -> None:
    assert read_scores(write(tmp_path / "scores.jsonl", SCORES)) == SCORES


def test_slots_count_from_1_in_the_file_and_from_0_here(tmp_path: Path) -> None:
    assert [json.loads(line.to_line())["slot"] for line in SCORES] == [1, 2, 1]
    assert [line.slot for line in read_scores(write(tmp_path / "scores.jsonl", SCORES))] == [0, 1, 0]
    with pytest.raises(ValidationError, match="counts from 0"):
        score(0, 0, -1, 0.0)


def test_a_return_that_is_not_finite_is_null_in_the_file(tmp_path: Path) -> None:
    lost = [score(0, 0, 0, 0.5, return_mean=None), score(0, 0, 0, 0.5, **SAMPLED | {"stochastic_return_mean": None})]
    path = write(tmp_path / "scores.jsonl", lost)
    assert path.read_text().count("null") == 2
    assert read_scores(path) == lost


def test_a_line_cut_short_by_a_kill_is_left_out(tmp_path: Path) -> None:
    assert read_scores(write(tmp_path / "scores.jsonl", SCORES, tail='{"stage": 2, "st')) == SCORES


@pytest.mark.parametrize("field", ["stage", "step", "slot", "episodes"])
@pytest.mark.parametrize("value", HUGE, ids=lambda value: repr(value)[:12] if value != 10**5000 else "10**5000")
def test_a_count_out_of_bounds_is_named(field: str, value: object, tmp_path: Path) -> None:
    digits = "1" + "0" * 5000 if value == 10**5000 else json.dumps(value)
    line = json.dumps(json.loads(SCORES[0].to_line()) | {field: "HERE"}).replace('"HERE"', digits)
    with pytest.raises(UserError, match="line 2: not a score: ") as refused:
        read_scores(write(tmp_path / "scores.jsonl", SCORES[:1], tail=line + "\n"))
    assert field in sentence(refused) or value == 10**5000  # JSON of such a number is refused as a whole


@pytest.mark.parametrize("field", ["success_any", "return_mean", "length_mean", *SAMPLED])
@pytest.mark.parametrize("value", NO_NUMBER, ids=lambda value: repr(value)[:12])
def test_what_is_no_number_is_named(field: str, value: object, tmp_path: Path) -> None:
    line = json.dumps(json.loads(SCORES[0].to_line()) | {field: value})
    with pytest.raises(UserError, match=f"line 2: not a score: `{field}`") as refused:
        read_scores(write(tmp_path / "scores.jsonl", SCORES[:1], tail=line + "\n"))
    sentence(refused)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"slot": 0}, "`slot`: 0; expected a slot, which counts from 1"),
        ({"success_any": 1.5}, "`success_any` is 1.5; input should be less than or equal to 1"),
        ({"length_mean": None}, "`length_mean` is None; input should be a valid number"),
        ({"episodes": 0}, "`episodes` is 0; input should be greater than or equal to 1"),
        ({"length_mean": "long"}, "`length_mean` is 'long'; input should be a valid number"),
        ({"stochastic_success_any": 1.5}, "`stochastic_success_any` is 1.5"),
        ({"reward": 1.0}, "`reward` is not a known key"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, change: dict[str, object], message: str) -> None:
    line = json.dumps(json.loads(SCORES[0].to_line()) | change)
    with pytest.raises(UserError, match=f"line 2: not a score: {message}"):
        read_scores(write(tmp_path / "scores.jsonl", SCORES[:1], tail=line + "\n"))


@pytest.mark.parametrize("text", ["{}\n", "[]\n", "nonsense\n", '{"stage": 1', "[" * 100_000, "\\ud800", "\x00"])
def test_what_is_not_a_score(tmp_path: Path, text: str) -> None:
    path = tmp_path / "scores.jsonl"
    path.write_text(text + "\n")
    with pytest.raises(UserError, match="line 1") as refused:
        read_scores(path)
    sentence(refused)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read .*scores\.jsonl: No such file"):
        read_scores(tmp_path / "scores.jsonl")


def test_what_is_no_plain_file_is_refused_at_once(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", SCORES)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name, clause in (("link", "it is a link"), ("pipe", "not a plain file"), ("folder", "folder")):
        with pytest.raises(UserError, match=clause) as refused:
            read_scores(tmp_path / name)
        sentence(refused)


def test_a_file_too_large_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "scores.jsonl", SCORES)
    monkeypatch.setattr(score_book, "MOST_BYTES", path.stat().st_size)
    assert read_scores(path) == SCORES
    with path.open("ab") as file:
        file.truncate(2**40)  # a hole, of which nothing is on the disk
    with pytest.raises(UserError, match=r"scores\.jsonl: larger than [\d,]+ bytes; restore the file"):
        read_scores(path)


# Metrics ---------------------------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(page_run(tmp_path / "run"))


def change(run: RunFolder, change: dict[str, Any]) -> None:
    content = json.loads((run.path / "metrics.json").read_text())
    (run.path / "metrics.json").write_text(json.dumps(content | change))
    forge_manifest(run.path)


def test_metrics_are_read_back_and_written_again_to_the_byte(run: RunFolder) -> None:
    before = (run.path / "metrics.json").read_text()
    metrics = run.read_metrics()
    assert json.dumps(metrics.model_dump(mode="json"), indent=2) + "\n" == before
    assert RunMetrics.model_validate_json(before) == metrics


def test_slots_count_from_1_in_metrics_too(run: RunFolder) -> None:
    assert [task["slot"] for task in json.loads((run.path / "metrics.json").read_text())["per_task"]] == [1, 2]
    assert [task.slot for task in run.read_metrics().per_task] == [0, 1]


@pytest.mark.parametrize(
    ("damage", "clause"),
    [
        ({"success_matrix": [[0.0, 0.0]]}, r"success_matrix must have 3 rows of 2, got rows of \[2\]"),
        ({"isolated_forgetting": [[0.0, 0.0]] * 3}, "isolated_forgetting must have 2 rows of 2"),
        ({"success_matrix_final": [[0.0, 2.0]] * 3}, "`success_matrix_final.1.2` is 2.0; input should be less"),
        ({"average_success": "high"}, "`average_success` is 'high'; input should be a valid number"),
        ({"per_task": []}, "`per_task`"),
        ({"stages": 3}, "stages = 3 does not fit the slots in per_task"),
        ({"stages_done": 1}, "stages_done = 1 does not fit"),
        ({"per_stage": []}, r"per_stage has the stages \[\], and stages_done = 2"),
        ({"seconds": {}}, "`seconds.train` is missing"),
        ({"something_new": 1}, "`something_new` is not a known key"),
        ({"success_reading": "final"}, "`success_reading` is 'final'"),
    ],
)
def test_metrics_that_do_not_fit_are_named(run: RunFolder, damage: dict[str, Any], clause: str) -> None:
    change(run, damage)
    with pytest.raises(UserError, match=rf"metrics\.json is damaged: .*{clause}") as refused:
        run.read_metrics()
    sentence(refused)


@pytest.mark.parametrize("name", ["memory_bytes", "task_inference_steps", "diverged_simulations"])
@pytest.mark.parametrize("value", [10**400, 2**63, -1, 1.5, True, None], ids=lambda value: repr(value)[:12])
def test_counts_are_bounded(run: RunFolder, name: str, value: object) -> None:
    change(run, {name: value})
    with pytest.raises(UserError, match=f"metrics.json is damaged: `{name}`") as refused:
        run.read_metrics()
    sentence(refused)


@pytest.mark.parametrize("name", ["environment_steps", "gradient_steps"])
@pytest.mark.parametrize("who", ["learning", "method"])
@pytest.mark.parametrize("value", [2**63, -1, 1.5, None], ids=lambda value: repr(value)[:12])
def test_steps_are_bounded_whoever_took_them(run: RunFolder, name: str, who: str, value: object) -> None:
    change(run, {name: {"learning": 1, "method": 1, who: value}})
    with pytest.raises(UserError, match=f"metrics.json is damaged: `{name}.{who}`") as refused:
        run.read_metrics()
    sentence(refused)


@pytest.mark.parametrize("name", ["average_success", "forward_transfer", "retention"])
@pytest.mark.parametrize("value", NO_NUMBER, ids=lambda value: repr(value)[:12])
def test_numbers_are_finite(run: RunFolder, name: str, value: object) -> None:
    change(run, {name: value})
    with pytest.raises(UserError, match=f"metrics.json is damaged: `{name}`") as refused:
        run.read_metrics()
    sentence(refused)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, "1" + "0" * 5000, '{"a": "\\ud800"}'])
def test_what_is_no_metrics(run: RunFolder, text: str) -> None:
    (run.path / "metrics.json").write_text(text)
    forge_manifest(run.path)
    with pytest.raises(UserError, match=r"metrics\.json is damaged") as refused:
        run.read_metrics()
    sentence(refused)


def test_metrics_that_are_not_there_yet_are_named(run: RunFolder) -> None:
    (run.path / "metrics.json").unlink()
    (run.path / "manifest.json").unlink()
    with pytest.raises(UserError, match="is missing; it is written after the first stage"):
        run.read_metrics()


def test_every_metric_of_the_catalogue_is_there(tmp_path: Path) -> None:
    from clrobot.results.catalogue import RUN_METRICS, TASK_METRICS

    matrix = [[0.0] * 3, [0.9, 0.0, 0.0], [0.6, 0.8, 0.1], [0.5, 0.7, 0.9]]
    metrics = made_up_run(tmp_path / "whole", matrix, reference=[0.2] * 3).read_metrics()
    undefined = [metric.name for metric in RUN_METRICS if metrics.value(metric.name) is None]
    assert undefined == ["average_success_stochastic"], "the made-up run has no sampled actions"
    assert all(hasattr(metrics.per_task[0], metric.name) for metric in TASK_METRICS)
