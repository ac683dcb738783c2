"""What a run holds is never deleted by going on with it; what was written last is never pruned."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch as th
from support.models import forge_manifest
from support.outcomes import StopAt, Warned, WholeRuns, outcome, stopped
from support.trainings import settings

import clrobot.manifests
import clrobot.training.training
from clrobot.agents.generators import generator_states, set_generator_states
from clrobot.errors import UserError
from clrobot.experiment.config import make_config
from clrobot.report.page import write_report
from clrobot.runs.folder import RunFolder
from clrobot.runs.snapshot import Snapshot, set_aside, snapshots
from clrobot.training.resuming import open_training, resume
from clrobot.training.stopping import Stopped
from clrobot.training.training import Training

pytestmark = pytest.mark.usefixtures("quick_training")


def files(run: Path) -> dict[str, bytes]:
    return {str(path.relative_to(run)): path.read_bytes() for path in sorted(run.rglob("*")) if path.is_file()}


def fails(failure: Exception) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> None:
        raise failure

    return fail


def damage_metrics(run: Path) -> None:
    (run / "metrics.json").write_text("{")
    forge_manifest(run)


# Finished work ---------------------------------------------------------------------------------------------


def test_a_finished_run_with_damaged_metrics_is_left_as_it_is(whole_runs: WholeRuns, tmp_path: Path) -> None:
    run = Path(shutil.copytree(whole_runs["finetune"].run.path, tmp_path / "run"))
    (run / "notes.txt").write_text("mine")
    damage_metrics(run)
    before = files(run)
    with pytest.raises(UserError, match=r"is left as it is: .* and .*metrics.json is damaged"):
        resume(run)
    assert files(run) == before
    RunFolder(run).lock()  # it was let go of
    RunFolder(run).unlock()


def test_an_unfinished_run_without_a_whole_snapshot_keeps_its_stages(whole_runs: WholeRuns, tmp_path: Path) -> None:
    run = stopped(tmp_path / "run", "ewc", boundary=9)
    for folder in snapshots(run / "resume"):
        (folder / "progress.json").unlink()
    damage_metrics(run)
    before = files(run)
    with pytest.raises(UserError, match="is left as it is"):
        resume(run)
    assert files(run) == before


def test_moments_that_no_checkpoint_keeps_stop_a_resume_and_delete_nothing(tmp_path: Path) -> None:
    run = stopped(tmp_path / "run", "finetune", boundary=9, plasticity={"reset_optimizer": False})
    for folder in snapshots(run / "resume"):
        (folder / "progress.json").unlink()
    before = files(run)
    with pytest.raises(UserError, match="no-reset-optimizer no checkpoint holds"):
        resume(run)
    assert files(run) == before


def test_a_run_stopped_before_its_first_stage_was_over_starts_anew_and_keeps_what_is_the_user_s(
    whole_runs: WholeRuns, tmp_path: Path
) -> None:
    run = stopped(tmp_path / "run", "finetune", boundary=2)
    shutil.rmtree(run / "resume")
    (run / "notes.txt").write_text("mine")
    observer = Warned()
    resume(run, observer)
    assert "starts anew" in observer.warnings[0]
    assert (run / "notes.txt").read_text() == "mine"
    assert outcome(run) == whole_runs["finetune"].outcome


@pytest.mark.parametrize("boundary", [2, 9], ids=["in the first stage", "in the second"])
def test_snapshots_that_cannot_be_put_back_are_kept_until_the_run_is_finished(
    boundary: int, whole_runs: WholeRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may be whole: of another machine, or of another version of a library."""
    run = stopped(tmp_path / "run", "ewc", boundary=boundary)
    before = {path.name: files(path) for path in snapshots(run / "resume")}
    assert before
    with monkeypatch.context() as patched:
        patched.setattr(Snapshot, "restore_generators", fails(RuntimeError("of other states")))
        observer = Warned()
        training = open_training(run, observer)
    assert observer.warnings[-1].endswith(f"and keeps those in {run}/resume/passed-over until it is finished")
    kept = run / "resume" / "passed-over"
    assert {path.name: files(path) for path in kept.iterdir()} == before
    for folder in kept.iterdir():  # passed over once more, such as on a third machine
        shutil.copytree(folder, run / "resume" / folder.name)
    assert set_aside(run / "resume") == kept
    assert {path.name: files(path) for path in kept.iterdir() if path.name in before} == before
    assert len(list(kept.iterdir())) == 2 * len(before)
    training.run()
    assert not (run / "resume").exists()
    assert outcome(run) == whole_runs["ewc"].outcome


DISK = OSError(errno.EIO, "Input/output error")  # in the middle of a file it names none
NO_MEMORY = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
PASSING: dict[str, tuple[str, Exception]] = {
    "no memory for a tensor": ("clrobot.runs.snapshot.Snapshot.restore_model", NO_MEMORY),
    "no room on the card": ("clrobot.runs.snapshot.Snapshot.restore_model", th.OutOfMemoryError("no room")),
    "no memory for a file": ("clrobot.runs.snapshot.load_file", MemoryError()),
    "a disk that does not answer": ("clrobot.runs.snapshot.load_file", DISK),
    "nor for checksums": ("clrobot.manifests.checksum", DISK),
}


@pytest.mark.parametrize("boundary", [2, 9], ids=["in the first stage", "in the second"])
@pytest.mark.parametrize("what", PASSING)
def test_a_machine_that_fails_for_a_moment_changes_nothing(
    what: str, boundary: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = stopped(tmp_path / "run", "ewc", boundary=boundary)
    before = files(run)
    where, failure = PASSING[what]
    monkeypatch.setattr(where, fails(failure))
    with pytest.raises(UserError, match="try again later") as refused:
        resume(run)
    assert str(run / "resume") in str(refused.value)
    assert files(run) == before


def test_a_run_of_the_processor_goes_on_on_a_card_with_the_card_s_own_generator() -> None:
    states = generator_states(th.device("cpu"))
    th.manual_seed(5)
    set_generator_states(states, th.device("cuda"))  # no card is asked for anything
    assert th.equal(th.get_rng_state(), states["torch"])


def test_scores_that_were_added_to_a_finished_run_are_no_results(whole_runs: WholeRuns, tmp_path: Path) -> None:
    run = RunFolder.open(Path(shutil.copytree(whole_runs["finetune"].run.path, tmp_path / "run")))
    last = run.scores_file.read_text().splitlines()[-1]
    with run.scores_file.open("a") as file:
        file.write(last + "\n")
    with pytest.raises(UserError, match=r"scores.jsonl has more than its finished training wrote; restore the file"):
        run.read_metrics()


def test_metrics_that_are_being_written_are_not_damaged(
    whole_runs: WholeRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stage's end takes the record away, writes the metrics, and then their record."""
    run = RunFolder.open(Path(shutil.copytree(whole_runs["finetune"].run.path, tmp_path / "run")))
    checked, writes = clrobot.manifests._checksum_of_start, [run.path / "manifest.json"]

    def meanwhile(path: Path, size: int) -> str | None:
        if writes:
            writes.pop().unlink()
            (run.path / "metrics.json").write_text((run.path / "metrics.json").read_text() + " ")
        return checked(path, size)

    monkeypatch.setattr(clrobot.manifests, "_checksum_of_start", meanwhile)
    assert run.read_metrics().stages_done == 3


def test_a_page_does_not_make_an_unfinished_run_finished(whole_runs: WholeRuns, tmp_path: Path) -> None:
    run = stopped(tmp_path / "run", "ewc", boundary=9)
    write_report(run)
    shutil.rmtree(run / "resume")
    assert not RunFolder.open(run).finished
    resume(run, Warned())
    assert outcome(run) == whole_runs["ewc"].outcome


# Snapshots -------------------------------------------------------------------------------------------------


def test_damaged_snapshots_of_later_steps_and_other_folders_prune_no_new_one(
    whole_runs: WholeRuns, tmp_path: Path
) -> None:
    run = stopped(tmp_path / "run", "ewc", boundary=9)
    newest = snapshots(run / "resume")[0]
    for name in ("step_000000999998", "step_000000999999"):
        shutil.copytree(newest, run / "resume" / name)
        (run / "resume" / name / "progress.json").unlink()
    (run / "resume" / "step_zzz").mkdir()
    observer = StopAt(2)
    observer.training = open_training(run, observer)
    with pytest.raises(Stopped):
        observer.training.run()
    left = snapshots(run / "resume")
    assert left[0].name > newest.name
    assert len(left) == 2
    assert "step_000000999999" not in [path.name for path in left]
    resume(run, Warned())
    assert outcome(run) == whole_runs["ewc"].outcome


def test_the_newest_snapshot_is_the_one_of_the_latest_step(tmp_path: Path) -> None:
    for name in ("step_000000000064", "step_1000000000000", "step_999999999999", "step_64", "step_zzz", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "step_000000000001").write_text("a file")
    assert [path.name for path in snapshots(tmp_path)] == [
        "step_1000000000000",
        "step_999999999999",
        "step_000000000064",
    ]


# Locks -----------------------------------------------------------------------------------------------------


def test_a_training_that_cannot_be_made_lets_go_of_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = stopped(tmp_path / "run", "ewc", boundary=9)

    def fails(*_: object) -> None:
        raise UserError("no memory for it")

    with monkeypatch.context() as patch:
        patch.setattr(clrobot.training.training, "Evaluator", fails)
        with pytest.raises(UserError, match="no memory"):
            open_training(run, Warned())
        with pytest.raises(UserError, match="no memory"):
            Training.begin(make_config(**settings("ewc")), tmp_path / "other", Warned())
    for folder in (run, tmp_path / "other"):
        RunFolder(folder).lock()
        RunFolder(folder).unlock()
