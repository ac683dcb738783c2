"""A study's driver: what it starts, what it starts again, and what it gives up."""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.made_up_runs import made_up_run
from support.trainings import TINY

from clrobot.errors import UserError
from clrobot.experiment.config import make_config
from clrobot.experiment.config_file import dump_config, read_config
from clrobot.experiment.prepare import settle
from clrobot.runs.folder import RunFolder
from clrobot.studies import driver
from clrobot.studies.driver import AGAIN, TAKEN, Board, run_all
from clrobot.studies.executors import by_name
from clrobot.studies.executors.by_name import Kind, make_executor
from clrobot.studies.executors.executor import Executor, Job
from clrobot.studies.executors.local import LocalExecutor
from clrobot.studies.plan import Plan
from clrobot.studies.turns import finished_run

ONE = {"name": "one", "stages": [{"task": "reach", "steps": 64}, {"task": "push", "steps": 64}]}
SETTINGS = TINY | {"curriculum": ONE, "steps": None, "method": "finetune"}


def planned(tmp_path: Path, *seeds: int) -> list[Plan]:
    return [Plan(tmp_path / f"run-{seed}", make_config(**SETTINGS, seed=seed)) for seed in seeds or (0,)]


class Scripted(Executor):
    """In place of a process each of these acts on the run's folder, and returns an exit code."""

    def __init__(self, *acts: Callable[[Job], int | None]) -> None:
        self.acts = list(acts)
        self.jobs: list[Job] = []

    def run(self, job: Job, stopped: Callable[[], bool]) -> int | None:
        self.jobs.append(job)
        return self.acts.pop(0)(job)

    @property
    def verbs(self) -> list[str]:
        return [job.command[job.command.index("clrobot") + 1] for job in self.jobs]


def begins(job: Job) -> int:
    RunFolder.create(job.folder, read_config(job.folder.with_name(job.folder.name + ".yaml")))
    (job.folder / "stage_00").mkdir()
    return fails(job)


def comes_to(step: int) -> Callable[[Job], int]:
    def act(job: Job) -> int:
        (job.folder / "resume" / f"step_{step:012d}").mkdir(parents=True)
        return fails(job)

    return act


def fails(job: Job) -> int:
    job.log.write_text("…\nclrobot: the disk is full\n")
    return 2


def finishes(job: Job) -> int:
    """Nobody minds how it ends, as long as the run is whole."""
    seed = int(job.folder.name[-1])
    made_up_run(job.folder.with_name("made"), [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]], **SETTINGS, seed=seed)
    for path in job.folder.with_name("made").iterdir():
        path.replace(job.folder / path.name)
    (job.folder / "stage_02").mkdir()
    return 1


def taken_away(code: int | None) -> Callable[[Job], int | None]:
    return lambda job: code


def work(tmp_path: Path, *acts: Callable[[Job], int | None]) -> tuple[list[str], Scripted, driver.Outcome]:
    told: list[str] = []
    executor = Scripted(*acts)
    outcome = run_all(planned(tmp_path), 1, told.append, executor)
    return [line.split()[0] for line in told], executor, outcome


def test_a_run_is_begun_once_and_then_gone_on_with(tmp_path: Path) -> None:
    told, executor, outcome = work(tmp_path, begins, finishes)
    assert executor.verbs == ["train", "resume"]
    assert told == ["started", "again", "finished"]
    assert [run.path for run in outcome.runs] == [tmp_path / "run-0"]
    assert run_all(planned(tmp_path), 1, told.append, Scripted()).runs[0].finished  # and nothing more is started


def test_what_fails_without_coming_further_is_tried_again_twice_and_listed(tmp_path: Path) -> None:
    told, executor, outcome = work(tmp_path, *[fails] * (AGAIN + 1))
    assert executor.verbs == ["train"] * 3
    assert told == ["started", "again", "again", "FAILED"]
    assert outcome.runs == []
    assert [str(failure) for failure in outcome.failures] == [
        f"{tmp_path}/run-0: {tmp_path}/run-0.log ends with: clrobot: the disk is full"
    ]


def test_what_comes_further_has_not_failed(tmp_path: Path) -> None:
    """Six processes fail, and no three in a row without a newer snapshot."""
    steps = [fails, begins, fails, comes_to(64), fails, fails, comes_to(128), finishes]
    told, _, outcome = work(tmp_path, *steps)
    assert told == ["started", *["again"] * 7, "finished"]
    assert outcome.failures == []


@pytest.mark.parametrize("code", [None, 130, -15])
def test_what_is_taken_away_has_not_failed(code: int | None, tmp_path: Path) -> None:
    told, _, outcome = work(tmp_path, begins, *[taken_away(code)] * 5, finishes)
    assert told == ["started", *["again"] * 6, "finished"]
    assert outcome.failures == []


def test_what_is_taken_away_without_end_is_given_up(tmp_path: Path) -> None:
    """A hundred times in a row: what came further in between begins to count anew."""
    away = [taken_away(None)] * TAKEN
    told, _, outcome = work(tmp_path, begins, *away, comes_to(64), *away, taken_away(143))
    assert told == ["started", *["again"] * (2 * TAKEN + 2), "FAILED"]
    assert [str(failure) for failure in outcome.failures] == [
        f"{tmp_path}/run-0: was taken away 101 times without having come any further; give its processes more time, "
        f"or another place; {tmp_path}/run-0.log ends with: no output, and exit code 143"
    ]


def test_a_run_that_fails_keeps_no_other_from_finishing(tmp_path: Path) -> None:
    plans = planned(tmp_path, 0, 1)
    made_up_run(plans[1].folder, [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]], **SETTINGS, seed=1)
    (plans[1].folder / "stage_02").mkdir()
    board = Board()
    outcome = run_all(plans, 1, print, Scripted(fails, fails, fails), board)
    assert [run.path for run in outcome.runs] == [plans[1].folder]
    assert list(board.states.values()) == ["failed", "finished"]


def test_a_run_that_is_damaged_fails_alone(tmp_path: Path) -> None:
    def damages(job: Job) -> int:
        begins(job)
        (job.folder / "config.yaml").write_text("a: [")
        return 1

    outcome = run_all(planned(tmp_path, 0, 1), 1, print, Scripted(damages, begins, finishes))
    assert [failure.planned.folder.name for failure in outcome.failures] == ["run-0"]
    assert "config.yaml" in outcome.failures[0].error


def test_a_run_for_which_this_machine_can_open_no_file_fails_alone(tmp_path: Path) -> None:
    def opens_no_file(job: Job) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(job.log))

    told: list[str] = []
    outcome = run_all(planned(tmp_path, 0, 1), 1, told.append, Scripted(opens_no_file, begins, finishes))
    assert [run.path.name for run in outcome.runs] == ["run-1"]
    assert [str(failure) for failure in outcome.failures] == [
        f"{tmp_path}/run-0: [Errno 24] Too many open files: '{tmp_path}/run-0.log'"
    ]
    assert [line.split()[0] for line in told] == ["started", "FAILED", "started", "again", "finished"]


def test_what_another_process_trains_is_waited_for_and_not_failed(tmp_path: Path) -> None:
    """A study that was killed has left one which had not begun when this one looked."""
    told: list[RunFolder] = []

    def busy(job: Job) -> int:
        job.log.write_text(f"clrobot: another process is training into {job.folder}: process 7 on this machine\n")
        return 2

    def is_refused(job: Job) -> int:
        run = RunFolder.create(job.folder, read_config(job.folder.with_name(job.folder.name + ".yaml")))
        run.lock()
        told.append(run)
        threading.Timer(0.2, run.unlock).start()
        return busy(job)

    def is_refused_again(job: Job) -> int:
        told[0].lock()
        threading.Timer(0.2, told[0].unlock).start()
        return busy(job)

    refused = [is_refused] + [is_refused_again] * (AGAIN + 2)
    told_of, executor, outcome = work(tmp_path, *refused, finishes)  # type: ignore[arg-type]
    assert told_of == ["started", "finished"]
    assert len(executor.jobs) == AGAIN + 4
    assert outcome.failures == []


def test_what_fails_while_a_dead_one_s_heartbeat_is_fresh_has_failed(tmp_path: Path, monkeypatch: Any) -> None:
    """Where the disk has no locks, on the machine that submits."""
    monkeypatch.setattr(RunFolder, "is_busy", lambda run: run.path.exists() and pytest.fail("nobody is asked"))
    told, executor, outcome = work(tmp_path, begins, *[fails] * (AGAIN + 1))
    assert told[-1] == "FAILED"
    assert len(executor.jobs) == AGAIN + 2
    assert len(outcome.failures) == 1


def test_an_older_run_in_a_drawn_order_is_found_finished(tmp_path: Path) -> None:
    """It does not tell who drew it; its seed does."""
    shuffled = {
        "name": "s",
        "order": "seed",
        "stages": [{"task": t, "steps": 64} for t in ("reach", "push", "stack")],
    }
    config = make_config(**SETTINGS | {"curriculum": shuffled}, seed=3)
    there = settle(config).curriculum.model_dump(mode="json")
    del there["drawn_by"]
    rows = [[0.0] * 3] * 4
    made_up_run(tmp_path / "run-3", rows, **SETTINGS | {"curriculum": there}, seed=3)
    for stage in range(4):
        (tmp_path / "run-3" / f"stage_{stage:02d}").mkdir()
    assert finished_run(Plan(tmp_path / "run-3", config)) is not None


def test_what_a_finished_run_has_left_of_its_snapshots_goes(tmp_path: Path) -> None:
    """Killed in its last moment, with SAC gigabytes."""
    work(tmp_path, begins, finishes)
    (tmp_path / "run-0" / "resume" / "step_000000000064").mkdir(parents=True)
    told, executor, _ = work(tmp_path)
    assert (told, executor.jobs) == ([], [])
    assert not (tmp_path / "run-0" / "resume").exists()


def test_a_thousand_runs_on_a_cluster_need_few_threads_and_files_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clrobot.studies.executors.executor.MOST", 3)
    lock, now, most, beating = threading.Lock(), 0, 0, 0
    full = threading.Event()  # without it a busy machine ends the first before it starts the third

    class Waits(Scripted):
        def run(self, job: Job, stopped: Callable[[], bool]) -> int | None:
            nonlocal now, most, beating
            with lock:
                now += 1
                most = max(most, now)
                beating += any(thread.name == "heartbeat" for thread in threading.enumerate())
            if most >= 3:
                full.set()
            full.wait(10)
            time.sleep(0.01)  # for a fourth, which there must not be
            with lock:
                now -= 1
            raise OSError(errno.EIO, "as a short end")

    assert len(run_all(planned(tmp_path, *range(9)), None, [].append, Waits()).failures) == 9
    assert (most, beating) == (3, 0)
    assert Executor.at_a_time(Waits(), 1000) == 3
    monkeypatch.undo()
    assert Executor.at_a_time(Waits(), 1000) == 256


def test_what_cannot_be_shown_stops_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        raise OSError("the disk is gone")

    board = Board(tick=fail)
    assert run_all(planned(tmp_path), 1, print, Scripted(begins, finishes), board).runs[0].finished


def test_what_nothing_can_be_started_with_ends_the_study(tmp_path: Path) -> None:
    def refuse(job: Job) -> int:
        raise UserError("no partition 'fast'; expected one of low, high")

    executor = Scripted(refuse)
    with pytest.raises(UserError, match="no partition 'fast'"):
        run_all(planned(tmp_path, 0, 1, 2), 1, print, executor)
    assert len(executor.jobs) == 1


def test_a_run_with_other_settings_is_named_with_what_differs(tmp_path: Path) -> None:
    made_up_run(tmp_path / "run-0", [[0.0, 0.0]], **SETTINGS | {"ppo": SETTINGS["ppo"] | {"gamma": 0.5}})
    with pytest.raises(UserError, match=r"run-0 holds a run with other settings \(ppo.gamma 0.5 and not 0.9\d*\)"):
        run_all(planned(tmp_path), 1, print, Scripted())


def test_what_changes_no_score_may_be_another(tmp_path: Path) -> None:
    """A study goes on with more memory, another tracker or fewer films: what is finished stays."""
    others = {"video": {"enabled": True}, "memory_limit_mb": 8192, "checkpoint": {"seconds": 5.0}}
    made_up_run(tmp_path / "run-0", [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]], **SETTINGS | others)
    (tmp_path / "run-0" / "stage_02").mkdir()
    (plan,) = planned(tmp_path)
    assert finished_run(plan) is not None


# Cores -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cores", "jobs", "given", "threads"), [(4, 2, 0, 2), (2, 3, 0, 1), (8, 1, 0, 8), (4, 2, 3, 3)]
)
def test_trainings_share_the_cores(
    cores: int, jobs: int, given: int, threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clrobot.studies.executors.local.usable_cores", lambda: cores)
    for name in driver._THREADS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MKL_NUM_THREADS", "7")  # the user's own stays
    jobs_run: list[Job] = []

    def run(self: LocalExecutor, job: Job, stopped: Callable[[], bool]) -> int:
        jobs_run.append(job)
        return fails(job)

    monkeypatch.setattr(LocalExecutor, "run", run)
    plans = [Plan(tmp_path / f"run-{n}", make_config(**SETTINGS | {"threads": given}, seed=n)) for n in range(jobs)]
    run_all(plans, jobs, print)
    assert {job.command[-2:] for job in jobs_run} == {("--threads", str(threads))}
    share = str(max(1, cores // jobs))
    assert jobs_run[0].environment == {"OMP_NUM_THREADS": share, "OPENBLAS_NUM_THREADS": share}


def test_a_process_gets_its_variables(tmp_path: Path) -> None:
    code = "import os; print(os.environ['MINE'], os.environ['PYTHONSAFEPATH'])"
    job = Job(tmp_path, (sys.executable, "-c", code), tmp_path / "log", {"MINE": "here"})
    assert LocalExecutor().run(job, lambda: False) == 0
    assert job.log.read_text() == "here 1\n"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_a_process_keeps_to_the_cores_that_this_one_may_use(tmp_path: Path) -> None:
    before = os.sched_getaffinity(0)
    with ThreadPoolExecutor(1) as pool:
        core = min(before)

        def confined() -> None:
            os.sched_setaffinity(threading.get_native_id(), {core})
            assert LocalExecutor().threads(1) == LocalExecutor().at_a_time(5) == 1
            code = "from clrobot.envs.cores import usable_cores; print(usable_cores())"
            assert LocalExecutor().run(Job(tmp_path, (sys.executable, "-c", code), tmp_path / "log"), bool) == 0

        pool.submit(confined).result()
    assert (tmp_path / "log").read_text() == "1\n"


# Executors by name -------------------------------------------------------------------------------------------


def test_an_executor_says_what_installs_it(cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(make_executor("local"), LocalExecutor)
    monkeypatch.setitem(by_name.EXECUTORS, "moon", Kind("no.module", "no_such_package", "moon"))
    (tmp_path / "config.yaml").write_text(dump_config(make_config(**SETTINGS)))
    assert cli("study", "a.yaml", "--on", "moon").err == (
        "clrobot: --on moon needs no_such_package, which is not installed; pip install 'clrobot[moon]'\n"
    )
