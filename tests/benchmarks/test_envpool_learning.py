"""`clrobot bench --envpool-learning`: the search, the turns, and PPO on a stand-in and on EnvPool itself."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from clrobot.benchmarks import bench, envpool_learning
from clrobot.benchmarks.against_envpool import PAIRS
from clrobot.benchmarks.envpool_learning import (
    Ours,
    Side,
    Theirs,
    best,
    check_learning,
    compare,
    envpool_id,
    show_learning,
)
from clrobot.benchmarks.learning import Learning
from clrobot.envs.tasks.reach import Reach
from clrobot.errors import UserError
from clrobot.published.speed import read_speed
from clrobot.terminal import LiteralConsole

# With these EnvPool's side learns the stand-in's task in some ten updates.
QUICK = {**Theirs.candidates[0], "num_envs": 8, "n_steps": 64, "batch_size": 64, "learning_rate": 0.01}


def printed(result: Mapping[str, Any]) -> list[str]:
    out = io.StringIO()
    show_learning(result, LiteralConsole(out, width=80))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    return lines


def test_stock_ppo_learns_the_stand_ins_task_and_stops_there(
    envpool_python: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(envpool_learning, "EVERY", 500)
    monkeypatch.setattr(envpool_learning, "HORIZON", 20)
    normal = Theirs(envpool_python).train("reach", 0, 20_000, "quick", {**QUICK, "normalize": True})
    assert normal.learned == normal.steps < 20_000
    assert normal.success >= 0.9 > normal.curve[0][1]
    assert [step for step, _ in normal.curve] == [512 * k for k in range(1, len(normal.curve) + 1)]
    assert normal.seconds > 0
    given_up = Theirs(envpool_python).train("reach", 0, 500, "quick", QUICK)
    assert (given_up.steps, given_up.learned) == (512, None)


class _MadeUp(Side):
    """Its settings `a` say how many seconds a training takes, and each is noted."""

    candidates: ClassVar = ({"a": 3.0}, {"a": 2.0}, {"a": 9.0})

    def __init__(self, name: str, trained: list[str]) -> None:
        self.name = name  # type: ignore[misc]
        self._trained = trained

    def train(self, task: str, seed: int, steps: int, label: str, settings: Mapping[str, Any]) -> Learning:
        self._trained.append(f"{self.name} {task} {seed} {settings['a']:g}")
        return Learning.of(task, seed, label, [(100, 0.5), (200, 0.95)], settings["a"] + seed)


def test_settings_are_searched_first_and_the_sides_then_take_turns(tmp_path: Path) -> None:
    trained: list[str] = []
    sides, path = [_MadeUp("clrobot", trained), _MadeUp("envpool", trained)], tmp_path / "rows.jsonl"
    result = compare(sides, path, lambda line: None)
    assert trained[:6] == [f"{side} window-close 100 {a}" for side in ("clrobot", "envpool") for a in (3, 2, 9)]
    assert trained[6:10] == ["clrobot reach 0 2", "envpool reach 0 2", "clrobot reach 1 2", "envpool reach 1 2"]
    assert len(trained) == 6 + 3 * 3 * 2
    assert result["settings"] == {"clrobot": {"a": 2.0}, "envpool": {"a": 2.0}}
    assert list(result["tasks"]) == ["reach", "button-press", "drawer-open"]
    median = result["tasks"]["reach"]["envpool"]
    assert (median["learned"], median["half"], median["seconds"]) == (200, 100, 3.0)
    assert len(result["trainings"]["clrobot"]) == 9
    json.dumps(result)
    assert any(line.split()[:3] == ["│", "drawer-open", "│"] for line in printed(result))

    before = list(trained)
    assert compare(sides, path, lambda line: None) == result
    assert trained == before  # the file had them
    compare(sides, path, lambda line: None, threads=1)
    assert len(trained) == 2 * len(before)  # their seconds are others


def test_the_best_settings_are_the_quickest_that_learned() -> None:
    def row(success: float, seconds: float) -> Learning:
        return Learning.of("push", 0, "", [(100, success)], seconds)

    assert best([row(0.2, 1.0), row(0.95, 9.0), row(0.9, 7.0), row(0.89, 2.0)]) == 2
    assert best([row(0.2, 1.0), row(0.6, 9.0), row(0.5, 2.0)]) == 1


def test_our_side_trains_as_learning_does(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = {"num_envs": 4, "n_steps": 16, "batch_size": 32, "n_epochs": 1}
    monkeypatch.setattr(envpool_learning, "EVERY", 64)
    row = Ours().train("reach", 3, 128, "ours", quick)
    assert (row.task, row.seed, row.label, row.steps) == ("reach", 3, "ours", 128)
    assert row.settings == Ours().digits(quick)  # so that it is found again in the file
    assert Ours(2).digits(quick) == Ours().digits(quick) != Ours().digits({})
    for settings in Ours.candidates:
        envpool_learning.make_config(ppo=dict(settings))  # each is possible


def test_the_names_of_meta_world() -> None:
    assert envpool_id("drawer-open") == "MetaWorld/DrawerOpen-v3"
    assert {envpool_id(pair.ours) for pair in PAIRS[:3]} == {pair.theirs for pair in PAIRS[:3]}


def test_bench_writes_all_of_it_into_its_json(
    envpool_python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[str] = []
    monkeypatch.setattr(bench, "TASKS_BY_ID", {"reach": Reach})
    monkeypatch.setattr(bench, "_ROUNDS", 1)
    monkeypatch.setattr(envpool_learning, "Ours", lambda threads: _MadeUp("clrobot", trained))
    monkeypatch.setattr(Theirs, "candidates", _MadeUp.candidates)
    monkeypatch.setattr(Theirs, "train", _MadeUp("envpool", trained).train)
    out, path, rows = io.StringIO(), tmp_path / "bench.json", tmp_path / "rows.jsonl"
    console = LiteralConsole(out, width=80)
    found = bench.run_bench(4, 0.01, "reach", None, path, console, envpool=envpool_python, envpool_learning=rows)
    assert json.loads(path.read_text()) == found
    assert (measured := read_speed(path)) is not None
    assert measured.envpool is not None
    assert measured.envpool.learning is not None
    assert set(measured.envpool.learning.tasks) == set(envpool_learning.TASKS)
    assert len(found["envpool"]["pairs"]) == len(PAIRS)
    assert found["envpool"]["learning"]["tasks"]["reach"]["clrobot"]["seconds"] == 3.0
    assert "torch" in found["envpool"]["learning"]["versions"]
    assert "envpool, reach, seed 0: success 0.95 after 200 steps, 2 s" in out.getvalue()
    assert max(map(len, out.getvalue().splitlines())) <= 80


def test_too_old_an_envpool_is_refused_before_minutes_are_spent(envpool_python: Path, tmp_path: Path) -> None:
    (envpool_python.parent / "site" / "VERSION").write_text("1.1.1")
    with pytest.raises(UserError, match=r"its EnvPool is 1\.1\.1, .* expected 1\.2 or later"):
        check_learning(envpool_python, tmp_path / "rows.jsonl")
    assert not (tmp_path / "rows.jsonl").exists()


def test_learning_beside_envpool_needs_envpool(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="give --envpool a Python that has EnvPool too"):
        bench.run_bench(4, 0.01, "reach", None, None, LiteralConsole(), envpool_learning=tmp_path / "rows.jsonl")
    assert not list(tmp_path.iterdir())


@pytest.mark.envpool
def test_envpool_itself() -> None:
    """In the Python that CLROBOT_ENVPOOL names, by default this one; with Stable-Baselines3."""
    python = Path(os.environ.get("CLROBOT_ENVPOOL", sys.executable))
    row = Theirs(python).train("reach", 0, 8192, "quick", {**QUICK, "num_envs": 32})
    assert row.steps == 8192
    assert row.seconds > 0
