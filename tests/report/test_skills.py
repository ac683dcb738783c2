"""The page tells which skill each new one grew from, and what it took to choose."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from support.made_up_runs import made_up_run
from support.models import forge_manifest

from clrobot.experiment.warm_start import WarmStartSettings
from clrobot.report.page import write_report
from clrobot.report.run_section import Skill, growing, skills
from clrobot.results.run_metrics import RunMetrics
from clrobot.runs.folder import RunFolder


def with_growth(run: Path, growth: list[tuple[str | None, int | None]]) -> RunMetrics:
    """Write into a run's metrics how its slots began."""
    path = run / "metrics.json"
    content: dict[str, Any] = json.loads(path.read_text())
    for task, (source, steps) in zip(content["per_task"], growth, strict=True):
        task |= {"grown_from": source, "trial_steps": steps}
    path.write_text(json.dumps(content))
    forge_manifest(run)
    return RunMetrics.model_validate_json(path.read_text())


THREE = [(0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (1.0, 1.0, 0.0), (1.0, 1.0, 1.0)]


def test_the_page_shows_the_tree_and_what_the_trials_cost(tmp_path: Path) -> None:
    run = made_up_run(tmp_path / "run", THREE).path
    names = RunFolder.open(run).read_metrics().slot_names
    page = write_report(run).read_text()
    assert "grew from" not in page
    growth = [(None, None), *((names[k], 1600 * (k + 1)) for k in range(len(names) - 1))]
    metrics = with_growth(run, growth)
    page = write_report(run).read_text()
    section = re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", page[page.index('aria-labelledby="skills"') :]))
    total = sum(steps or 0 for _, steps in growth)
    for words in (f"{names[0]} nothing to grow from", f"{names[1]} 1,600 steps of trial", f"{total:,} of the run"):
        assert words in section
    assert skills(metrics)[0].grown[0].task == names[1]


def test_a_later_skill_that_had_no_choice_is_not_said_to_have_had_nothing_to_grow_from(tmp_path: Path) -> None:
    """In a stage too short for a trial it usually begins anew."""
    run = made_up_run(tmp_path / "run", [(0, 0, 0), (1, 0, 0), (1, 1, 0), (1, 1, 1)]).path
    names = RunFolder.open(run).read_metrics().slot_names
    with_growth(run, [(None, None), (names[0], 40), (None, None)])
    words = re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", write_report(run).read_text()))
    assert words.count("nothing to grow from") == 1
    assert f"{names[2]} no choice" in words


@pytest.mark.parametrize(
    ("start", "words"),
    [
        ({}, "began as a copy of it"),
        ({"critic": "fresh"}, "began as a copy of its actor"),
        ({"actor": "fresh"}, "began with a copy of its critic"),
        ({"actor": "fresh", "kickstart": 1.0}, "began with a copy of its critic and had it as a teacher"),
        ({"actor": "fresh", "critic": "fresh", "kickstart": 1.0}, "had it as a teacher"),
    ],
)
def test_it_is_said_what_a_skill_has_of_the_one_it_grew_from(start: dict[str, Any], words: str) -> None:
    assert growing(WarmStartSettings(**start)) == words


def test_the_tree_is_that_of_the_run(tmp_path: Path) -> None:
    run = made_up_run(tmp_path / "run", THREE).path
    names = RunFolder.open(run).read_metrics().slot_names
    metrics = with_growth(run, [(None, None), *((None if k else names[0], 0) for k in range(len(names) - 1))])
    anew = [Skill(name, slot, 0, []) for slot, name in enumerate(names[2:], start=2)]
    assert len(anew) == 1
    assert skills(metrics) == [Skill(names[0], 0, None, [Skill(names[1], 1, 0, [])]), *anew]
    assert [entry.source for entry in metrics.grown] == [0, *(None for _ in anew)]


@pytest.mark.parametrize("source", ["no such task", "itself"])
def test_what_grew_from_no_earlier_slot_is_refused(source: str, tmp_path: Path) -> None:
    run = made_up_run(tmp_path / "run", THREE).path
    names = RunFolder.open(run).read_metrics().slot_names
    source = names[1] if source == "itself" else source
    with pytest.raises(ValidationError, match="which is no earlier slot"):
        with_growth(run, [(None, None), (source, 0), *((None, 0) for _ in names[2:])])
