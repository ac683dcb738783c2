"""From run folders to published rows and back to settings: stable bytes, and a sentence for what is wrong."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.made_up_runs import made_up_run
from support.models import forge_manifest

from clrobot.experiment.config import make_config
from clrobot.experiment.curricula import CURRICULA
from clrobot.published.results import (
    FILE,
    WHAT,
    Result,
    command_of,
    config_of,
    fingerprint,
    identity,
    read_results,
)
from clrobot.published.rows import read_rows, rows_text
from clrobot.published.tuning import FILE as TUNING_FILE
from clrobot.published.tuning import GRID, SAC_GRID, SEEDS, Trial, main_setting, tries
from clrobot.results.catalogue import RUN_METRICS
from clrobot.runs.folder import RunFolder

Cli = Callable[..., Any]
ROWS = [(0.0, 0.0, 0.0), (1.0, 0.5, 0.0), (0.5, 1.0, 0.25), (0.5, 0.5, 1.0)]
COMMIT = ("--commit", "0123456789ab")


def run(folder: Path, seed: int = 10, method: str = "ewc", **settings: Any) -> Path:
    path = folder / f"{method}-{seed}"
    made = made_up_run(path, ROWS, **{"seed": seed, "method": method, "steps": None} | settings)
    for stage in range(4):
        made.checkpoint(stage).mkdir()
    return path


def rows(path: str = "r.csv") -> list[Result]:
    return read_rows(Path(path), Result, WHAT)


# Rows ------------------------------------------------------------------------------------------------------


def test_a_run_is_a_row_for_each_metric_with_all_that_it_takes_to_measure_it_again(cli: Cli, tmp_path: Path) -> None:
    made = run(tmp_path, evaluation={"seed": 2_000_000}, ewc={"strength": 0.5})
    outcome = cli("publish", made, "--out", "r.csv", *COMMIT)
    assert (outcome.code, outcome.err, outcome.out) == (0, "", "r.csv: 1 runs, 1 of them from here\n")
    (published,) = read_results(Path("r.csv"))
    metrics = RunFolder.open(made).read_metrics()
    assert set(published.values) == {metric.name for metric in RUN_METRICS}
    for metric in RUN_METRICS:
        value = metrics.value(metric.name)
        assert published.value(metric.name) == (None if value is None else pytest.approx(value, rel=1e-5))
    assert published.tasks == tuple(metrics.slot_names)
    assert published.task_value(1, "auc") == pytest.approx(metrics.per_task[1].auc)
    assert published.task_value(1, "stage_end") == metrics.stage_ends[1]
    first = published.first
    assert (first.curriculum, first.stages, first.method, first.seed) == ("quick", "", "ewc", 10)
    assert first.settings == "ewc.strength=0.5"
    assert first.command == (
        "clrobot train --curriculum quick --method ewc --seed 10 --evaluation.seed 2000000 --ewc.strength 0.5"
    )
    assert published.config == make_config(**RunFolder.open(made).config.model_dump(mode="json"))
    assert not published.older


def test_two_calls_give_the_same_bytes_and_the_order_of_runs_none(cli: Cli, tmp_path: Path) -> None:
    made = [run(tmp_path, seed, method) for seed in (11, 9, 10) for method in ("ewc", "finetune")]
    assert cli("publish", *made, "--out", "a.csv", *COMMIT).code == 0
    for path in reversed(made):
        assert cli("publish", path, "--out", "b.csv", *COMMIT).code == 0
    assert Path("a.csv").read_bytes() == Path("b.csv").read_bytes()
    assert cli("publish", *made, "--out", "a.csv", *COMMIT, "--replace").code == 0
    assert Path("a.csv").read_bytes() == Path("b.csv").read_bytes()
    assert [r.first.seed for r in read_results(Path("a.csv"))] == [9, 10, 11] * 2


def test_of_a_run_that_is_replaced_no_row_stays(cli: Cli, tmp_path: Path) -> None:
    """An older version's metric, of another training, would be read as the new one's."""
    made, other = run(tmp_path), run(tmp_path, 11)
    assert cli("publish", made, other, "--out", "r.csv", *COMMIT).code == 0
    before = Path("r.csv").read_bytes()
    old = [row.model_copy(update={"metric": "of_yesterday"}) for row in rows() if row.metric == "average_success"]
    Path("r.csv").write_text(rows_text([*rows(), *old], Result))
    assert cli("publish", made, "--out", "r.csv", *COMMIT, "--replace").code == 0
    assert [row.seed for row in rows() if row.metric == "of_yesterday"] == [11]
    assert cli("publish", other, "--out", "r.csv", *COMMIT, "--replace").code == 0
    assert Path("r.csv").read_bytes() == before


def test_numbers_have_six_digits_and_counts_all(cli: Cli, tmp_path: Path) -> None:
    made = run(tmp_path, costing={"method_environment_steps": 123_456_789})
    cli("publish", made, "--out", "r.csv", *COMMIT)
    by_name = {line.split(",")[10]: line for line in Path("r.csv").read_text().splitlines()}
    assert ",average_success,0.666667,1," in by_name["average_success"]
    assert ",environment_steps.method,123456789,count," in by_name["environment_steps.method"]
    assert ",forward_transfer,,1," in by_name["forward_transfer"]  # undefined is empty, and never zero


def test_seconds_of_a_loaded_machine_are_marked_and_nothing_else(cli: Cli, tmp_path: Path) -> None:
    cli("publish", run(tmp_path), "--out", "r.csv", *COMMIT, "--loaded")
    assert {row.metric for row in rows() if row.loaded} == {m.name for m in RUN_METRICS if m.kind == "seconds"}


def test_a_commit_that_the_run_noted_comes_before_the_given(cli: Cli, tmp_path: Path) -> None:
    made = run(tmp_path)
    folder = RunFolder.open(made)
    folder.write_json("environment.json", folder.read_environment() | {"commit": "abcdef012345", "physics": 1})
    folder.record()
    cli("publish", made, "--out", "r.csv", *COMMIT)
    assert {row.commit for row in rows()} == {"abcdef012345"}


# Settings as cells -----------------------------------------------------------------------------------------

WORLDS = {
    "name": "mine",
    "stages": [
        {"task": "push", "steps": 100, "overrides": {"object.friction": 0.3, "object.mass": 1.0}},
        {"task": "reach", "steps": 200, "horizon": 50},
        {"task": "gymnasium:Reacher-v5", "steps": 300, "success": {"return_above": -6.0}},
    ],
    "pad": True,
}


def test_a_cell_names_no_setting_that_has_its_default() -> None:
    """Though it plays no part by default, as a least share where what is usual asks for none."""
    config = make_config(curriculum="cr4", method="replay", warm_start={"choose": "success"})
    assert identity(config)["settings"] == 'warm_start.choose="success"'


@pytest.mark.parametrize(
    "settings",
    [
        {"curriculum": "shift5"},
        {"curriculum": "mixed4", "algo": "sac", "sac": {"gamma": 0.9}},
        {"curriculum": WORLDS, "network": {"widths": (8, 9)}},
        {"curriculum": "cr4", "steps": 64, "task_inference": {"enabled": False}, "evaluation": {"seed": 3}},
        {"curriculum": "cr4", "warm_start": {"trial_envs": 16}},
        {"curriculum": "cr4", "warm_start": {"trial_envs": 64, "choose": "success"}},  # more than is usual
    ],
    ids=str,
)
def test_settings_come_back_from_their_cells(settings: dict[str, Any]) -> None:
    config = make_config(seed=12, method="replay", **settings)
    made = dict.fromkeys(("unit", "task", "commit", "torch", "mujoco", "numpy", "stable_baselines3", "gymnasium"), "")
    row = Result(**identity(config) | made, stage=None, metric="m", value=None, loaded=False, command="", physics=1)
    assert config_of(row) == config
    assert fingerprint(config_of(row)) == row.fingerprint
    (again,) = read_again([row])
    assert again == row


def read_again(written: list[Result]) -> list[Result]:
    path = Path("again.csv")
    path.write_text(rows_text(written, Result))
    try:
        return read_rows(path, Result, WHAT)
    finally:
        path.unlink()


def test_a_curriculum_that_is_ours_but_for_its_name_has_ours() -> None:
    mine = CURRICULA["first3"].model_copy(update={"name": "candidate"})
    assert identity(make_config(curriculum=mine)) == identity(make_config(curriculum="first3"))
    assert "--curriculum first3 " in command_of(make_config(curriculum=mine))


def test_what_a_stranger_called_a_curriculum_is_no_command_of_its_own() -> None:
    """The command stands on pages and in files, to be pasted."""
    mine = make_config(
        curriculum={"name": "x; touch owned", "stages": [{"task": "reach", "steps": 64}]}, method="ewc"
    )
    assert command_of(mine) == "clrobot train --curriculum 'x; touch owned.yaml' --method ewc --seed 0"
    wide = make_config(curriculum="quick", network={"widths": [8, 4]})
    assert command_of(wide) == "clrobot train --curriculum quick --method ewc --seed 0 --network.widths 8 4"


def test_the_fingerprint_tells_that_a_default_has_changed() -> None:
    mine = make_config(curriculum="cr4", method="ewc")
    assert fingerprint(mine) == fingerprint(make_config(curriculum="cr4", method="ewc", seed=9, threads=2))
    for changed in ({"ppo": {"gamma": 0.9}}, {"ewc": {"strength": 1.0}}, {"steps": 64}, {"evaluation": {"seed": 4}}):
        assert fingerprint(make_config(**{"curriculum": "cr4", "method": "ewc"} | changed)) != fingerprint(mine)


# What is refused -------------------------------------------------------------------------------------------


def refusal(cli: Cli, *words: Any) -> str:
    before = Path("r.csv").read_bytes() if Path("r.csv").exists() else None
    outcome = cli("publish", *words, "--out", "r.csv")
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert (Path("r.csv").read_bytes() if Path("r.csv").exists() else None) == before
    return str(outcome.err)


def test_a_name_that_a_spreadsheet_would_compute_is_refused(cli: Cli, tmp_path: Path) -> None:
    named = {"name": "=HYPERLINK(1)", "stages": [{"task": "reach", "steps": 64}]}
    made = made_up_run(tmp_path / "run", [[0.0], [1.0]], curriculum=named, steps=None).path
    assert "takes the curriculum's name '=HYPERLINK(1)' for a formula; rename it" in refusal(cli, made)


def test_an_unfinished_run_is_refused(cli: Cli, tmp_path: Path) -> None:
    made = made_up_run(tmp_path / "half", ROWS[:2], method="ewc", steps=None).path
    assert "half is not finished (1 of 3 stages); go on with it first: clrobot resume" in refusal(cli, made, *COMMIT)


def test_a_damaged_run_is_refused(cli: Cli, tmp_path: Path) -> None:
    made = run(tmp_path)
    (made / "metrics.json").write_text("{}")
    assert "is damaged" in refusal(cli, made, *COMMIT)
    forge_manifest(made)
    assert "is damaged" in refusal(cli, made, *COMMIT)


def test_the_same_run_twice_is_refused(cli: Cli, tmp_path: Path) -> None:
    made = run(tmp_path)
    copy = shutil.copytree(made, tmp_path / "copy")
    assert "are the same run twice (quick, ewc, seed 10)" in refusal(cli, made, copy, *COMMIT)
    assert cli("publish", made, "--out", "r.csv", *COMMIT).code == 0
    assert "r.csv has quick, ewc, seed 10 already" in refusal(cli, copy, *COMMIT)


def test_a_file_of_something_else_is_refused(cli: Cli, tmp_path: Path) -> None:
    made = run(tmp_path)
    Path("r.csv").write_text("a,b\n")
    assert "r.csv has other columns than published results of this version" in refusal(cli, made, *COMMIT)
    shutil.copy(TUNING_FILE, "r.csv")
    assert "other columns" in refusal(cli, made, *COMMIT)


def test_a_commit_is_asked_for_and_looked_at(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clrobot.runs.environment.source_commit", lambda: "")
    made = run(tmp_path)
    assert "does not say which commit of clrobot trained it; give it with --commit" in refusal(cli, made)
    assert "--commit 'main'; expected 7 to 40 digits" in refusal(cli, made, "--commit", "main")


# What is shipped, and the protocol -------------------------------------------------------------------------


def test_what_is_shipped_can_be_read() -> None:
    for path, kind in ((FILE, Result), (TUNING_FILE, Trial)):
        assert rows_text(read_rows(path, kind, "data"), kind) == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("grid", [GRID, SAC_GRID])
def test_every_method_has_four_tries_and_its_default_is_one(grid: dict[str, tuple[str, tuple[float, ...]]]) -> None:
    assert {method: len(values) for method, (_, values) in grid.items()} == dict.fromkeys(grid, 4)
    for method, (name, values) in grid.items():
        group, _, setting = name.partition(".")
        default = getattr(getattr(make_config(), group), setting)
        assert default in values, method


def test_each_try_can_be_trained_and_none_by_a_seed_that_is_reported() -> None:
    for method, settings in tries():
        make_config(curriculum="val5", method=method, **settings)  # each can be
    assert len(tries()) == 4 * len(GRID)
    assert all(seed >= 100 for seed in SEEDS)


def test_with_sac_replay_s_main_setting_is_its_share() -> None:
    config = make_config(method="replay", algo="sac", replay={"share": 0.5})
    assert main_setting(config) == ("replay.share", 0.5)
    assert main_setting(make_config(method="replay")) == ("replay.strength", 1.0)
    assert main_setting(make_config(method="packnet", algo="sac")) == ("", None)


def test_tuning_is_a_row_for_each_run(cli: Cli, tmp_path: Path) -> None:
    made = [run(tmp_path, seed, ewc={"strength": 0.5}) for seed in (100, 101)]
    made.append(run(tmp_path, 100, "finetune"))
    assert cli("publish", *made, "--tuning", "--out", "t.csv", *COMMIT).code == 0
    found = read_rows(Path("t.csv"), Trial, "tries")
    assert [(t.method, t.setting, t.tried, t.seed) for t in found] == [
        ("ewc", "ewc.strength", 0.5, 100),
        ("ewc", "ewc.strength", 0.5, 101),
        ("finetune", "", None, 100),
    ]
    assert found[0].average_success == pytest.approx(2 / 3, rel=1e-5)
    assert cli("publish", made[0], "--tuning", "--out", "t.csv", *COMMIT).code == 2
