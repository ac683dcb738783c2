"""Shipped reference curves: how they are made, read, and found for a stage of any budget."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.references import SETTINGS, reference

import clrobot.training.reference_curves as making
from clrobot.errors import UserError
from clrobot.experiment.config import RunConfig, make_config
from clrobot.experiment.curricula import CURRICULA
from clrobot.experiment.curriculum import Stage
from clrobot.published.references import (
    EVALUATION_SEED,
    FILE,
    WHAT,
    Reference,
    curve_of,
    reference_areas,
    why_none,
)
from clrobot.published.rows import add_rows, read_rows, rows_text
from clrobot.training.reference_curves import budget_of, reference_config, train_reference, worlds_of

pytestmark = pytest.mark.usefixtures("quick_training")
Cli = Callable[..., Any]
REACH = Stage(task="reach", steps=1)


@pytest.fixture
def close_points(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "EVERY", 128)


# How one is made -------------------------------------------------------------------------------------------


def test_a_budget_is_twice_the_longest_that_a_curriculum_of_ours_has() -> None:
    assert budget_of(Stage(task="hammer", steps=1)) == 640_000
    assert budget_of(Stage(task="reach", steps=1)) == 80_000
    assert budget_of(Stage(task="drawer-open", steps=1, overrides={"action.delay": 3})) == 240_000
    assert budget_of(Stage(task="drawer-close", steps=1)) == 50_000, "what the transfer matrix takes"


def test_a_curriculum_s_worlds_are_made_once_each_and_others_are_left_out() -> None:
    assert len(worlds_of([CURRICULA["shift5"], CURRICULA["cr20"], CURRICULA["mixed4"]])) == 5 + 10 - 1 + 1
    assert worlds_of([CURRICULA["pusher2"]]) == []


def test_a_reference_is_an_ordinary_run_of_one_stage_with_close_points() -> None:
    config = reference_config(make_config(seed=9), REACH, 3, 40_000)
    assert (config.method, config.seed, config.evaluation.seed) == ("finetune", 3, EVALUATION_SEED)
    assert [stage.steps for stage in config.curriculum.stages] == [5 * 8192]
    assert config.evaluation.curve_points == 4


def test_a_learning_rate_that_changes_is_refused() -> None:
    base = make_config(ppo={"final_learning_rate": 1e-4})
    with pytest.raises(UserError, match=r"ppo\.final-learning-rate is 0\.0001, and a reference is read up to every"):
        reference_config(base, REACH, 0, 1000)


def test_a_longer_training_begins_as_a_shorter_one(close_points: None, tiny_config: RunConfig) -> None:
    short, long = (train_reference(reference_config(tiny_config, REACH, 5, steps)) for steps in (256, 512))
    assert (short.steps, long.steps) == (256, 512)
    of_short, of_long = curve_of(short.curve), curve_of(long.curve)
    assert of_short.steps.tolist() == [0, 128, 256]
    assert of_long.steps.tolist() == [0, 128, 256, 384, 512]
    np.testing.assert_array_equal(of_short.success, of_long.success[:3])
    assert long.area(256) == short.area(256)


@pytest.fixture
def tiny_config() -> RunConfig:
    ppo = {"num_envs": 4, "n_steps": 16, "batch_size": 32, "n_epochs": 1}
    return make_config(network={"widths": (8,)}, ppo=ppo, threads=1)


# The verb --------------------------------------------------------------------------------------------------


@pytest.fixture
def words(close_points: None, tmp_path: Path) -> list[str]:
    settings = tmp_path / "tiny.yaml"
    settings.write_text(
        "{network: {widths: [8]}, ppo: {num_envs: 4, n_steps: 16, batch_size: 32, n_epochs: 1}, threads: 1}"
    )
    return ["references", "--config", str(settings), "--steps", "256", "--out", "out/references.csv"]


def test_the_verb_makes_a_row_for_each_world_and_seed_and_none_twice(
    cli: Cli, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = cli(*words, "--task", "reach", "button-press", "--seed", "0", "1")
    assert (outcome.code, outcome.err) == (0, "")
    rows = read_rows(Path("out/references.csv"), Reference, WHAT)
    assert [(row.task, row.seed, row.steps) for row in rows] == [
        ("button-press", 0, 256),
        ("button-press", 1, 256),
        ("reach", 0, 256),
        ("reach", 1, 256),
    ]
    assert "reach, seed 1: area 0." in outcome.out
    made = []
    monkeypatch.setattr(making, "train_reference", made.append)
    monkeypatch.setattr(making, "add_rows", lambda *_: pytest.fail("nothing is written"))
    assert cli(*words, "--task", "reach", "--seed", "1").code == 0
    assert made == []


def test_a_longer_one_replaces_a_shorter_one(cli: Cli, words: list[str]) -> None:
    for steps in ("256", "384"):
        assert cli(*words, "--task", "reach", "--seed", "0", "--steps", steps).code == 0
    (row,) = read_rows(Path("out/references.csv"), Reference, WHAT)
    assert row.steps == 384


def test_a_shorter_one_replaces_no_longer_one_that_came_meanwhile(
    cli: Cli, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    train = making.train_reference

    def another_is_quicker(config: RunConfig) -> Reference:
        row = train(config)
        longer = row.model_copy(update={"steps": 10 * row.steps})
        add_rows(Path("out/references.csv"), [longer], Reference, WHAT)
        return row

    monkeypatch.setattr(making, "train_reference", another_is_quicker)
    assert cli(*words, "--task", "reach", "--seed", "0", "--steps", "256").code == 0
    (row,) = read_rows(Path("out/references.csv"), Reference, WHAT)
    assert row.steps == 2560


def test_rows_that_stand_twice_are_not_made_one_in_silence(tmp_path: Path) -> None:
    rows = read_rows(FILE, Reference, WHAT)[:2]
    file = tmp_path / "a.csv"
    file.write_text(rows_text([*rows, rows[0]], Reference))
    with pytest.raises(UserError, match="has a row twice; delete one"):
        add_rows(file, rows, Reference, WHAT)
    assert file.read_text() == rows_text([*rows, rows[0]], Reference)


def test_processes_that_add_rows_lose_none_and_leave_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock is a file, which NFS locks for every machine, and a folder for one alone."""
    rows = read_rows(FILE, Reference, WHAT)[:40]
    lock = fcntl.flock

    def of_files_alone(file: int, how: int) -> None:
        if not stat.S_ISDIR(os.fstat(file).st_mode):
            lock(file, how)

    monkeypatch.setattr(fcntl, "flock", of_files_alone)

    def add(part: int) -> None:
        for row in rows[part::4]:
            add_rows(tmp_path / "a.csv", [row], Reference, WHAT)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(4)))
    assert (tmp_path / "a.csv").read_text() == rows_text(rows, Reference)
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ((), "no task; give --task, --curriculum or both"),
        (("--task", "reech"), "did you mean reach"),
        (("--task", "reach", "--seed", "-1"), "--seed -1; expected 0 or more"),
        (("--task", "reach", "--steps", "0"), "--steps 0; expected 1 or more"),
        (("--task", "reach", "--store", "there"), "--out makes curves and measures no run"),
        (("--task", "reach", "--out", "."), "--out . is a folder"),
    ],
)
def test_wrong_words_are_one_sentence(cli: Cli, words: list[str], wrong: tuple[str, ...], sentence: str) -> None:
    outcome = cli(*words, *wrong)
    assert outcome.code == 2
    assert sentence in outcome.err
    assert outcome.err.count("\n") == 1
    assert not Path("out").exists()


def test_curves_need_a_file(cli: Cli) -> None:
    assert "are for curves; give --out FILE for them" in cli("references", "--task", "reach").err


def test_a_file_of_something_else_is_refused_and_left_as_it_is(cli: Cli, words: list[str]) -> None:
    Path("out").mkdir()
    Path("out/references.csv").write_text("a,b\n1,2\n")
    outcome = cli(*words, "--task", "reach")
    assert outcome.code == 2
    assert "has other columns than reference curves of this version (it lacks 'task')" in outcome.err
    assert Path("out/references.csv").read_text() == "a,b\n1,2\n"


# The file --------------------------------------------------------------------------------------------------


def test_what_is_shipped_can_be_read() -> None:
    assert rows_text(read_rows(FILE, Reference, WHAT), Reference) == FILE.read_text(encoding="utf-8")


def test_the_same_rows_are_the_same_bytes(tmp_path: Path) -> None:
    rows = [reference(seed=seed, task=task) for seed in (10, 2, 0) for task in ("reach", "push")]
    add_rows(tmp_path / "a.csv", rows, Reference, WHAT)
    for row in reversed(rows):
        add_rows(tmp_path / "b.csv", [row], Reference, WHAT)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    read = read_rows(tmp_path / "a.csv", Reference, WHAT)
    assert [(row.task, row.seed) for row in read] == [(t, s) for t in ("push", "reach") for s in (0, 2, 10)]
    assert sorted(read, key=str) == sorted(rows, key=str)


DAMAGES = {
    "half a row": (lambda text: text[:-40], "line 2 is damaged: 1"),
    "no column": (lambda text: text.replace("curve,", "", 1), "it lacks 'curve'"),
    "one more column": (lambda text: text.replace("curve,", "curve,more,", 1), "it has 'more'"),
    "columns in another order": (lambda text: text.replace("task,world", "world,task", 1), "their order"),
    "a success of 2": (lambda text: text.replace("8192:0.5", "8192:2"), "a success is from 0 to 1"),
    "a success that is none": (lambda text: text.replace("8192:0.5", "8192:nan"), "finite numbers"),
    "a curve that goes back": (lambda text: text.replace("16384:1", "8192:1"), "goes on with later ones"),
    "a curve of words": (lambda text: text.replace("8192:0.5", "8192"), "STEP:SUCCESS"),
    "a seed of words": (lambda text: text.replace(",7,", ",seven,"), "`seed` is 'seven'"),
    "settings of words": (lambda text: text.replace("ppo.gamma=", "ppo.gamma "), "expected NAME=VALUE"),
    "an open quote": (lambda text: text + '"', "line 3 is damaged"),
    "nothing": (lambda text: "", "it lacks 'task'"),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_a_damaged_file_is_one_sentence(what: str, tmp_path: Path) -> None:
    damage, sentence = DAMAGES[what]
    text = damage(rows_text([reference(seed=7)], Reference))
    (tmp_path / "damaged.csv").write_text(text)
    with pytest.raises(UserError) as caught:
        read_rows(tmp_path / "damaged.csv", Reference, WHAT)
    assert str(tmp_path / "damaged.csv") in str(caught.value)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


# What matches ----------------------------------------------------------------------------------------------

ROWS = [reference(seed=0, curve="0:0 8192:0.5 16384:1"), reference(seed=1, curve="0:0 8192:0 16384:1")]


def areas(stage: Stage = REACH, steps: int = 16384, rows: Any = ROWS, **settings: Any) -> list[float]:
    return reference_areas(make_config(**SETTINGS | settings), stage, steps, rows).tolist()


def test_an_area_is_cut_at_the_stage_s_own_budget() -> None:
    # Seed 0 rises in a line from 0 to 1; seed 1 stays at 0 for half of the time.
    assert areas() == [0.5, 0.25]
    assert areas(steps=8192) == [0.25, 0.0]
    assert areas(steps=12288) == pytest.approx([0.375, (4096 * 0.25) / 12288])


def test_a_run_of_any_seed_method_and_evaluation_has_them() -> None:
    assert areas(seed=99, method="ewc", evaluation={"seed": 3, "episodes": 7}, torch_threads=2) == [0.5, 0.25]
    assert areas(plasticity={"reset_optimizer": False}) == [0.5, 0.25]


def why(stage: Stage = REACH, steps: int = 16384, rows: Any = ROWS, **settings: Any) -> str | None:
    config = make_config(**SETTINGS | settings)
    found = why_none(config, stage, steps, rows)
    assert (found is None) == bool(reference_areas(config, stage, steps, rows).size)
    return found


def test_where_none_matches_it_says_what_differs() -> None:
    assert why() is None
    assert why(ppo={"gamma": 0.99}) == "ppo.gamma is 0.99 here and 0.95 there"
    assert why(network={"widths": (8, 8)}) == "network.widths is [8, 8] here and [64, 64] there"
    assert why(algo="sac") == "they were learned with ppo, and this with sac"
    assert why(steps=16385) == "they end after 16,384 steps, and the stage has 16,385"
    assert why(Stage(task="push", steps=1)) == "there is none of this world"
    assert why(Stage(task="reach", steps=1, horizon=50)) == "there is none of this world"
    assert why(Stage(task="gymnasium:Reacher-v5", steps=1)) == "there is none of this world"
    assert why(rows=[reference(physics=0)]) == "they are of physics 0, and this is 1"


def test_the_nearest_is_what_it_names() -> None:
    far = reference(
        **{"settings": ROWS[0].settings.replace("ppo.n_epochs=10", "ppo.n_epochs=9").replace("0.2", "0.3")}
    )
    assert why(rows=[far, *ROWS], ppo={"gamma": 0.99}) == "ppo.gamma is 0.99 here and 0.95 there"
