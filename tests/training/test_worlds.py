"""Trainings through other people's worlds: exact resume, what fails, what nothing tells, and one head for all."""

from __future__ import annotations

import json
import multiprocessing
import random
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import point
from support.foreign import MIXED, POINT, SAC, resume_mixed, settings, shortly, train_mixed
from support.outcomes import Warned, outcome, start_states_stay, stopped_with
from support.trainings import PRELOADED, quickly

from clrobot.envs.worlds.gymnasium_kind import GymnasiumKind
from clrobot.errors import UserError
from clrobot.experiment.config import make_config
from clrobot.experiment.machine import Machine
from clrobot.runs.checkpoint import load_agent
from clrobot.runs.folder import RunFolder
from clrobot.runs.method_files import load_state
from clrobot.runs.references import missing_references
from clrobot.runs.snapshot import Snapshot, snapshots
from clrobot.training.cuts import Cuts
from clrobot.training.observer import Silent
from clrobot.training.race import Race
from clrobot.training.resuming import resume
from clrobot.training.stopping import Stopped, StopSwitch
from clrobot.training.training import Training, train

KILLS = 4


@pytest.fixture(autouse=True)
def here(own_registries: None) -> Iterator[None]:
    with shortly(), quickly():
        yield


def trained(folder: Path, **changes: Any) -> RunFolder:
    return train(make_config(**settings(**changes)), folder, Warned())


def stopped(folder: Path, boundary: int, **changes: Any) -> Path:
    return stopped_with(make_config(**settings(**changes)), folder, boundary)


# Exact resume ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wholes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return {"folder": tmp_path_factory.mktemp("whole")}


def whole(wholes: dict[str, Any], name: str, **changes: Any) -> dict[str, Any]:
    """The outcome of a training that was never stopped."""
    if name not in wholes:
        wholes[name] = outcome(trained(wholes["folder"] / name, **changes).path)
    found: dict[str, Any] = wholes[name]
    return found


VARIANTS: dict[str, dict[str, Any]] = {
    "ewc": {},
    "distillation": {"method": "distillation"},
    "progressive": {"method": "progressive"},
    "multitask": {"method": "multitask"},
    "sac": {"algo": "sac", "sac": SAC},
    "one head": {"curriculum": MIXED | {"heads": "one"}},
    "a fixed scale": {"curriculum": MIXED | {"stages": [s | {"reward_scale": 0.1} for s in MIXED["stages"]]}},
}


@pytest.mark.parametrize(
    ("variant", "boundary"), [("ewc", 1), ("ewc", 6), *((variant, b) for variant in VARIANTS for b in (3, 12))]
)
def test_a_stopped_training_goes_on_with_the_same_bits(
    variant: str, boundary: int, wholes: dict[str, Any], tmp_path: Path
) -> None:
    expected = whole(wholes, variant, **VARIANTS[variant])
    run = stopped(tmp_path / "run", boundary, **VARIANTS[variant])
    resume(run)
    assert outcome(run) == expected


def test_snapshots_come_by_steps_and_a_stop_adds_none(tmp_path: Path) -> None:
    """The stage has boundaries every 64 steps, and a snapshot is due every 128."""
    run = stopped(tmp_path / "run", 3)  # asked at step 128 of the first stage, and heard at 192
    kept = [Snapshot(folder, RunFolder.open(run).config).progress for folder in snapshots(run / "resume")]
    assert [(progress.step, progress.cut) for progress in kept] == [(128, 1), (0, 0)]


@pytest.mark.parametrize(
    ("step", "start", "said"), [(192, 0, " (saved up to 128)"), (128, 0, ""), (300, 200, " (saved up to 200)")]
)
def test_a_stop_says_from_where_it_goes_on(step: int, start: int, said: str, tmp_path: Path) -> None:
    """Nothing was saved here, and the step that a training is at is none from which it goes on."""
    for saved in (0, 128):
        (tmp_path / "resume" / f"step_{saved:012d}").mkdir(parents=True)
    switch = StopSwitch(tmp_path, Silent(), asked=True)
    with pytest.raises(Stopped, match=rf"^stopped in stage 2 at step {step}{re.escape(said)}; go on with: "):
        switch.check(2, step, start)


@pytest.mark.parametrize("boundary", [5, 3])
def test_an_older_snapshot_leads_to_the_same_bits(boundary: int, wholes: dict[str, Any], tmp_path: Path) -> None:
    """From the cut before the newest, and from the stage's start."""
    run = stopped(tmp_path / "run", boundary)
    newest, older = snapshots(run / "resume")
    before, after = (Snapshot(folder, RunFolder.open(run).config).progress.cut for folder in (older, newest))
    assert before == after - 1
    (newest / "weights.safetensors").write_bytes(b"")
    observer = Warned()
    resume(run, observer)
    assert any(warning.endswith("an older one is used") for warning in observer.warnings), observer.warnings
    assert outcome(run) == whole(wholes, "ewc")


def test_a_cut_begins_anew_from_a_seed_of_run_stage_and_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int, int]] = []
    cut = Cuts.cut

    def counting(self: Cuts, model: Any, step: int) -> None:
        cut(self, model, step)
        assert model._last_episode_starts.all()
        np.testing.assert_array_equal(model._last_obs[:, -2], 1.0 if self._plan.stage == 3 else 0.0)
        told.append((self._plan.stage, self.number))

    monkeypatch.setattr(Cuts, "cut", counting)
    trained(tmp_path / "run")
    assert told == [(1, 1), (1, 2), (3, 1), (3, 2)], "the native stage is not cut"


def test_another_interval_is_another_run(wholes: dict[str, Any], tmp_path: Path) -> None:
    """Otherwise these tests would pass without any cut."""
    other = outcome(trained(tmp_path / "run", checkpoint={"steps": 192}).path)
    assert other["stage_01/weights.safetensors"] != whole(wholes, "ewc")["stage_01/weights.safetensors"]


def test_no_snapshots_are_the_same_bits(wholes: dict[str, Any], tmp_path: Path) -> None:
    found = outcome(trained(tmp_path / "run", checkpoint={"steps": 128, "enabled": False}).path)
    expected = whole(wholes, "ewc")
    compared = [name for name in expected if name.endswith(("tensors", "jsonl"))] + ["metrics", "curves"]
    assert len(compared) > 8
    for name in compared:
        assert found[name] == expected[name], name


def test_resume_cannot_change_when_snapshots_are_taken(tmp_path: Path) -> None:
    run = stopped(tmp_path / "run", 3)
    with pytest.raises(UserError, match=r"--snapshot-seconds 5: this run's worlds begin anew .* every 128 steps"):
        resume(run, machine=Machine(snapshot_seconds=5.0))


@pytest.mark.slow
def test_a_training_killed_at_random_moments_ends_with_the_same_bits(wholes: dict[str, Any], tmp_path: Path) -> None:
    expected = whole(wholes, "ewc")
    context, rng = multiprocessing.get_context("forkserver"), random.Random(0)
    context.set_forkserver_preload(PRELOADED)
    kills = 0
    for n in range(20):
        folder, target = tmp_path / f"run-{n}", train_mixed
        while kills < KILLS:
            process = context.Process(target=target, args=(folder,))
            process.start()
            deadline = time.monotonic() + 60
            while not (folder / "scores.jsonl").exists() and process.is_alive() and time.monotonic() < deadline:
                time.sleep(0.01)
            process.join(rng.uniform(0.0, 0.6))
            if process.exitcode is None:
                process.kill()
                process.join()
                kills += process.exitcode == -signal.SIGKILL
            if RunFolder.open(folder).finished:
                break
            target = resume_mixed
        if not RunFolder.open(folder).finished:
            resume(folder)
        assert outcome(folder) == expected, f"run {n}"
        if kills >= KILLS:
            break
    assert kills >= KILLS


# What fails ------------------------------------------------------------------------------------------------


def test_a_world_that_fails_in_stage_3_loses_nothing_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wholes: dict[str, Any]
) -> None:
    with pytest.raises(UserError) as caught:
        train(make_config(**settings()), tmp_path / "run", Breaking(monkeypatch))
    sentence = str(caught.value)
    assert sentence == (
        f"{POINT} fails in step (ZeroDivisionError: a wheel came off); mend the environment, then go on with: "
        f"clrobot resume {tmp_path / 'run'}"
    )
    run = RunFolder.open(tmp_path / "run")
    assert run.stages() == [0, 1, 2]
    assert run.read_metrics().stages_done == 2
    monkeypatch.setattr(point.Point, "broken", False)
    resume(run.path)
    assert outcome(run.path) == whole(wholes, "ewc")


class Breaking(Silent):
    """Breaks the environment when the third stage begins."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch

    def stage_started(self, stage: int, task: str, steps: int, done: int = 0) -> None:
        self._patch.setattr(point.Point, "broken", stage == 3)


def test_nothing_is_made_where_a_world_cannot_be_used(tmp_path: Path) -> None:
    bad = MIXED | {"stages": [*MIXED["stages"], {"task": POINT, "steps": 64, "kwargs": {"fault": "unseeded"}}]}
    with pytest.raises(UserError, match="ignores its seed"):
        trained(tmp_path / "run", curriculum=bad)
    assert not (tmp_path / "run").exists()


# What nothing tells ----------------------------------------------------------------------------------------


def test_without_success_the_return_is_measured(tmp_path: Path) -> None:
    silent = {"task": POINT, "steps": 128, "kwargs": {"tells": None}}
    observer = Warned()
    run = train(
        make_config(**settings(curriculum={"name": "silent", "stages": [silent, silent]})), tmp_path / "run", observer
    )
    lines = [json.loads(line) for line in run.scores_file.read_text().splitlines()]
    assert {line["success_any"] for line in lines} == {None}
    assert all(line["return_mean"] < 0 for line in lines)
    metrics = run.read_metrics()
    assert (metrics.stages_done, metrics.average_success, metrics.per_task[0].auc) == (2, None, None)
    assert run.finished
    told = [warning for warning in observer.warnings if "nothing tells success" in warning]
    assert told == ["nothing tells success in Point-v0: its return is measured in its place"]


# Heads -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["ewc", "distillation", "replay", "multitask"])
def test_one_head_for_all_stages(method: str, tmp_path: Path) -> None:
    run = trained(tmp_path / "run", method=method, curriculum=MIXED | {"heads": "one"})
    agent = load_agent(run)
    assert agent.policy.slots == 1
    metrics = run.read_metrics()
    assert len(metrics.per_task) == 3
    assert metrics.success_matrix[-1].count(None) == 0
    assert missing_references([run]) == {}
    assert metrics.forward_transfer is None
    if method == "ewc":
        assert any("heads.0" in name for name in load_state(run.checkpoint(3)))


def test_a_learner_is_made_with_one_environment_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    make = GymnasiumKind.make

    def counting(self: GymnasiumKind, spec: Any, num_envs: int, **kwargs: Any) -> Any:
        made.append(num_envs)
        return make(self, spec, num_envs, **kwargs)

    monkeypatch.setattr(GymnasiumKind, "make", counting)
    training = Training.begin(make_config(**settings()), tmp_path / "run", Silent())
    training.folder.unlock()
    assert training.learner.model.n_envs == 4
    assert made[0] == 1
    assert set(made[1:]) == {2}, "those of the evaluation"


# Measuring -------------------------------------------------------------------------------------------------


def test_evaluation_starts_from_the_same_states_every_time(tmp_path: Path) -> None:
    start_states_stay(trained(tmp_path / "run"))


# Warm starts -----------------------------------------------------------------------------------------------


def test_a_race_in_others_worlds_leaves_no_trace_but_its_choice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scale of their rewards, which a reset leaves as it was, is put back too."""
    start = {"choose": "race", "trial_envs": 2, "trial_steps": 5, "race_share": 0.1}
    won: list[int] = []
    winner = Race.winner

    def noted(self: Race, *arguments: Any) -> int:
        won.append(winner(self, *arguments))
        return won[-1]

    monkeypatch.setattr(Race, "winner", noted)
    raced = trained(tmp_path / "raced", method="finetune", warm_start=start)
    assert len(won) == len(raced.config.curriculum.stages) - 1
    monkeypatch.setattr(Race, "winner", lambda self, *_: won[self._plan.slot - 1])
    told = trained(tmp_path / "told", method="finetune", warm_start=start)
    for stage in range(len(won) + 2):
        file = f"stage_{stage:02d}/weights.safetensors"
        assert (raced.path / file).read_bytes() == (told.path / file).read_bytes()
