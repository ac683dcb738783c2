"""What a run says that it was made with, when it was not made with one thing alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.outcomes import WholeRuns, outcome, stopped

from clrobot.envs.worlds import kinds
from clrobot.errors import UserError
from clrobot.published.provenance import makings, provenance, version_of
from clrobot.runs import environment, folder
from clrobot.runs.environment import gone_on_with
from clrobot.runs.folder import RunFolder
from clrobot.training.extend import extend
from clrobot.training.resuming import resume

pytestmark = pytest.mark.usefixtures("quick_training")
Cli = Callable[..., Any]


def elsewhere(monkeypatch: pytest.MonkeyPatch, **versions: str) -> None:
    """Let this process be one of other versions, at another commit."""
    here = environment.versions()
    monkeypatch.setattr(environment, "versions", lambda: here | versions)
    monkeypatch.setattr(environment, "source_commit", lambda: "0123456789ab")


def test_a_run_that_goes_on_elsewhere_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole_runs: WholeRuns
) -> None:
    whole = whole_runs["ewc"].outcome  # trained here
    run = RunFolder.open(stopped(tmp_path / "run", "ewc", boundary=9))
    begun = run.read_environment()
    elsewhere(monkeypatch, torch="9.9")
    resume(run.path)
    noted = run.read_environment()
    assert {name: value for name, value in noted.items() if name != "resumed"} == begun
    (entry,) = noted["resumed"]
    assert 0 < entry["from_step"] < run.read_metrics().stage_ends[-1]
    assert (entry["versions"]["torch"], entry["commit"]) == ("9.9", "0123456789ab")
    made = provenance(noted)
    assert made["torch"] == f"{begun['versions']['torch']} then 9.9"
    assert made["commit"].endswith(" then 0123456789ab") == bool(begun["commit"])
    assert made["numpy"] == begun["versions"]["numpy"]  # what did not move is told once
    # Nothing else of it is other than of a run that never stopped.
    (run.path / "environment.json").write_text(json.dumps(begun, indent=2) + "\n")
    assert outcome(run.path) == whole


def test_where_it_was_before_is_noted_once(tmp_path: Path) -> None:
    begun, other = {"commit": "a", "versions": {"torch": "1"}}, {"commit": "b", "versions": {"torch": "1"}}
    assert gone_on_with(begun, begun, 5) is None
    moved = gone_on_with(begun, other, 5)
    assert moved == begun | {"resumed": [{"from_step": 5, **other}]}
    assert makings(moved) == [begun, other]
    assert gone_on_with(moved, other, 9) is None
    assert gone_on_with(moved, begun, 9) is None


def test_a_run_that_starts_anew_is_made_here_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunFolder.open(stopped(tmp_path / "run", "ewc", boundary=1, checkpoint={"enabled": False}))
    elsewhere(monkeypatch, torch="9.9")
    resume(run.path)
    noted = run.read_environment()
    assert (noted["versions"]["torch"], noted["commit"]) == ("9.9", "0123456789ab")
    assert "resumed" not in noted


def test_an_extended_run_says_with_what(tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere(monkeypatch, mujoco="9.9")
    longer = resume(extend(tiny_run, "push", 64, tmp_path / "longer").path)
    (entry,) = longer.read_environment()["resumed"]
    assert entry["from_step"] == RunFolder.open(tiny_run).read_metrics().stage_ends[-1]
    assert version_of(longer.read_environment(), "mujoco").endswith(" then 9.9")


@pytest.mark.parametrize(
    ("noted", "told"),
    [
        ({}, ""),
        ({"versions": []}, ""),
        ({"versions": {"torch": ["1"]}}, ""),
        ({"versions": {"torch": "1"}, "resumed": "x"}, "1"),
        ({"versions": {"torch": "1"}, "resumed": ["x", {"versions": 5}]}, "1"),
        ({"versions": {"torch": "1"}, "resumed": [{"versions": {"torch": "2"}}] * 2}, "1 then 2"),
    ],
)
def test_what_stands_in_a_strangers_file_is_taken_as_it_can_be(noted: dict[str, Any], told: str) -> None:
    assert version_of(noted, "torch") == told


def test_verify_goes_by_the_furthest(tiny_copy: Path, cli: Cli) -> None:
    run = RunFolder.open(tiny_copy)
    noted = run.read_environment()
    other = noted | {"versions": noted["versions"] | {"torch": "0.1"}}
    run.write_json("environment.json", noted | {"resumed": [other | {"from_step": 64}]})
    done = cli("verify", tiny_copy, "--format", "json")
    found = json.loads(done.out)
    assert (done.code, found["environments"], list(found["moved"])) == (0, 2, ["torch"])
    assert "2, of which the furthest" in cli("verify", tiny_copy).out
    probe = other["fingerprint"] | {"physics": {"sha256": "0" * 64, "numbers": [1.0]}}
    run.write_json("environment.json", noted | {"resumed": [noted | {"fingerprint": probe}]})
    assert cli("verify", tiny_copy).code == 4


def test_other_physics_is_not_gone_on_with(tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = stopped(tmp_path / "run", "finetune", boundary=9)
    before = sorted(run.rglob("*"))
    monkeypatch.setattr(folder, "PHYSICS_VERSION", 2)
    for going_on in (lambda: resume(run), lambda: extend(tiny_run, "push", 64, tmp_path / "longer")):
        with pytest.raises(UserError, match="in version 1 of clrobot's physics, and this clrobot has version 2"):
            going_on()
    assert sorted(run.rglob("*")) == before
    assert not (tmp_path / "longer").exists()
    monkeypatch.setattr(folder, "is_native", lambda task: False)  # others' worlds have their own
    assert kinds.is_native("reach")
    resume(run)
