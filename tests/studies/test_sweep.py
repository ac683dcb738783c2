"""Many runs from one description."""

from __future__ import annotations

import errno
import importlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.clusters import wait_until
from support.trainings import TINY

import clrobot.studies.turns
from clrobot.comparison.comparison import compare
from clrobot.comparison.trade_off import trade_offs
from clrobot.errors import UserError
from clrobot.experiment.config import RunConfig, make_config, start_of
from clrobot.experiment.config_file import dump_config, read_config
from clrobot.runs.folder import RunFolder
from clrobot.runs.references import missing_references
from clrobot.runs.snapshot import snapshots
from clrobot.studies.driver import run_all
from clrobot.studies.executors.executor import Job
from clrobot.studies.executors.local import LocalExecutor
from clrobot.studies.plan import Plan
from clrobot.studies.references import add_references
from clrobot.studies.sweep import sweep_study
from clrobot.training.observer import Silent
from clrobot.training.resuming import resume
from clrobot.training.training import Training, train

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


def plan(base: RunConfig, out: Path, *how: Any) -> list[Plan]:
    return sweep_study(base, out, *how)[1]


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
    run = train(BASE.model_copy(update={"threads": 2}), tmp_path / "run")
    assert run_all([Plan(run.path, BASE)], 1, print).runs[0].path == run.path


def test_each_method_of_a_sweep_begins_new_slots_as_it_does_alone(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {}

    def seen(study: Any, plans: list[Plan], *_: Any) -> None:
        found.update({plan.config.method: start_of(plan.config, 1).choose for plan in plans})

    monkeypatch.setattr(importlib.import_module("clrobot.cli.study"), "_train_and_compare", seen)
    Path("ewc.yaml").write_text("method: ewc\nsteps: 8000\n")
    Path("run.yaml").write_text(dump_config(make_config(curriculum="quick", method="ewc")))
    for words in (["--curriculum", "quick"], ["--config", "ewc.yaml"], ["--config", "run.yaml"], ["--threads", "1"]):
        found.clear()
        assert cli("sweep", *words, "--method", "ewc", "scratch", "--seed", "0").code == 0
        assert found == {"ewc": "clear", "scratch": "none"}


def test_a_list_of_widths_is_varied_as_one_number() -> None:
    (only,) = plan(BASE, Path("out"), ["finetune"], [0], "network.widths", [16])
    assert only.config.network.widths == (16, 16)


@pytest.mark.parametrize(
    ("methods", "seeds", "vary", "values", "sentence"),
    [
        (["ewx"], [0], None, [], "unknown method"),
        (["ewc"], [-1], None, [], "seed"),
        (["ewc", "ewc"], [0], None, [], "names a method twice"),
        (["ewc"], [0], "ewc.power", [1.0], "--vary there is no setting 'ewc.power'; did you mean"),
        (["ewc"], [0], "power", [1.0], "--vary there is no setting 'power'"),
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
    runs = run_all(plans, 2, told.append).runs
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
    shutil.copytree(tiny_run, planned.folder)
    with pytest.raises(UserError, match="other settings"):
        run_all([planned], 1, lambda line: None)


def test_a_training_that_fails_is_named_with_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clrobot.studies.driver.AGAIN", 0)
    settings = TINY | {"steps": 64, "ppo": {"num_envs": 2, "n_steps": 4, "batch_size": 8}, "method": "multitask"}
    (planned,) = plan(make_config(**settings), tmp_path / "out", ["multitask"], [0])
    told: list[str] = []
    outcome = run_all([planned], 1, told.append)
    assert outcome.runs == []
    (failure,) = outcome.failures
    assert f"{planned.folder}.log ends with: clrobot: " in str(failure)
    assert "cannot hold all 3 tasks" in str(failure)
    assert [line.split()[0] for line in told] == ["started", "FAILED"]


def logged(run: Path) -> int:
    """The bytes of what TensorBoard gets of a run."""
    return sum(path.stat().st_size for path in (run / "tensorboard").iterdir())


@pytest.mark.parametrize(
    ("number", "tell"),
    # A terminal's Ctrl-C and its closing go to the whole group, others to the one process that they are sent to.
    [(signal.SIGTERM, os.kill), (signal.SIGINT, os.kill), (signal.SIGINT, os.killpg), (signal.SIGHUP, os.killpg)],
)
def test_a_sweep_that_is_told_to_stop_ends_its_trainings_first(
    number: signal.Signals, tell: Callable[[int, int], None], tmp_path: Path
) -> None:
    """As a whole; test_processes.py has every other way."""
    settings = TINY | {"steps": 1_000_000, "video": {"enabled": False}, "checkpoint": {"seconds": 600}}
    (tmp_path / "base.yaml").write_text(dump_config(make_config(**settings)))
    out = tmp_path / "out"
    command = [sys.executable, "-m", "clrobot", *TWO_SEEDS]
    with (
        (tmp_path / "sweep.log").open("w") as log,
        subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log, start_new_session=True) as process,
    ):
        there = out / "quick-finetune-0"
        wait_until((there / "resume" / "step_000000000000").exists, process)
        before = logged(there)
        wait_until(lambda: logged(there) > before + 2_000, process)  # it trains: so much is more than an iteration's
        tell(process.pid, number)
        assert process.wait(timeout=60) == 130
    told = (tmp_path / "sweep.log").read_text()
    assert "the same command goes on" in told
    assert "stopped   out/quick-finetune-0" in told
    assert not list(out.glob("quick-finetune-1*"))
    run = RunFolder.open(out / "quick-finetune-0")
    run.lock()  # nobody trains it any more
    run.unlock()
    assert not run.finished
    assert len(snapshots(run.resume)) == 2, "there was no other reason to save again than the signal"


# Beside other sweeps, and what is judged --------------------------------------------------------------------


def in_this_process(monkeypatch: pytest.MonkeyPatch, after: Callable[[], int] = lambda: 0) -> list[str]:
    """Train in this process, in place of one of its own, which the tests above start; return the verbs used."""
    verbs: list[str] = []

    def run(self: object, job: Job, stopped: object) -> int:
        verb, *words = job.command[job.command.index("clrobot") + 1 :]
        verbs.append(verb)
        train(read_config(Path(words[1])), Path(words[3]))
        code = after()
        job.log.write_text("clrobot: no last word")
        return code

    monkeypatch.setattr(LocalExecutor, "run", run)
    return verbs


def test_a_training_is_judged_by_its_run_and_not_by_its_last_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_this_process(monkeypatch, lambda: 1)
    told: list[str] = []
    plans = plan(BASE, tmp_path / "out", ["finetune"], [0])
    (run,) = run_all(plans, 1, told.append).runs
    assert run.finished
    assert told == [f"started   {plans[0].folder}", f"finished  {plans[0].folder}"]
    monkeypatch.setattr(LocalExecutor, "run", lambda self, job, stopped: 0)  # and one that says that it is well
    (failure,) = run_all(plan(BASE, tmp_path / "other", ["finetune"], [0]), 1, told.append).failures
    assert str(failure).endswith("0.log ends with: no output, and exit code 0")


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "no-such-encoding"])
def test_a_terminal_s_encoding_fails_no_training(encoding: str, tmp_path: Path) -> None:
    """As a whole: what a training prints goes to a log of ours."""
    (tmp_path / "base.yaml").write_text(dump_config(BASE))
    code = "import sys; from pathlib import Path; from clrobot.studies.executors.executor import Job; "
    code += "from clrobot.studies.executors.local import LocalExecutor; command = (sys.executable, '-c', "
    code += "'print(\"\\u2713\\u2501\")'); job = Job(Path(), command, Path('log')); "
    code += "sys.exit(LocalExecutor().run(job, lambda: False))"
    environment = os.environ | ({"PYTHONIOENCODING": encoding} if encoding != "no-such-encoding" else {})
    if encoding == "no-such-encoding":  # with which Python itself does not start
        code = f"import os; os.environ['PYTHONIOENCODING'] = {encoding!r}; {code}"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "log").read_text() == "✓━\n"


def test_a_line_that_cannot_be_told_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(line: str) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    in_this_process(monkeypatch)
    (run,) = run_all(plan(BASE, tmp_path / "out", ["finetune"], [0]), 1, closed).runs
    assert run.finished


def test_two_sweeps_into_one_folder_train_each_run_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one_at_a_time = threading.Lock()
    plans = plan(BASE, tmp_path / "out", ["finetune"], [0, 1])
    verbs = in_this_process(monkeypatch)
    trained = LocalExecutor.run

    def run(self: LocalExecutor, job: Job, stopped: Callable[[], bool]) -> int:
        with one_at_a_time:  # in one process two would disturb each other
            return trained(self, job, stopped)

    monkeypatch.setattr(LocalExecutor, "run", run)
    told: list[str] = []
    with ThreadPoolExecutor(2) as pool:
        results = [pool.submit(run_all, plans, 1, told.append) for _ in range(2)]
        assert all(run.finished for result in results for run in result.result().runs)
    assert verbs == ["train", "train"]
    assert sum(line.startswith("waiting") for line in told) >= 1
    assert [line for line in told if line.startswith("FAILED")] == []


def test_a_sweep_waits_for_a_run_that_another_command_trains(tmp_path: Path) -> None:
    plans = plan(BASE, tmp_path / "out", ["finetune"], [0])
    run = Training.begin(plans[0].config, plans[0].folder, Silent()).folder  # it holds the run's lock
    told: list[str] = []

    def tell(line: str) -> None:
        told.append(line)
        if line.startswith("waiting"):
            run.unlock()
            resume(run.path)

    (found,) = run_all(plans, 1, tell).runs
    assert found.finished
    assert told == [f"waiting   {run.path}, which another process trains"]


def test_two_references_at_once_train_each_once(
    tmp_path: Path, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verb waits for what another process trains, and then finds it."""
    run = train(BASE, tmp_path / "runs" / "one")
    (path, config), *_ = missing_references([run]).items()
    other = Training.begin(config, path, Silent()).folder  # it holds the reference's lock
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        other.unlock()
        resume(path)

    monkeypatch.setattr(clrobot.studies.turns.time, "sleep", sleep)
    done = cli("references", run.path)
    assert done.code == 0, done.err
    assert len(waited) == 1
    assert missing_references([run]) == {}


# Links beside a run -----------------------------------------------------------------------------------------

LINKS = {
    "the log": ("quick-finetune-0.log", r"quick-finetune-0\.log is a link or no plain file; move it elsewhere"),
    "the run": ("quick-finetune-0", "quick-finetune-0 is a link; give another --out"),
    "the references": ("references", "references is a link; say where references go"),
}


@pytest.mark.parametrize(
    ("what", "kind"),
    [
        ("the log", "link"),
        ("the log", "link to nothing"),
        ("the log", "second name"),
        ("the log", "fifo"),
        ("the run", "link"),
        ("the references", "link"),
    ],
)
def test_nothing_is_written_through_a_link(
    what: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, sentence = LINKS[what]
    precious = tmp_path / "precious"
    (precious.write_text if what == "the log" else lambda _: precious.mkdir())("mine")
    (tmp_path / "out").mkdir()
    place = tmp_path / "out" / name
    {
        "link": lambda: place.symlink_to(precious),
        "link to nothing": lambda: place.symlink_to(tmp_path / "nothing"),
        "second name": lambda: place.hardlink_to(precious),
        "fifo": lambda: os.mkfifo(place),
    }[kind]()
    in_this_process(monkeypatch)
    with pytest.raises(UserError, match=sentence):
        add_references(run_all(plan(BASE, tmp_path / "out", ["finetune"], [0]), 1, lambda line: None).runs, 1, print)
    assert not (tmp_path / "nothing").exists()
    assert precious.read_text() == "mine" if precious.is_file() else not list(precious.iterdir())


def test_the_settings_of_a_run_are_not_written_through_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "quick-finetune-0.yaml").symlink_to(precious)
    in_this_process(monkeypatch)
    run_all(plan(BASE, tmp_path / "out", ["finetune"], [0]), 1, lambda line: None)
    assert precious.read_text() == "mine"


def test_the_command_compares_what_it_trained(tmp_path: Path, cli, monkeypatch: pytest.MonkeyPatch) -> None:
    in_this_process(monkeypatch)
    (tmp_path / "base.yaml").write_text(dump_config(BASE))
    done = cli(*TWO_SEEDS)
    assert done.code == 0, done.err
    assert "forgetting" in done.out
    run = RunFolder.open(tmp_path / "out" / "quick-finetune-1")
    assert run.read_metrics().per_task[0].auc_reference is not None
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000
    trained = [path.parent for path in (tmp_path / "out" / "references").glob("reach-*/config.yaml")]
    assert [RunFolder.open(path).finished for path in trained] == [True, True]
    assert cli("sweep", "--vary", "ewc.strength").err.startswith("clrobot: --vary and --values go together")


def test_a_study_goes_on_where_it_was_and_trains_what_is_new(
    tmp_path: Path, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = {"name": "one", "stages": [{"task": "reach", "steps": 64}]}
    settings = TINY | {"evaluation": {"episodes": 2, "curve_points": 1, "curve_episodes": 2}}
    given = {name: value for name, value in settings.items() if name not in ("curriculum", "steps", "network")}
    content = {"name": "mine", "curricula": [one], "methods": ["finetune"], "settings": given}

    def study(*seeds: int) -> Any:
        (tmp_path / "study.yaml").write_text(yaml.safe_dump(content | {"seeds": list(seeds)}))
        return cli("study", "study.yaml", "--jobs", "1", "--no-references")

    verbs = in_this_process(monkeypatch)
    trained = LocalExecutor.run
    monkeypatch.setattr(
        LocalExecutor,
        "run",
        lambda self, job, stopped: 1 if job.folder.name[-1] == "1" else trained(self, job, stopped),
    )
    failed = study(0, 1)
    assert failed.code == 1
    assert "FAILED    runs/mine/one-finetune-1: " in failed.out
    assert "forgetting" in failed.out  # and what is there is compared
    monkeypatch.setattr(LocalExecutor, "run", trained)
    again = study(0, 1)
    assert again.code == 0, again.err
    assert [line for line in again.out.splitlines() if line.startswith("started")] == [
        "started   runs/mine/one-finetune-1"
    ]
    assert "report  runs/mine/report.html" in again.out
    changed = study(1, 2)
    assert "in runs/mine, and no longer in the study: one-finetune-0\n" in changed.out
    assert verbs == ["train"] * 3
    assert "finished" in cli("study-status", "runs/mine").out
    refused = cli("sweep", "--curriculum", "quick", "--out", "runs/mine")
    assert "runs/mine holds the study 'mine' and not 'sweep'; they differ in name, curricula, methods" in refused.err
