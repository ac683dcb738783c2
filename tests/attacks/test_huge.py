"""Huge numbers, depths and lengths in a run's files, with checksums that agree: one sentence, or no matter at all.

A reader adds an attack by one line in REFUSED.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.forging import Forgery
from support.made_up_runs import page_run
from support.models import forge_manifest

from clrobot.runs.folder import RunFolder
from clrobot.training.tensorboard import tensorboard_logger

Cli = Callable[..., Any]


def deep(levels: int) -> Any:
    found: Any = 1
    for _ in range(levels):
        found = {"a": [found]}
    return found


def field(name: str, *where: str | int, to: Any) -> Forgery:
    """Set what lies at a place of one JSON file."""

    def forge(run: Path) -> None:
        content = node = json.loads((run / name).read_text())
        for key in where[:-1]:
            node = node[key]
        node[where[-1]] = to
        (run / name).write_text(json.dumps(content))

    return forge


def line(**fields: Any) -> Forgery:
    """Change the last score."""

    def forge(run: Path) -> None:
        *lines, last = (run / "scores.jsonl").read_text().splitlines()
        lines.append(json.dumps(json.loads(last) | fields))
        (run / "scores.jsonl").write_text("\n".join(lines) + "\n")

    return forge


LAYER = {"width": 8, "dormant": 0.0, "saturated": 0.0, "still": 0.0, "effective_rank": 8}

# What is forged, and the file that the sentence names.
REFUSED: dict[str, tuple[Forgery, str]] = {
    "seconds: their sum is infinite": (field("metrics.json", "seconds", "train", to=1e308), "metrics.json"),
    "seconds: of a stage": (field("metrics.json", "per_stage", 0, "seconds", "save", to=-1e300), "metrics.json"),
    "steps: more than a float counts": (field("metrics.json", "environment_steps", to=2**53 + 1), "metrics.json"),
    "parameters: 10^400": (field("metrics.json", "parameters", "total", to=10**400), "metrics.json"),
    "transfer: 1e308": (field("metrics.json", "forward_transfer", to=1e308), "metrics.json"),
    "retention: 1e300": (field("metrics.json", "per_task", 0, "retention", to=1e300), "metrics.json"),
    "transfer: 1e999": (field("metrics.json", "forward_transfer", to=float("inf")), "metrics.json"),
    "a task's name": (field("metrics.json", "per_task", 0, "task", to="x" * 2000), "metrics.json"),
    "a score's step": (line(step=2**53 + 2), "scores.jsonl"),
    "a score's episodes": (line(episodes=10**400), "scores.jsonl"),
    "a score's length": (line(length_mean=1e300), "scores.jsonl"),
    "a score's return": (line(return_mean=float("nan")), "scores.jsonl"),
    "a score's heads": (line(slot=2, success_any=0.5, success_by_head=[0.5] * 3), "scores.jsonl"),
    "a score's newest head": (line(slot=2, success_any=0.5, success_by_head=[0.5, 1.0]), "scores.jsonl"),
    "a score's heads: none": (line(slot=2, success_by_head=[]), "scores.jsonl"),
    "a score's stage": (line(stage=1025), "scores.jsonl"),
    "a score's slot": (line(slot=1025), "scores.jsonl"),
    "stages: 10^6 ends": (field("metrics.json", "stage_ends", to=[1] * 10**6), "metrics.json"),
    "layers: 10^5": (field("metrics.json", "per_stage", 0, "units", "actor", to=[LAYER] * 10**5), "metrics.json"),
    "environment: 900 levels": (field("environment.json", "more", to=deep(450)), "environment.json"),
    "environment: 30 levels": (field("environment.json", "versions", to=deep(15)), "environment.json"),
    "environment: a megabyte": (field("environment.json", "more", to="x" * 2**20), "environment.json"),
}


@pytest.mark.parametrize("attack", REFUSED)
def test_what_is_huge_is_one_sentence(attack: str, tmp_path: Path, cli: Cli) -> None:
    run = page_run(tmp_path / "run")
    forge, name = REFUSED[attack]
    forge(run)
    forge_manifest(run)
    for verb in ("report", "plot", "compare") if name != "scores.jsonl" else ("report", "plot"):
        done = cli(verb, run, "--out", tmp_path / "out")
        assert (done.code, done.err.count("\n")) == (2, 1), (verb, done)
        assert done.err.startswith("clrobot: ")
        assert name in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("second", ["9" * 200, "²", "٣", "-1", "", "1e9"])
def test_an_event_file_s_name_is_no_number_of_ours(second: str, tmp_path: Path) -> None:
    (tmp_path / f"events.out.tfevents.{second}.host").touch()
    tensorboard_logger(tmp_path).close()
    assert len(list(tmp_path.iterdir())) == 2


def test_a_stage_s_folder_has_the_name_that_it_was_given(tiny_copy: Path) -> None:
    for name in ("stage_001", "stage_٠١", "stage_3", "stage_0003", "stage_99", "stage_99999"):
        (tiny_copy / name).mkdir()
    assert RunFolder.open(tiny_copy).stages() == [0, 1, 2, 3]


def test_a_film_that_fills_memory_is_not_embedded(tmp_path: Path, cli: Cli) -> None:
    run = page_run(tmp_path / "run")
    film = run / "videos" / "stage_01" / "reach.mp4"
    film.parent.mkdir(parents=True)
    film.touch()
    os.truncate(film, 20 * 2**30)
    assert cli("report", run).code == 0
    done = cli("report", run, "--videos", "embed")
    assert (done.code, done.err.count("\n")) == (2, 1), done
    assert "reach.mp4 cannot be read (larger than" in done.err
