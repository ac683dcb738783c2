"""A study on a real Slurm, which preempts, requeues and refuses, and loses its node's daemon."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

import pytest
from support.clusters import begun, one_after_another, plans, snapshots, studying, wait_until, write_study
from support.outcomes import outcome
from support.slurm import Cluster, cluster

from clrobot.errors import UserError
from clrobot.studies.executors.by_name import make_executor
from clrobot.studies.executors.executor import Executor, Job
from clrobot.studies.executors.settings import SlurmSettings
from clrobot.studies.executors.there import STOPPED

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(400)]
MODULE = "clrobot.studies.executors.slurm"  # which needs submitit
LOW = ("--on", "slurm", "--slurm.partition", "low")


@pytest.fixture(scope="module")
def slurm() -> Iterator[Cluster]:
    """One Slurm for all of these tests; a socket's path is short, so it lies in no folder of pytest's."""
    folder = Path(tempfile.mkdtemp(prefix="clrobot-slurm-"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
        with cluster(folder) as found:
            yield found
    shutil.rmtree(folder, ignore_errors=True)


def executor(**settings: object) -> Executor:
    return make_executor("slurm", slurm=SlurmSettings(**settings))


def job(folder: Path, code: str) -> Job:
    return Job(folder / "run", (sys.executable, "-c", code), folder / "run.log", {})


def test_a_study_that_is_preempted_and_loses_its_node_ends_with_the_same_bits(slurm: Cluster, tmp_path: Path) -> None:
    file, out = write_study(tmp_path), tmp_path / "out"
    with studying(file, out, *LOW, log=tmp_path / "log") as study:
        for times in (1, 2):
            before = snapshots(out)
            wait_until(lambda before=before: snapshots(out) - before, study)  # a training is under way
            slurm.preempt()
            wait_until(lambda times=times: (tmp_path / "log").read_text().count("\nagain ") >= times, study)
        before = snapshots(out)
        wait_until(lambda: snapshots(out) - before, study)
        slurm.kill_node()
        slurm.start_node()
        # As at a node's failure, what runs is killed, and Slurm itself starts the same job again.
        wait_until(lambda: "RUNNING" in slurm.states().values(), study)
        running = next(number for number, state in slurm.states().items() if state == "RUNNING")
        slurm.ask("scontrol", "requeue", running)
        assert study.wait(300) == 0, (tmp_path / "log").read_text()
    assert f"Requeuing JobId={running}" in slurm.log, slurm.log
    whole = one_after_another(file, tmp_path / "whole")
    assert len(whole) == 6
    assert {planned.folder.name for planned in plans(file, out)} == set(whole)
    for name, expected in whole.items():
        assert outcome(out / name) == expected, name
    assert list(out.glob("*.slurm")) == [], "what submitit wrote is gone with the last job"


def test_a_study_that_is_stopped_takes_its_jobs_along_and_one_that_is_killed_finds_them(
    slurm: Cluster, tmp_path: Path
) -> None:
    file, out = write_study(tmp_path, "{finetune: {}}"), tmp_path / "out"
    with studying(file, out, *LOW, log=tmp_path / "log") as study:
        wait_until(lambda: len(begun(out)) == 2, study)
        study.send_signal(signal.SIGINT)
        assert study.wait(60) == 130
    assert set(slurm.states().values()) <= {"COMPLETING"}
    assert "stopped; the same command goes on from there" in (tmp_path / "log").read_text()
    for name in begun(out):
        assert "clrobot: stopped in stage" in (out / f"{name}.log").read_text()
    with studying(file, out, *LOW, log=tmp_path / "log") as study:
        before = snapshots(out)
        wait_until(lambda: snapshots(out) - before, study)
        study.kill()
    assert "RUNNING" in slurm.states().values(), "Slurm's jobs go on"
    with studying(file, out, *LOW, log=tmp_path / "log") as study:
        assert study.wait(300) == 0, (tmp_path / "log").read_text()
    for name, expected in one_after_another(file, tmp_path / "whole").items():
        assert outcome(out / name) == expected, name


def test_a_job_that_slurm_requeues_goes_on(slurm: Cluster, tmp_path: Path) -> None:
    """Killed without a word, it is started again as it was submitted."""
    began = tmp_path / "began"
    code = f"import time, pathlib; b = pathlib.Path({str(began)!r})\nif not b.exists(): b.touch(), time.sleep(300)"
    told: list[str] = []

    def requeue_it() -> bool:
        if not told and began.exists():
            (number,) = slurm.states()
            slurm.ask("scancel", "--signal=STOP", "--full", number)  # it cannot even listen
            told.append(slurm.ask("scontrol", "requeue", number))
        return False

    there = job(tmp_path, code)
    assert executor(partition="low").run(there, requeue_it) == 0
    assert told == [""]


def test_what_a_user_s_shell_says_of_slurm_hides_and_renames_no_job(
    slurm: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SQUEUE_STATES", "R")  # for people: what waits is not shown
    monkeypatch.setenv("SBATCH_JOB_NAME", "mine")  # which sbatch puts above a script's own
    monkeypatch.setenv("SBATCH_PARTITION", "nowhere")
    there = job(tmp_path, "import os; print(os.environ['SLURM_JOB_NAME'], os.environ['SLURM_JOB_PARTITION'])")
    assert executor(partition="low", extra=("begin=now+12",)).run(there, lambda: False) == 0
    name, partition = there.log.read_text().split()
    assert name.startswith("clrobot-")
    assert partition == "low"
    assert os.environ["SBATCH_JOB_NAME"] == "mine"


def test_a_result_that_a_disk_shows_late_is_the_job_s(
    slurm: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS remembers for a minute that there was no such file, unless the folder has changed."""
    module = import_module(MODULE)
    found = module._is_there
    monkeypatch.setattr(module, "_is_there", lambda path, *, afresh: afresh and found(path, afresh=True))
    there = job(tmp_path, "import sys; sys.exit(3)")
    assert executor(partition="low").run(there, lambda: False) == 3
    assert "Slurm ended" not in there.log.read_text()


def test_a_result_that_never_comes_of_a_job_that_ended_well_is_no_failure(
    slurm: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = import_module(MODULE)
    monkeypatch.setattr(module, "_is_there", lambda path, *, afresh: False)
    monkeypatch.setattr(module, "_LATE", 3.0)
    there = job(tmp_path, "print('well')")
    assert executor(partition="low").run(there, lambda: False) == STOPPED
    assert "COMPLETED" in there.log.read_text()


def test_a_cancel_that_slurm_does_not_hear_is_said_again_and_a_third_request_waits_no_more(
    slurm: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = import_module(MODULE)
    began, ask = tmp_path / "began", module._ask
    unheard = ["once"]

    def busy(*words: str) -> str | None:
        return None if words[0] == "scancel" and unheard and unheard.pop() else ask(*words)

    monkeypatch.setattr(module, "_ask", busy)
    code = f"import time, pathlib; pathlib.Path({str(began)!r}).touch(); time.sleep(300)"
    assert executor(partition="low").run(job(tmp_path, code), began.exists) == STOPPED
    assert unheard == []
    began.unlink()
    monkeypatch.setattr(module, "_ask", lambda *words: None if words[0] == "scancel" else ask(*words))
    left = executor(partition="low")

    def three_times() -> bool:
        if began.exists():
            left.stop(3)
        return began.exists()

    there = job(tmp_path, code)
    assert left.run(there, three_times) == STOPPED
    assert "the study waits no more for job" in there.log.read_text()
    for number in slurm.states():
        slurm.ask("scancel", number)


def test_what_a_job_s_process_ends_with_is_what_it_returns(slurm: Cluster, tmp_path: Path) -> None:
    there = job(tmp_path, "import os, sys; print(os.environ['SLURM_JOB_PARTITION'], flush=True); sys.exit(3)")
    assert executor(partition="high", extra=("nice=5", "comment=two words"), cpus=2).run(there, lambda: False) == 3
    assert there.log.read_text() == "high\n"


@pytest.mark.usefixtures("slurm")
def test_a_result_is_read_from_no_folder_that_lay_there_before(tmp_path: Path) -> None:
    """It is a pickle, which can execute anything."""
    there, theirs = job(tmp_path, ""), tmp_path / "theirs"
    theirs.mkdir()
    there.folder.with_name("run.slurm").symlink_to(theirs)
    modes: set[int] = set()

    def look() -> bool:
        modes.update(path.lstat().st_mode & 0o777 for path in tmp_path.glob("run.*.slurm"))
        return False

    assert executor(partition="high").run(there, look) == 0
    assert modes == {0o700}
    assert list(theirs.iterdir()) == []
    assert list(tmp_path.glob("run.*.slurm")) == [], "it is gone with the job"


@pytest.mark.parametrize("path", [None, ":", ":/opt/mine it's"])
@pytest.mark.usefixtures("slurm")
def test_nothing_that_lies_in_the_current_folder_is_executed(
    path: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if path is not None:
        monkeypatch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", "") + path)
    for name in ("cloudpickle", "submitit", "clrobot", "yaml"):
        (tmp_path / f"{name}.py").write_text(f"import pathlib; pathlib.Path({str(tmp_path / 'ran')!r}).touch()")
    monkeypatch.chdir(tmp_path)
    assert executor(partition="high").run(job(tmp_path, ""), lambda: False) == 0
    assert not (tmp_path / "ran").exists()


def test_a_job_that_somebody_cancels_is_taken_away(slurm: Cluster, tmp_path: Path) -> None:
    """It is asked to save itself, as where its time is over."""
    began, told = tmp_path / "began", []
    code = f"import time, pathlib; pathlib.Path({str(began)!r}).touch(); time.sleep(300)"

    def cancel_it() -> bool:
        if not told and began.exists():
            told.append(slurm.ask("scancel", *slurm.states()))
        return False

    assert executor().run(job(tmp_path, code), cancel_it) == STOPPED
    assert told == [""]


@pytest.mark.usefixtures("slurm")
def test_a_job_that_is_killed_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As by the kernel where a node's memory is full: nothing is left that could say how it ended."""
    monkeypatch.setattr("clrobot.studies.executors.slurm.LOOK", 0.5)
    code = "import os, signal, time; os.kill(os.getppid(), signal.SIGKILL); time.sleep(300)"
    assert executor().run(job(tmp_path, code), lambda: False) == 1
    assert "Slurm ended job" in (tmp_path / "run.log").read_text()


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"partition": "none"}, "Invalid partition name specified"),
        ({"extra": ("time=soon",)}, "Invalid --time specification"),
        ({"extra": ("no-such-thing=1",)}, "unrecognized option"),
    ],
)
@pytest.mark.usefixtures("slurm")
def test_what_slurm_refuses_is_one_sentence(
    settings: dict[str, object], reason: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match=rf"--on slurm: sbatch refuses a job \(.*{reason}.*\); see `sinfo`"):
        executor(**settings).run(job(tmp_path, ""), lambda: False)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def refusing(answers: list[str], monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let sbatch answer so, one after another and the last for ever; return the times at which it is asked."""
    from submitit.core.utils import FailedJobError  # the module is read where there is none

    asked: list[float] = []

    def submit(*_: object) -> None:
        asked.append(time.monotonic())
        raise FailedJobError(f"sbatch: error: {answers[min(len(asked), len(answers)) - 1]}")

    monkeypatch.setattr("submitit.SlurmExecutor.submit", submit)
    monkeypatch.setattr("clrobot.studies.executors.slurm.LOOK", 0.1)
    monkeypatch.setattr("clrobot.studies.executors.slurm._WAIT", 0.01)
    return asked


POLICY = "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's"


@pytest.mark.parametrize("limit", ["QOSMaxSubmitJobPerUserLimit", "AssocMaxSubmitJobLimit", "QOSGrpSubmitJobsLimit"])
def test_a_job_beyond_a_limit_on_their_number_waits_and_the_study_says_so_once(
    limit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    asked = refusing([f"{limit}\n{POLICY} size and/or time limits)"], monkeypatch)
    full, end = executor(), time.monotonic() + 1.0
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(full.run, job(tmp_path, ""), lambda: time.monotonic() > end) for _ in range(8)]
        assert [future.result() for future in waiting] == [STOPPED] * 8
    assert 2 <= len(asked) <= 5, "0, 0.1, 0.3 and 0.7 s after the first, whichever run it was"
    said = capfd.readouterr().err
    assert said.count(f"Slurm takes no more jobs at the moment ({limit}); ") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("limit", ["QOSMaxWallDurationPerJobLimit", "AssocMaxCpuPerJobLimit", "PartitionTimeLimit"])
def test_a_job_that_may_never_run_is_refused_at_once_though_others_were_taken(
    limit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = refusing([f"{limit}\n{POLICY} size and/or time limits)"], monkeypatch)
    took_others = executor()
    monkeypatch.setattr(took_others, "_submitted", True)
    with pytest.raises(UserError, match="sbatch refuses a job"):
        took_others.run(job(tmp_path, ""), lambda: False)
    assert len(asked) == 1


def test_without_sbatch_it_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.path.dirname(sys.executable))
    with pytest.raises(UserError, match="--on slurm finds no sbatch here"):
        executor()
