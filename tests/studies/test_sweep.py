"""Many runs from one description."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.trainings import TINY

import clrobot.studies.sweep
from clrobot.comparison.comparison import compare
from clrobot.comparison.trade_off import trade_offs
from clrobot.errors import UserError
from clrobot.experiment.config import make_config
from clrobot.experiment.config_file import dump_config
from clrobot.runs.folder import RunFolder
from clrobot.studies.sweep import Plan, plan, run_all
from clrobot.training.training import train

pytestmark = pytest.mark.usefixtures("quick_training")
BASE = make_config(**TINY | {"steps": 64, "evaluation": {"episodes": 2, "curve_points": 1, "curve_episodes": 2}})

TWO_SEEDS = [
    "sweep",
    "--config",
    "base.yaml",
    "--method",
    "finetune",
    "--seed",
    "0",
    "1",
    "--jobs",
    "1",
    "--out",
    "out",
]


def test_a_plan_is_the_product_of_its_parts() -> None:
    plans = plan(BASE, Path("out"), ["ewc"], [0, 1], "ewc.strength", [0.0, 0.5])
    assert [str(p.folder) for p in plans] == [
        "out/quick-ewc-ewc.strength=0-0",
        "out/quick-ewc-ewc.strength=0.5-0",
        "out/quick-ewc-ewc.strength=0-1",
        "out/quick-ewc-ewc.strength=0.5-1",
    ]
    assert [(p.config.seed, p.config.ewc.strength) for p in plans] == [(0, 0.0), (0, 0.5), (1, 0.0), (1, 0.5)]
    assert all(p.config.curriculum == BASE.curriculum for p in plans)


def test_a_run_with_other_threads_of_the_physics_is_the_same_run(tmp_path: Path) -> None:
    run = train(BASE.model_copy(update={"threads": 1}), tmp_path / "run")
    assert run_all([Plan(run.path, BASE)], 1, print)[0].path == run.path


def test_a_list_of_widths_is_varied_as_one_number() -> None:
    (only,) = plan(BASE, Path("out"), ["finetune"], [0], "network.widths", [16])
    assert only.config.network.widths == (16, 16)


@pytest.mark.parametrize(
    ("methods", "seeds", "vary", "values", "sentence"),
    [
        (["ewx"], [0], None, [], "unknown method"),
        (["ewc"], [-1], None, [], "seed"),
        (["ewc", "ewc"], [0], None, [], "given twice"),
        (["ewc"], [0], "ewc.power", [1.0], "--vary ewc.power: no such setting"),
        (["ewc"], [0], "power", [1.0], "--vary power: no such setting"),
        (["ewc"], [0], "ewc.strength", [-1.0], "strength"),
        (["ewc"], [0], "ewc.states", [1.5], "states"),
        (["ewc"], [0], "ewc.states", [float("inf")], "states"),
        (["ewc"], [0], "ewc.states", [float("nan")], "states"),
        (["ewc"], [0], "network.widths", [16.5], "widths"),
    ],
)
def test_a_wrong_plan_is_refused_before_anything_is_made(methods, seeds, vary, values, sentence, tmp_path) -> None:
    with pytest.raises(UserError, match=sentence):
        plan(BASE, tmp_path / "out", methods, seeds, vary, values)
    assert not (tmp_path / "out").exists()


def test_runs_are_trained_once_and_make_a_trade_off(tmp_path: Path) -> None:
    """One of three is there already; two processes train the others at the same time."""
    plans = plan(BASE, tmp_path / "out", ["ewc"], [0], "ewc.strength", [0.0, 0.1, 1.0])
    train(plans[1].config, plans[1].folder)
    told: list[str] = []
    runs = run_all(plans, 2, told.append)
    assert sorted(line for line in told if line.startswith("started")) == [
        f"started   {plans[i].folder}" for i in (0, 2)
    ]
    assert [dump_config(run.config) for run in runs] == [dump_config(p.config) for p in plans]
    told.clear()
    run_all(plans, 2, told.append)
    assert told == []

    (found,) = trade_offs(compare(runs))
    assert (found.method, found.setting, found.default) == ("ewc", "ewc.strength", make_config().ewc.strength)
    assert [point.value for point in found.points] == [0.0, 0.1, 1.0]
    for point, run in zip(found.points, runs, strict=True):
        metrics = run.read_metrics()
        R = metrics.success_matrix
        assert point.parts["average success"].value == pytest.approx(metrics.average_success)
        assert point.parts["newly learned"].value == pytest.approx((R[2][1] + R[3][2]) / 2)
        assert point.parts["retained"].value == pytest.approx((R[3][0] + R[3][1]) / 2)
    assert trade_offs(compare(runs[:2])) == []


def test_a_folder_with_another_run_is_not_touched(tmp_path: Path, tiny_run: Path) -> None:
    (planned,) = plan(BASE, tmp_path / "out", ["finetune"], [0])
    planned.folder.parent.mkdir()
    planned.folder.symlink_to(tiny_run)
    with pytest.raises(UserError, match="other settings"):
        run_all([planned], 1, lambda line: None)


def test_a_training_that_fails_is_named_with_its_log(tmp_path: Path) -> None:
    settings = TINY | {"steps": 64, "ppo": {"num_envs": 2, "n_steps": 4, "batch_size": 8}, "method": "multitask"}
    (planned,) = plan(make_config(**settings), tmp_path / "out", ["multitask"], [0])
    with pytest.raises(UserError, match=r"1 of 1 trainings failed; .*\.log ends with: .*cannot hold all 3 tasks"):
        run_all([planned], 1, lambda line: None)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_sweep_that_is_told_to_stop_ends_its_trainings_first(number: signal.Signals, tmp_path: Path) -> None:
    settings = TINY | {"steps": 1_000_000, "video": {"enabled": False}}
    (tmp_path / "base.yaml").write_text(dump_config(make_config(**settings)))
    out = tmp_path / "out"
    command = [sys.executable, "-m", "clrobot", *TWO_SEEDS]
    with (
        (tmp_path / "sweep.log").open("w") as log,
        subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log, start_new_session=True) as process,
    ):
        begun = out / "quick-finetune-0" / "resume"  # its first snapshot: it trains
        while not begun.exists() and process.poll() is None:
            time.sleep(0.05)
        # A terminal's Ctrl-C reaches the whole group, SIGTERM the one process that it is sent to.
        (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
        assert process.wait(timeout=60) == 130
    told = (tmp_path / "sweep.log").read_text()
    assert "the same command goes on" in told
    assert "stopped   out/quick-finetune-0" in told
    assert not (out / "quick-finetune-1").exists()
    run = RunFolder.open(out / "quick-finetune-0")
    run.lock()  # nobody trains it any more
    run.unlock()
    assert not run.finished


def train_here(planned: Plan, trainings: object, tell: Callable[[str], None]) -> int:
    """Train in this process, in place of one of its own, which the tests above start."""
    train(planned.config, planned.folder)
    return 0


def test_the_command_compares_what_it_trained(tmp_path: Path, cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clrobot.studies.sweep, "_train", train_here)
    (tmp_path / "base.yaml").write_text(dump_config(BASE))
    done = cli(*TWO_SEEDS)
    assert done.code == 0, done.err
    assert "forgetting" in done.out
    run = RunFolder.open(tmp_path / "out" / "quick-finetune-1")
    assert run.read_metrics().per_task[0].auc_reference is not None
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000
    assert len(list((tmp_path / "out" / "references").glob("reach-*/report.html"))) == 2
    assert cli("sweep", "--vary", "ewc.strength").err.startswith("clrobot: --vary and --values go together")
