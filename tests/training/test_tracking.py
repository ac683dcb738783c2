"""Experiment trackers: what each is told, and that none can hurt a training. The packages are stood in for."""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.made_up_runs import score
from support.trainings import TINY, quickly
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from clrobot.errors import UserError
from clrobot.experiment.config import make_config
from clrobot.experiment.machine import Machine
from clrobot.runs.folder import RunFolder
from clrobot.training.observer import Silent
from clrobot.training.resuming import resume
from clrobot.training.stopping import Stopped
from clrobot.training.tracking import Tracking
from clrobot.training.training import Training, train

pytestmark = pytest.mark.usefixtures("quick_training")
TRACKERS = ("wandb", "mlflow", "trackio")


class Book:
    """What the stand-ins write down: runs begun, values with their steps, and how each run ended."""

    def __init__(self) -> None:
        self.begun: list[dict[str, Any]] = []
        self.values: list[tuple[str, float, int]] = []
        self.ended: list[bool] = []  # whether it had failed
        self.breaks: set[str] = set()  # the verbs that raise

    def do(self, verb: str) -> None:
        if verb in self.breaks:
            raise RuntimeError(f"the {verb}\nwent wrong")

    def series(self, prefix: str) -> dict[str, list[tuple[int, float]]]:
        found: dict[str, list[tuple[int, float]]] = {}
        for name, value, step in self.values:
            if name.startswith(prefix):
                found.setdefault(name, []).append((step, value))
        return found


def _run_object(book: Book) -> Any:
    class Run:
        step = max((step for _, _, step in book.values), default=0)  # of an earlier run that it goes on with

        def log(self, values: dict[str, float], step: int) -> None:
            book.do("log")
            self.step = max(self.step, step)
            book.values += [(name, value, step) for name, value in values.items()]

        def finish(self, exit_code: int = 0) -> None:
            book.do("finish")
            book.ended.append(bool(exit_code))

    return Run()


def _module(name: str, **content: Any) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(content)
    return module


def _stand_in(name: str, book: Book) -> dict[str, ModuleType]:
    """Modules with the calls that clrobot makes, as the packages have them."""

    def init(**words: Any) -> Any:
        book.do("init")
        book.begun.append(words)
        return _run_object(book)

    if name != "mlflow":
        return {name: _module(name, init=init, Settings=lambda **words: words)}

    class MlflowClient:
        def get_experiment_by_name(self, name: str) -> Any:
            return SimpleNamespace(experiment_id="7") if book.begun else None

        def create_experiment(self, name: str) -> str:
            assert name == "clrobot"
            return "7"

        def create_run(self, experiment_id: str, run_name: str, tags: dict[str, str]) -> Any:
            book.do("init")
            assert experiment_id == "7"
            book.begun.append({"id": f"run{len(book.begun)}", "name": run_name, **tags, "config": {}})
            return SimpleNamespace(info=SimpleNamespace(run_id=book.begun[-1]["id"]))

        def update_run(self, run_id: str, status: str) -> None:
            book.do("update")
            assert status == "RUNNING"
            book.begun.append({"id": run_id})

        def log_batch(self, run_id: str, metrics: Any = (), params: Any = ()) -> None:
            assert len(params) <= 100
            book.begun[-1].setdefault("config", {}).update(params)
            book.do("log" if metrics else "init")
            assert all(abs(now / 1000 - 1e9) < 9e9 for _, _, now, _ in metrics)
            book.values += [(name, value, step) for name, value, _, step in metrics]

        def set_terminated(self, run_id: str, status: str) -> None:
            book.do("finish")
            book.ended.append({"FAILED": True, "FINISHED": False}[status])

    entities = _module("mlflow.entities", Metric=lambda *a: a, Param=lambda *a: a)
    return {name: _module(name, MlflowClient=MlflowClient), "mlflow.entities": entities}


class Heard(Silent):
    """An observer that keeps the warnings, and may stop the training."""

    def __init__(self, stop_at: int = -1) -> None:
        self.warnings: list[str] = []
        self.left = stop_at
        self.training: Training | None = None

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def advanced(self, steps: int, success: float | None) -> None:
        self.left -= 1
        if self.left == 0 and self.training is not None:
            self.training.stop.asked = True


def config(tracker: str) -> Any:
    stages = [{"task": "reach", "steps": 128}, {"task": "button-press", "steps": 64}]
    curriculum = {"name": "pair", "stages": stages}
    return make_config(**TINY | {"curriculum": curriculum, "steps": None, "method": "finetune", "tracker": tracker})


@pytest.fixture
def book(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Book:
    """The book of a stand-in for the test's tracker."""
    book = Book()
    for name, module in _stand_in(request.getfixturevalue("tracker"), book).items():
        monkeypatch.setitem(sys.modules, name, module)
    return book


@pytest.fixture(scope="module")
def untold(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same training without a tracker."""
    with quickly():
        return train(config("none"), tmp_path_factory.mktemp("untold") / "run").path


def same_run(run: Path, untold: Path) -> bool:
    names = ["scores.jsonl", *(f"stage_{k:02d}/weights.safetensors" for k in range(3))]
    return all((run / name).read_bytes() == (untold / name).read_bytes() for name in names)


# One training each ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tracker", ["wandb"])
def test_a_tracker_hears_all_of_a_training_and_changes_nothing(
    tracker: str, book: Book, untold: Path, tmp_path: Path
) -> None:
    run = train(config(tracker), tmp_path / "mine", Heard()).path
    assert same_run(run, untold)
    # Every score; but of a curve's first point, whose step has a score of the slot already.
    scores = [json.loads(line) for line in (run / "scores.jsonl").read_text().splitlines()]
    slots = ("reach", "button-press")
    assert len(scores) == 2 + (1 + 1 + 2) + (
        1 + 2
    )  # stage 0; two points of the first stage's curve, and its end; the second's first point, and its end
    seen = set()
    scores = [s for s in scores if (at := (s["step"], s["slot"])) not in seen and not seen.add(at)]
    for key in ("success_any", "success_final", "return_mean"):
        expected: dict[str, list[tuple[int, float]]] = {}
        for line in scores:
            expected.setdefault(f"{key}/{slots[line['slot'] - 1]}", []).append((line["step"], line[key]))
        assert book.series(key) == expected
    # The headline metrics after each stage; the last as the run has them, without what is undefined.
    metrics = json.loads((run / "metrics.json").read_text())
    told = book.series("metrics/")
    assert [step for step, _ in told["metrics/average_success"]] == [128, 192]
    assert told["metrics/average_success"][-1][1] == metrics["average_success"]
    assert metrics["forward_transfer"] is None
    assert "metrics/forward_transfer" not in told
    # What TensorBoard gets.
    events = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    assert book.series("evaluation/") == {}  # the tracker has them under the names above
    for tag in events.Tags()["scalars"]:
        if tag.startswith("evaluation/"):
            continue
        board = [(event.step, event.value) for event in events.Scalars(tag)]
        heard = book.series(tag)[tag]
        assert [step for step, _ in heard] == [step for step, _ in board], tag
        np.testing.assert_allclose([v for _, v in heard], [v for _, v in board], rtol=1e-6)
    assert "train/loss" in events.Tags()["scalars"]
    assert len(book.begun) == 1
    assert book.ended == [False]


@pytest.mark.parametrize("tracker", ["mlflow"])
def test_a_stopped_training_has_failed_until_it_is_resumed(
    tracker: str, book: Book, untold: Path, tmp_path: Path
) -> None:
    observer = Heard(stop_at=2)
    observer.training = Training.begin(config(tracker), tmp_path / "run", observer)
    with pytest.raises(Stopped):
        observer.training.run()
    assert book.ended == [True]
    resume(tmp_path / "run", observer, Machine(tracker=tracker))
    assert same_run(tmp_path / "run", untold)
    assert book.ended == [True, False]
    assert [begun["id"] for begun in book.begun] == ["run0", "run0"]
    assert observer.warnings == []


@pytest.mark.parametrize("tracker", ["mlflow"])
def test_what_a_run_s_files_name_opens_no_tracker(tracker: str, book: Book, untold: Path, tmp_path: Path) -> None:
    """A stranger's run would reach the account of whoever goes on with it."""
    observer = Heard(stop_at=2)
    observer.training = Training.begin(config(tracker), tmp_path / "run", observer)
    with pytest.raises(Stopped):
        observer.training.run()
    before = (list(book.begun), list(book.values))
    resume(tmp_path / "run", observer)
    assert (book.begun, book.values) == before
    assert same_run(tmp_path / "run", untold)


@pytest.mark.parametrize("tracker", ["mlflow"])
def test_a_run_resumed_from_a_stage_s_end_is_told(tracker: str, book: Book, untold: Path, tmp_path: Path) -> None:
    observer = Heard(stop_at=5)
    observer.training = Training.begin(config(tracker), tmp_path / "run", observer)
    with pytest.raises(Stopped):
        observer.training.run()
    assert observer.training.stage_ends
    shutil.rmtree(tmp_path / "run" / "resume")
    told = len(book.values)
    resume(tmp_path / "run", observer, Machine(tracker=tracker))
    assert len(book.begun) == 2
    assert len(book.values) > told
    assert book.ended == [True, False]


@pytest.mark.parametrize("tracker", ["mlflow"])
@pytest.mark.parametrize("known", ["../../other", "a b", "x" * 500, "\x1b[2J"])
def test_an_id_that_no_tracker_gave_is_not_passed_on(known: str, tracker: str, book: Book, tmp_path: Path) -> None:
    observer = Heard(stop_at=2)
    observer.training = Training.begin(config(tracker), tmp_path / "run", observer)
    with pytest.raises(Stopped):
        observer.training.run()
    (tmp_path / "run" / "tracker.json").write_text(json.dumps({"tracker": "mlflow", "id": known}))
    resume(tmp_path / "run", observer, Machine(tracker=tracker))
    assert [begun["id"] for begun in book.begun] == ["run0", "run1"]


def test_a_tracker_that_is_not_installed_any_more_is_a_warning(tmp_path: Path, untold: Path) -> None:
    observer = Heard(stop_at=2)
    observer.training = Training.begin(config("none"), tmp_path / "run", observer)
    with pytest.raises(Stopped):
        observer.training.run()
    resume(tmp_path / "run", observer, Machine(tracker="wandb"))
    assert observer.warnings == ["--tracker wandb: the package wandb is not installed"]
    assert same_run(tmp_path / "run", untold)


@pytest.mark.parametrize("tracker", ["trackio"])
def test_a_tracker_that_fails_does_not_stop_the_training(
    tracker: str, book: Book, untold: Path, tmp_path: Path
) -> None:
    book.breaks = {"log"}
    observer = Heard()
    run = train(config(tracker), tmp_path / "run", observer).path
    assert same_run(run, untold)
    assert observer.warnings == ["the tracker trackio failed (the log went wrong) and is told nothing more"]
    assert RunFolder.open(run).finished


# Each tracker ----------------------------------------------------------------------------------------------

SCORE = score(1, 128, 1, 0.75, success_final=0.5, return_mean=12.5)


@pytest.mark.parametrize("tracker", TRACKERS)
def test_each_tracker_is_told_of_a_run_once_and_of_what_is_new(tracker: str, book: Book, tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "mine", config(tracker))
    tracking = Tracking(run.config, pytest.fail)
    tracking.open(run)
    tracking.scores([SCORE])
    tracking.close(failed=True)
    (begun,) = book.begun
    assert begun["group"] == "pair-finetune"
    if tracker == "mlflow":
        assert begun["name"] == "mine"
        assert begun["config"]["method"] == '"finetune"'
        assert begun["config"]["ppo.num_envs"] == "4"
    else:
        assert begun["name"].startswith("mine")
        assert begun["project"] == "clrobot"
        assert begun["config"]["ppo"]["num_envs"] == 4
    assert dict(book.series("")) == {
        "success_any/button-press": [(128, 0.75)],
        "success_final/button-press": [(128, 0.5)],
        "return_mean/button-press": [(128, 12.5)],
    }
    assert book.ended == [tracker != "trackio"]  # Trackio has no word for it


@pytest.mark.parametrize("tracker", TRACKERS)
def test_each_tracker_goes_on_with_its_run(tracker: str, book: Book, tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "mine", config(tracker))
    for step in (128, 64):  # as after a kill: the second begins before the first one's end
        tracking = Tracking(run.config, pytest.fail)
        tracking.open(run)
        tracking.scores([SCORE.model_copy(update={"step": step})])
        tracking.close()
    key = "name" if tracker == "trackio" else "id"
    assert book.begun[0][key] == book.begun[1][key]
    assert json.loads((run.path / "tracker.json").read_text()) == {"tracker": tracker, "id": book.begun[0][key]}
    # Weights & Biases would refuse an earlier step, with a warning for each: it is not told.
    steps = [step for step, _ in book.series("success_any")["success_any/button-press"]]
    assert steps == ([128] if tracker == "wandb" else [128, 64])


@pytest.mark.parametrize("breaks", ["init", "log", "finish"])
@pytest.mark.parametrize("tracker", TRACKERS)
def test_a_failure_is_one_warning_and_the_end_of_it(tracker: str, breaks: str, book: Book, tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "mine", config(tracker))
    warnings: list[str] = []
    tracking = Tracking(run.config, warnings.append)
    book.breaks = {breaks}
    tracking.open(run)
    tracking.scores([SCORE])
    tracking.write({"a": 1.0}, {"a": ()}, 128)
    tracking.close()
    tracking.close(failed=True)
    assert warnings == [f"the tracker {tracker} failed (the {breaks} went wrong) and is told nothing more"]
    assert len(book.values) == (4 if breaks == "finish" else 0)
    assert (run.path / "tracker.json").exists() == (breaks != "init")


@pytest.mark.parametrize("tracker", ["mlflow"])
def test_a_run_that_the_tracker_has_lost_is_begun_again_in_the_same_group(
    tracker: str, book: Book, tmp_path: Path
) -> None:
    run = RunFolder.create(tmp_path / "run", config(tracker))
    for breaks in (set(), {"update"}):
        book.breaks = breaks
        tracking = Tracking(config(tracker), pytest.fail)
        tracking.open(run)
        tracking.close()
    assert [(begun["id"], begun["group"]) for begun in book.begun] == [
        ("run0", "pair-finetune"),
        ("run1", "pair-finetune"),
    ]
    assert json.loads((run.path / "tracker.json").read_text()) == {"tracker": "mlflow", "id": "run1"}


@pytest.mark.parametrize("content", ["", "[]", '{"tracker": "wandb", "id": "x"}', '{"tracker": "mlflow"}'])
@pytest.mark.parametrize("tracker", ["mlflow"])
def test_an_id_that_is_not_this_tracker_s_is_passed_over(
    tracker: str, content: str, book: Book, tmp_path: Path
) -> None:
    run = RunFolder.create(tmp_path / "run", config(tracker))
    (run.path / "tracker.json").write_text(content)
    Tracking(config(tracker), pytest.fail).open(run)
    assert [begun["id"] for begun in book.begun] == ["run0"]


# What fails ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tracker", TRACKERS)
def test_a_missing_package_is_one_sentence_before_anything_is_made(
    tracker: str, cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, tracker, None)
    outcome = cli("train", "--tracker", tracker, "--out", "run")
    assert outcome.code == 2
    assert outcome.err == (
        f"clrobot: --tracker {tracker}: the package {tracker} is not installed; pip install {tracker}, "
        "or leave --tracker out\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("code", "reason"),
    [("import nothing_like_it", "No module named 'nothing_like_it'"), ("1 / 0", "division by zero")],
)
def test_a_broken_package_is_one_sentence(
    code: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "trackio.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "trackio", raising=False)
    with pytest.raises(UserError, match="the package trackio cannot be imported") as caught:
        Tracking(config("trackio"), pytest.fail)
    assert reason in str(caught.value)


def test_a_tracker_that_there_is_not_is_refused(cli: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("tracker: neptune\n")
    outcome = cli("train", "--config", "c.yaml")
    assert outcome.code == 2
    assert "`tracker` is 'neptune'; input should be 'none', 'wandb', 'mlflow' or 'trackio'" in outcome.err


@pytest.mark.parametrize("tracker", ["trackio"])
def test_only_finite_numbers_that_tensorboard_gets_are_told(tracker: str, book: Book, tmp_path: Path) -> None:
    tracking = Tracking(config(tracker), pytest.fail)
    values = {"a": 1, "b": np.float32(0.5), "c": math.nan, "d": "text", "e": 2.0, "f": np.inf}
    tracking.write(values, dict.fromkeys(values, ()), 3)  # not opened: nobody hears
    tracking.open(RunFolder.create(tmp_path / "run", config(tracker)))
    tracking.write(values, dict.fromkeys(values, ()) | {"e": ("stdout", "tensorboard")}, 7)
    tracking.write({"c": math.nan}, {"c": ()}, 8)
    tracking.close()
    tracking.close()
    tracking.write(values, dict.fromkeys(values, ()), 9)
    assert book.values == [("a", 1.0, 7), ("b", 0.5, 7)]
    assert book.ended == [False]
