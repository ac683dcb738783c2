"""The command line: every verb, on a tiny run, and what each says to bad input."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import yaml
from PIL import Image
from safetensors.torch import load_file, save_file
from support.models import forge_manifest

import clrobot
from clrobot.agents.methods import METHODS
from clrobot.cli import VERBS
from clrobot.envs.tasks import TASKS
from clrobot.experiment import config
from clrobot.experiment.curricula import CURRICULA
from clrobot.films import captions as video
from clrobot.films import record as film

Cli = Callable[..., Any]


def python(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "clrobot", *map(str, words)]
    environment = os.environ | {"COLUMNS": "80"}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=120)


def content(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder: names, and the bytes of files."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")
    }


def refusal(cli: Cli, *words: str | Path) -> str:
    """Return the one sentence with which these words are refused; they may change nothing where they are used."""
    before = content(Path.cwd())
    outcome = cli(*words)
    assert outcome.code == 2, outcome
    assert "Traceback" not in outcome.out + outcome.err
    assert outcome.err.startswith("clrobot: "), outcome.err
    assert outcome.err.count("\n") == 1, outcome.err
    assert outcome.err.endswith("\n")
    assert len(outcome.err) < 500
    assert not outcome.out.strip()
    assert content(Path.cwd()) == before
    return str(outcome.err)


# Help and lists --------------------------------------------------------------------------------------------


def test_no_verb_is_answered_with_help(cli: Cli):
    outcome = cli()
    assert outcome.code == 0
    assert outcome.err == ""
    assert all(verb in outcome.out for verb in VERBS)
    assert outcome.out == cli("--help").out
    assert too_wide(outcome.out) == []


def test_the_version_is_said_and_nothing_else(cli: Cli):
    outcome = cli("--version")
    assert (outcome.code, outcome.out, outcome.err) == (0, f"clrobot {clrobot.__version__}\n", "")
    assert "--version" in cli("--help").out


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_that_fits_eighty_columns(verb: str, cli: Cli):
    outcome = cli(verb, "--help")
    assert outcome.code == 0
    assert outcome.err == ""
    assert f"usage: clrobot {verb}" in outcome.out
    assert (VERBS[verb].__doc__ or "").splitlines()[0] in outcome.out
    assert too_wide(outcome.out) == []


def too_wide(text: str) -> list[str]:
    """Lines of more than 80 columns: all but the usage line, which tyro leaves to the terminal to wrap."""
    return [line for line in text.splitlines() if len(line.rstrip()) > 80 and not line.startswith("usage:")]


def test_help_names_every_setting_as_a_flag_and_says_nothing_about_pydantic(cli: Cli):
    out = cli("train", "--help").out
    assert "model_construct" not in out
    assert "Proximal policy optimisation" in out
    flags = ["--curriculum", "--method", "--seed", "--steps", "--out", "--config", "--device", "--ppo.gamma"]
    flags += [
        f"--{method.name}.{name.replace('_', '-')}" for method in METHODS for name in method.Settings.model_fields
    ]
    assert [flag for flag in flags if flag not in out] == []


def test_help_shows_the_file_s_values_as_defaults(cli: Cli, tmp_path: Path):
    (tmp_path / "c.yaml").write_text("ppo: {gamma: 0.625}\n")
    assert "(default: 0.625)" in cli("train", "--config", "c.yaml", "--help").out


def test_the_lists_name_everything(cli: Cli):
    lists = {
        "tasks": [task.id for task in TASKS],
        "methods": [method.name for method in METHODS],
        "curricula": list(CURRICULA),
    }
    for verb, names in lists.items():
        outcome = cli(verb)
        assert outcome.code == 0
        assert [name for name in names if name not in outcome.out] == []
        assert max(map(len, outcome.out.splitlines())) <= 80


# The verbs in turn -----------------------------------------------------------------------------------------


def test_train_says_how_it_went(cli: Cli, tiny_flags: tuple[str, ...], tmp_path: Path):
    outcome = cli("train", "--method", "finetune", *tiny_flags)
    assert outcome.code == 0
    run = tmp_path / "runs" / "quick-finetune-0"
    assert (run / "report.html").is_file()
    assert "report  runs/quick-finetune-0/report.html" in outcome.out
    metrics = json.loads((run / "metrics.json").read_text())
    row = next(line for line in outcome.out.splitlines() if line.startswith("│ finetune"))
    assert f"{metrics['average_success']:.2f}" in row
    assert f"{metrics['parameters']['total']:,}" in row
    for stage, slots in enumerate(
        (["reach"], ["reach", "button-press"], ["reach", "button-press", "drawer-open"]), 1
    ):
        line = next(line for line in outcome.out.splitlines() if line.startswith(f"finetune {stage}/3"))
        assert all(slot in line for slot in slots)
    assert max(map(len, outcome.out.splitlines())) <= 80
    # And the same words once more are refused, since the folder is taken.
    assert "already holds a run" in refusal(cli, "train", "--method", "finetune", *tiny_flags)


def test_evaluate_repeats_the_training_s_own_evaluation(cli: Cli, tiny_run: Path):
    outcome = cli("evaluate", tiny_run, "--episodes", "2")
    assert outcome.code == 0
    last = [json.loads(line) for line in (tiny_run / "scores.jsonl").read_text().splitlines()][-3:]
    for task, score in zip(("reach", "button-press", "drawer-open"), last, strict=True):
        row = next(line for line in outcome.out.splitlines() if line.startswith(f"│ {task}"))
        numbers = [cell.strip() for cell in row.strip("│").split("│")][1:]
        expected = [score["success_any"], score["success_final"], score["return_mean"], score["length_mean"]]
        assert numbers == [*(f"{rate:.2f}" for rate in expected[:2]), *(f"{mean:.1f}" for mean in expected[2:])]


def test_evaluate_shows_sampled_actions_too(cli: Cli, tiny_run: Path):
    last = json.loads((tiny_run / "scores.jsonl").read_text().splitlines()[-1])
    # The training measured two episodes with mean actions, and a third as many, rounded up, with sampled ones.
    for actions, prefix, episodes in (("mean", "", "2"), ("sampled", "stochastic_", "1")):
        outcome = cli("evaluate", tiny_run, "--episodes", episodes, "--task", "drawer-open", "--stochastic")
        assert outcome.code == 0
        lines = [line for line in outcome.out.splitlines() if "│ " in line]
        rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]
        (row,) = (row for row in rows if actions in row)
        assert row[2:] == [
            f"{last[prefix + 'success_any']:.2f}",
            f"{last[prefix + 'success_final']:.2f}",
            f"{last[prefix + 'return_mean']:.1f}",
            f"{last[prefix + 'length_mean']:.1f}",
        ]


def test_evaluate_takes_a_stage_a_task_and_a_seed(cli: Cli, tiny_run: Path):
    words = ["evaluate", tiny_run, "--task", "reach", "--episodes", "2"]
    first = cli(*words, "--stage", "1")
    assert "after stage 1" in first.out
    assert "button-press" not in first.out
    untrained = cli(*words, "--stage", "0")
    assert "reach  (not trained yet)" in untrained.out
    assert cli(*words, "--stage", "1", "--seed", "7").out != first.out
    assert cli(*words, "--stage", "1").out == first.out


@pytest.mark.parametrize("render", ["raycast", pytest.param("gl", marks=pytest.mark.gl)])
def test_record_films_a_task(render: str, cli: Cli, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CLROBOT_RENDER", render)
    outcome = cli("record", tiny_run, "--task", "reach", "--stage", "1", "--episodes", "1")
    assert outcome.code == 0
    film = tmp_path / "videos" / "tiny" / "stage_01" / "reach.mp4"
    assert outcome.out.startswith("videos/tiny/stage_01/reach.mp4  success ")
    with av.open(str(film)) as container:
        frames = sum(1 for _ in container.decode(video=0))
    assert frames == 50, "every other of 100 control steps"
    assert not (tiny_run / "videos").exists()


@pytest.mark.parametrize("out", ["film.mp4", "deep/film.mp4", "a folder", "folder.mp4/"])
def test_record_writes_one_film_under_its_own_name_or_into_a_folder(
    out: str, cli: Cli, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("CLROBOT_RENDER", "raycast")
    if out.endswith("/"):
        (tmp_path / out).mkdir()
    expected = out if out.endswith(".mp4") else f"{out.rstrip('/')}/reach.mp4"
    for _ in range(2):  # as in a folder, the film that was there is replaced
        outcome = cli("record", tiny_run, "--task", "reach", "--stage", "1", "--episodes", "1", "--out", out)
        assert outcome.code == 0, outcome
        assert outcome.out.startswith(f"{expected}  success ")
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()] == [expected]
    with av.open(str(tmp_path / expected)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 50


@pytest.mark.parametrize("render", ["raycast", pytest.param("gl", marks=pytest.mark.gl)])
def test_record_films_every_skill_after_each_stage(
    render: str, cli: Cli, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Cells of 40 pixels, of which the three above the diagonal stand still."""
    monkeypatch.setenv("CLROBOT_RENDER", render)
    monkeypatch.setitem(film.CELL, ".mp4", 40)
    shown: list[Any] = []
    write = film.write_video
    monkeypatch.setattr(film, "write_video", lambda path, frames, fps: write(path, shown_as(frames, shown), fps))
    outcome = cli("record", tiny_run, "--grid")
    assert outcome.code == 0
    assert outcome.out == "videos/tiny/grid.mp4\n"
    with av.open(str(tmp_path / "videos" / "tiny" / "grid.mp4")) as container:
        stream = container.streams.video[0]
        width, height = stream.width, stream.height
        assert sum(1 for _ in container.decode(video=0)) == 50 + film.HOLD
    assert (width, height) == (3 * 46 + 6, 40 + 3 * (40 + 8 + 6))
    cells = np.stack(shown)[:, 40:]
    for row in range(3):
        for column in range(3):
            cell = cells[:, row * 54 : row * 54 + 40, 6 + column * 46 : 46 + column * 46].astype(int)
            assert (np.ptp(cell, axis=0).max() > 30) == (column <= row), "what is trained moves"
            # The same start state in each row; dimmed where it is not trained yet.
            first = cells[0, column * 54 : column * 54 + 40, 6 + column * 46 : 46 + column * 46].astype(int)
            expected = first if column <= row else 0.3 * first + 0.7 * np.array(video.BACKGROUND)
            assert np.abs(cell[0] - expected).max() < 2


def shown_as(frames: Any, shown: list[Any]) -> Any:
    for frame in frames:
        shown.append(frame)
        yield frame


def test_record_films_one_skill_after_each_stage_as_a_gif(
    cli: Cli, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("CLROBOT_RENDER", "raycast")
    monkeypatch.setitem(film.CELL, ".gif", 40)
    words = ["--task", "button-press", "--stage", "2", "--episodes", "2", "--out", "strip.gif"]
    assert cli("record", tiny_run, "--grid", *words).out == "strip.gif\n"
    with Image.open(tmp_path / "strip.gif") as gif:
        assert gif.size == (2 * 46 + 6, 40 + 54)
        duration = 0
        for index in range(gif.n_frames):  # a picture like the last one only lengthens it
            gif.seek(index)
            duration += gif.info["duration"]
        assert duration == 2 * (50 + film.HOLD) * 80


def test_record_refuses_a_way_to_draw_that_there_is_not(cli: Cli, tiny_run: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CLROBOT_RENDER", "crayons")
    assert "crayons" in refusal(cli, "record", tiny_run, "--task", "reach")


def test_report_is_written_again_to_the_byte(cli: Cli, tiny_copy: Path):
    page = tiny_copy / "report.html"
    before = page.read_bytes()
    page.unlink()
    outcome = cli("report", tiny_copy)
    assert outcome.code == 0
    assert outcome.out == f"{page}\n"
    assert page.read_bytes() == before


def test_a_run_s_config_makes_the_same_run_in_another_process(tiny_run: Path, tmp_path: Path):
    done = python("train", "--config", tiny_run / "config.yaml", "--out", "again", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    again = tmp_path / "again"
    for name in ["config.yaml", "scores.jsonl"] + [
        f"stage_{stage:02d}/{file}"
        for stage in range(4)
        for file in ("weights.safetensors", "method.safetensors", "checkpoint.json")
    ]:
        assert (again / name).read_bytes() == (tiny_run / name).read_bytes(), name


@pytest.mark.usefixtures("quick_training")
def test_another_seed_makes_another_run_and_flags_override_the_file(cli: Cli, tiny_run: Path, tmp_path: Path):
    # `--config` may stand anywhere, and in one word.
    words = ["--seed", "1", f"--config={tiny_run / 'config.yaml'}", "--ewc.strength", "5", "--steps", "64"]
    assert cli("train", "--out", "other", *words).code == 0
    other = yaml.safe_load((tmp_path / "other" / "config.yaml").read_text())
    expected = yaml.safe_load((tiny_run / "config.yaml").read_text())
    expected["seed"], expected["ewc"]["strength"] = 1, 5.0
    for stage in expected["curriculum"]["stages"]:
        stage["steps"] = 64
    assert other == expected
    weights = "stage_00/weights.safetensors"
    assert (tmp_path / "other" / weights).read_bytes() != (tiny_run / weights).read_bytes()


def test_a_curriculum_file_is_trained_and_filmed(cli: Cli, tiny_flags: tuple[str, ...], tmp_path: Path):
    (tmp_path / "mine.yaml").write_text("name: mine\nstages:\n  - {task: reach, steps: 9}\n")
    outcome = cli("train", "--curriculum", "mine.yaml", *tiny_flags, "--video.enabled")
    assert outcome.code == 0
    assert outcome.err == ""
    run = tmp_path / "runs" / "mine-ewc-0"
    assert [path.name for path in (run / "videos" / "stage_01").iterdir()] == ["reach.mp4"]
    assert "videos/stage_01/reach.mp4" in (run / "report.html").read_text()


@pytest.mark.usefixtures("quick_training")
def test_a_repeated_task_gets_a_slot_of_its_own(cli: Cli, tiny_flags: tuple[str, ...], tmp_path: Path):
    (tmp_path / "mine.yaml").write_text(
        "name: mine\nstages:\n  - {task: reach, steps: 9}\n  - {task: reach, steps: 9}\n"
    )
    assert cli("train", "--curriculum", "mine.yaml", *tiny_flags, "--out", "twice").code == 0
    metrics = json.loads((tmp_path / "twice" / "metrics.json").read_text())
    assert [task["task"] for task in metrics["per_task"]] == ["reach", "reach-2"]
    assert cli("evaluate", "twice", "--task", "reach-2", "--episodes", "2").code == 0


@pytest.mark.usefixtures("quick_training")
def test_a_second_demo_takes_the_next_folder(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """The demo has no flags for the networks' size and the films, so its settings are made tiny here."""
    make_config = config.make_config
    tiny = {
        "network": {"widths": (8,)},
        "ppo": {"num_envs": 4, "n_steps": 16, "batch_size": 32, "n_epochs": 1},
        "evaluation": {"episodes": 1, "curve_points": 0},
        "video": {"enabled": False},
        "ewc": {"states": 100},
    }
    monkeypatch.setattr(config, "make_config", lambda **settings: make_config(**settings | tiny))
    (tmp_path / "demos" / "demo-1").mkdir(parents=True)
    outcome = cli("demo", "--steps", "64", "--out", "demos")
    assert outcome.code == 0
    for method in ("finetune", "ewc", "progressive"):
        assert (tmp_path / "demos" / "demo-2" / method / "report.html").is_file()
        assert any(line.startswith(f"│ {method}") for line in outcome.out.splitlines())
    assert "report  demos/demo-2/report.html\n" in outcome.out
    assert "runs    demos/demo-2\n" in outcome.out
    page = (tmp_path / "demos" / "demo-2" / "report.html").read_text(encoding="utf-8")
    assert "first3: 3 methods compared" in page
    assert outcome.out.splitlines()[-1].startswith("Look at")
    assert outcome.err == ""
    assert sorted(path.name for path in (tmp_path / "demos").iterdir()) == ["demo-1", "demo-2"]
    assert list((tmp_path / "demos" / "demo-1").iterdir()) == []


# Real processes --------------------------------------------------------------------------------------------


def test_the_module_is_the_command(tmp_path: Path):
    done = python(cwd=tmp_path)
    assert done.returncode == 0
    assert "usage: clrobot" in done.stdout
    done = python("evaluate", "nowhere", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "clrobot: no run folder at nowhere; give a folder that `clrobot train` made\n"
    assert list(tmp_path.iterdir()) == []


# What takes longer to import than help and lists may take.
HEAVY = ("torch", "stable_baselines3", "mujoco", "OpenGL", "scipy", "matplotlib", "av", "PIL", "jinja2")


def test_help_and_lists_import_nothing_heavy(tmp_path: Path):
    """Nor does a user's own task and method keep them from that."""
    (tmp_path / "mine.py").write_text(MINE)
    mine = ["--import", "./mine.py"]
    lists = [[verb] for verb in ("tasks", "methods", "curricula")]
    helps = [[], ["--help"], ["--version"], *([verb, "--help"] for verb in VERBS)]
    code = f"""
import contextlib, io, sys
import clrobot
print([name for name in {HEAVY} if name in sys.modules])
from clrobot.cli import main
for words in {[*lists, *helps, *(words + mine for words in (*lists, ["train", "--help"]))]}:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        main(words)
    loaded = [name for name in {HEAVY} if name in sys.modules]
    print("gentle" in out.getvalue(), loaded, words)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    bare, *lines = done.stdout.splitlines()
    assert bare == "[]"
    assert len(lines) == len(lists) + len(helps) + 4
    assert [line for line in lines if " [] [" not in line] == []
    assert [line.split(" ", 1)[0] for line in lines[-4:]] == ["False", "True", "False", "True"]


MINE = '''
import clrobot


class Gentle(clrobot.Method):
    """Learns gently."""

    name = "gentle"
    family = "bound"
    summary = "a user's own"

    class Settings(clrobot.Method.Settings):
        """How gently."""

        softness: float = 0.5
        """As cotton wool."""


clrobot.register_method(Gentle)
'''


# Bad input -------------------------------------------------------------------------------------------------

TRAIN = {
    "an unknown method": (["--method", "ewx"], "unknown method 'ewx'; did you mean ewc?"),
    "an unknown curriculum": (["--curriculum", "quik"], "unknown curriculum 'quik'; did you mean quick, or"),
    "an unknown task in a file": (["--curriculum", "unknown.yaml"], "unknown.yaml, line 3: `stages.1.task`: unknown"),
    "a malformed file": (["--curriculum", "syntax.yaml"], "syntax.yaml, line 4: "),
    "no such curriculum file": (["--curriculum", "none.yaml"], "'none.yaml': No such file"),
    "zero steps": (["--steps", "0"], "`steps` is 0"),
    "negative steps": (["--steps", "-5"], "`steps` is -5"),
    "a discount above one": (["--ppo.gamma", "7"], "`ppo.gamma` is 7;"),
    "a negative strength": (["--ewc.strength", "-1"], "`ewc.strength` is -1;"),
    "a layer without units": (["--network.widths", "8", "0"], "`network.widths`"),
    "no episodes": (["--evaluation.episodes", "0"], "`evaluation.episodes` is 0"),
    "a device of another world": (["--device", "quantum"], "device 'quantum' cannot be used"),
    "no such configuration": (["--config", "none.yaml"], "configuration none.yaml: No such file"),
    "a curriculum as configuration": (["--config", "unknown.yaml"], "unknown.yaml: `name` is not a known key"),
    "a folder that holds files": (["--out", "files"], "files already holds files"),
    "a folder that holds a run": (["--out", "arun"], "arun already holds a run"),
    "a file as folder": (["--out", "afile"], "afile is a file"),
    "a folder below a file": (["--out", "afile/below"], "afile/below: Not a directory"),
    "a folder that cannot be made": (["--out", "/proc/none"], "/proc/none"),
    "the working directory": (["--out", "."], "already holds files"),
}


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A working directory with a few wrong things in it."""
    (tmp_path / "afile").write_text("x")
    for folder, name in (("files", "x"), ("arun", "config.yaml")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).touch()
    (tmp_path / "unknown.yaml").write_text("name: a\nstages:\n  - {task: drawer-opn, steps: 64}\n")
    (tmp_path / "syntax.yaml").write_text("name: a\nstages:\n  - {task: reach, steps: 64\n  - {task: reach}\n")
    (tmp_path / "one.yaml").write_text("name: one\nstages:\n  - {task: reach, steps: 64}\n")
    two = "stages:\n  - {task: reach, steps: 64}\n  - {task: push, steps: 64}\n"
    (tmp_path / "head.yaml").write_text(f"name: head\nheads: one\n{two}")
    return tmp_path


@pytest.mark.parametrize("case", TRAIN)
def test_train_refuses(case: str, cli: Cli, tiny_flags: tuple[str, ...], desk: Path):
    words, clause = TRAIN[case]
    assert clause in refusal(cli, "train", *tiny_flags, *words)


def test_train_refuses_a_folder_that_it_may_not_write(cli: Cli, tiny_flags: tuple[str, ...]):
    # Not even root may write here, so the test says the same for everybody.
    assert "run folder /proc/run" in refusal(cli, "train", *tiny_flags, "--out", "/proc/run")


def test_train_refuses_a_device_that_only_pretends(cli: Cli, tiny_flags: tuple[str, ...]):
    assert "device 'meta'" in refusal(cli, "train", *tiny_flags, "--device", "meta")


def test_a_curriculum_cannot_choose_where_its_run_lies(cli: Cli, tiny_flags: tuple[str, ...], tmp_path: Path):
    (tmp_path / "evil.yaml").write_text("name: ../evil\nstages: [{task: reach, steps: 9}]\n")
    assert "'../evil' cannot name a folder" in refusal(cli, "train", "--curriculum", "evil.yaml", *tiny_flags)
    assert not (tmp_path / "evil-ewc-0").exists()


RUN = {
    # a run that is whole: the words after its folder, and what the sentence says
    "evaluate an unknown task": (
        ["evaluate", "--task", "rech"],
        "unknown task 'rech' in this run; did you mean reach?",
    ),
    "evaluate a task of another run": (["evaluate", "--task", "zzz"], "reach, button-press, drawer-open"),
    "evaluate stage 99": (["evaluate", "--stage", "99"], "stage 99 has no checkpoint"),
    "evaluate stage -1": (["evaluate", "--stage", "-1"], "expected one of [0, 1, 2, 3]"),
    "evaluate no episodes": (["evaluate", "--episodes", "0"], "--episodes 0; expected 1 or more"),
    "evaluate -3 episodes": (["evaluate", "--episodes", "-3"], "--episodes -3"),
    "record an unknown task": (["record", "--task", "rech"], "did you mean reach?"),
    "record stage 99": (["record", "--stage", "99"], "stage 99 has no checkpoint"),
    "record stage -1": (["record", "--stage", "-1"], "stage -1 has no checkpoint"),
    "a grid of an unknown task": (["record", "--grid", "--task", "rech"], "did you mean reach?"),
    "a grid of the untrained agent": (["record", "--grid", "--stage", "0"], "give a --stage from 1"),
    "a grid of no known kind": (["record", "--grid", "--out", "grid.avi"], "ends with .mp4 or .gif"),
    "a grid without episodes": (["record", "--grid", "--episodes", "0"], "--episodes 0"),
    "record no episodes": (["record", "--episodes", "0"], "--episodes 0; expected 1 or more"),
    "record several films as one": (
        ["record", "--out", "film.mp4"],
        "--out film.mp4 names one film, and there are 3 films, one for each task; give a folder, a --task, or --grid",
    ),
    "record a film of another kind": (
        ["record", "--task", "reach", "--out", "film.mov"],
        "--out film.mov; expected a name that ends with .mp4, or a folder",
    ),
    "record with -1 threads": (["record", "--threads", "-1"], "--threads -1; expected 0 or more"),
    "plot several figures as one": (
        ["plot", "--out", "figure.png"],
        "--out figure.png names one figure, and there are several; give a folder",
    ),
    "references with a million threads": (
        ["references", "--threads", "1000000"],
        "--threads 1000000; expected 1,024 at most",
    ),
}


@pytest.mark.parametrize("case", RUN)
def test_a_whole_run_refuses(case: str, cli: Cli, tiny_run: Path):
    (verb, *words), clause = RUN[case]
    before = content(tiny_run)
    assert clause in refusal(cli, verb, tiny_run, *words)
    assert content(tiny_run) == before


def test_evaluate_refuses_a_negative_seed(cli: Cli, tiny_run: Path):
    assert "--seed -1" in refusal(cli, "evaluate", tiny_run, "--task", "reach", "--seed", "-1")


@pytest.mark.parametrize("out", ["afile", "afile/below", "/proc/none"])
def test_record_refuses_a_folder_that_cannot_be_made(out: str, cli: Cli, tiny_run: Path, desk: Path):
    assert f"--out {out}" in refusal(cli, "record", tiny_run, "--task", "reach", "--episodes", "1", "--out", out)


@pytest.mark.parametrize("verb", ["evaluate", "record", "report"])
@pytest.mark.parametrize("run", ["nowhere", "empty", "files", "afile"])
def test_what_is_no_run_is_refused(verb: str, run: str, cli: Cli, desk: Path):
    (desk / "empty").mkdir()
    sentence = refusal(cli, verb, run)
    assert run in sentence
    assert "give a folder that `clrobot train` made" in sentence


OTHER = {
    "demo with zero steps": (["demo", "--steps", "0"], "`steps` is 0"),
    "demo with a negative seed": (["demo", "--seed", "-1"], "`seed` is -1"),
    "demo into a file": (["demo", "--out", "afile", "--steps", "64"], "afile/demo-1"),
    "bench without simulations": (["bench", "--num-envs", "0"], "--num-envs 0"),
    "bench without time": (["bench", "--seconds", "0"], "--seconds 0.0"),
    "bench with -1 threads": (["bench", "--threads", "-1"], "--threads -1; expected 0 or more"),
    "overhead with a million threads": (["overhead", "--threads", "1000000"], "--threads 1000000; expected 1,024 at"),
    "overhead of one stage": (
        ["overhead", "--curriculum", "one.yaml"],
        "--curriculum one cannot be measured; give one",
    ),
    "overhead in other people's worlds": (["overhead", "--curriculum", "pusher2"], "--curriculum pusher2 cannot be"),
    "overhead with one head": (
        ["overhead", "--curriculum", "head.yaml"],
        "--curriculum head cannot be measured; give",
    ),
    "learning with -1 threads": (["learning", "--threads", "-1"], "--threads -1; expected 0 or more"),
    "demo with -1 threads": (["demo", "--threads", "-1"], "`threads` is -1"),
    "a sweep with a million threads": (["sweep", "--threads", "1000000"], "`threads` is 1000000"),
    "an unknown verb": (["evalute", "run"], "unknown verb 'evalute'; did you mean evaluate?"),
    "a verb of nobody's": (["xyzzy"], "unknown verb 'xyzzy'; expected one of demo, train, evaluate, "),
    "bench with an unknown task": (["bench", "--ppo-task", "rech"], "did you mean reach?"),
    "bench beside what is no Python": (
        ["bench", "--metaworld", "nowhere"],
        "nowhere: No such file or directory",
    ),
    "bench beside a Python without Meta-World": (
        ["bench", "--metaworld", sys.executable],
        f"--metaworld {sys.executable}: ModuleNotFoundError: No module named 'metaworld'; give a Python that can",
    ),
}


@pytest.mark.parametrize("case", OTHER)
def test_other_verbs_refuse(case: str, cli: Cli, desk: Path):
    words, clause = OTHER[case]
    assert clause in refusal(cli, *words)


WORDS = {
    # words that the parser itself refuses: what its answer names
    "an unknown flag": (["train", "--nope", "1"], "--nope"),
    "a misspelt flag": (["train", "--ppo.gama", "0.9"], "--ppo.gamma"),
    "a word too many": (["tasks", "extra"], "extra"),
    "episodes in words": (["evaluate", "x", "--episodes", "many"], "--episodes"),
    "a flag without its value": (["train", "--out"], "--out"),
    "no run": (["evaluate"], "RUN"),
    "yes and no as words": (["train", "--video.enabled", "False"], "False"),
}


@pytest.mark.parametrize("case", WORDS)
def test_words_that_are_no_command_are_refused(case: str, cli: Cli, tmp_path: Path):
    words, named = WORDS[case]
    outcome = cli(*words)
    assert outcome.code == 2
    assert outcome.out == ""
    assert named in outcome.err
    assert "Traceback" not in outcome.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("flag", "word", "named"),
    [
        ("--steps", "abc", "`steps` is 'abc'"),
        ("--ppo.n-epochs", "x", "`ppo.n_epochs` is 'x'"),
        ("--seed", "1.5", "`seed` is 1.5"),
    ],
)
def test_a_setting_that_is_no_number_is_refused_in_one_sentence(flag: str, word: str, named: str, cli: Cli):
    assert named in refusal(cli, "train", flag, word)


# A damaged run ---------------------------------------------------------------------------------------------

NEWEST = "stage_03"
CHECKPOINT, WEIGHTS = f"{NEWEST}/checkpoint.json", f"{NEWEST}/weights.safetensors"


def write(name: str, new: bytes) -> Callable[[Path], None]:
    return lambda run: (run / name).write_bytes(new) and None


def cut(name: str, keep: int) -> Callable[[Path], None]:
    return lambda run: (run / name).write_bytes((run / name).read_bytes()[:keep]) and None


def remove(name: str) -> Callable[[Path], None]:
    return lambda run: shutil.rmtree(run / name) if (run / name).is_dir() else (run / name).unlink()


def fill(name: str, **values: Any) -> Callable[[Path], None]:
    def damage(run: Path) -> None:
        path = run / name
        path.write_text(json.dumps(json.loads(path.read_text()) | values))
        forge_manifest(path.parent)

    return damage


def without(name: str, key: str) -> Callable[[Path], None]:
    def damage(run: Path) -> None:
        path = run / name
        content = json.loads(path.read_text())
        del content[key]
        path.write_text(json.dumps(content))
        forge_manifest(path.parent)

    return damage


def edit(name: str, old: str, new: str) -> Callable[[Path], None]:
    def damage(run: Path) -> None:
        text = (run / name).read_text()
        assert old in text
        (run / name).write_text(text.replace(old, new))

    return damage


def copy(source: str, target: str) -> Callable[[Path], None]:
    return lambda run: shutil.copyfile(run / source, run / target) and None


def without_checkpoints(run: Path) -> None:
    for folder in run.glob("stage_*"):
        shutil.rmtree(folder)


def swap_stages(run: Path) -> None:
    (run / "stage_02").rename(run / "t")
    (run / NEWEST).rename(run / "stage_02")
    (run / "t").rename(run / NEWEST)


def weights_not_numbers(run: Path) -> None:
    save_file({key: value * math.nan for key, value in load_file(run / WEIGHTS).items()}, run / WEIGHTS)
    forge_manifest(run / NEWEST)


DAMAGED = {
    # the damage, the verbs that refuse it, and the file (or clause) that the sentence names
    "config gone": (remove("config.yaml"), ("evaluate", "record", "report"), "config.yaml is missing"),
    "config empty": (write("config.yaml", b""), ("evaluate", "record", "report"), "config.yaml"),
    "config cut": (cut("config.yaml", 40), ("evaluate", "record", "report"), "config.yaml"),
    "config not text": (write("config.yaml", b"\xff\xfe\x00"), ("evaluate", "record", "report"), "config.yaml"),
    "config of a newer clrobot": (edit("config.yaml", "device:", "devise:"), ("evaluate", "report"), "`devise`"),
    "config of another method": (edit("config.yaml", "method: ewc", "method: progressive"), ("evaluate",), WEIGHTS),
    "config of another width": (edit("config.yaml", "  - 8\n", "  - 16\n"), ("evaluate",), WEIGHTS),
    "no checkpoint at all": (without_checkpoints, ("evaluate", "record"), "holds no checkpoint yet"),
    "checkpoint.json gone": (remove(CHECKPOINT), ("evaluate", "record"), CHECKPOINT),
    "checkpoint.json empty": (write(CHECKPOINT, b""), ("evaluate", "record"), CHECKPOINT),
    "checkpoint.json cut": (cut(CHECKPOINT, 30), ("evaluate", "record"), CHECKPOINT),
    "checkpoint.json a list": (write(CHECKPOINT, b"[]"), ("evaluate",), CHECKPOINT),
    "checkpoint.json not text": (write(CHECKPOINT, b"\xff"), ("evaluate",), CHECKPOINT),
    "checkpoint.json newer": (fill(CHECKPOINT, format=2), ("evaluate",), "`format` is not a known key"),
    "checkpoint.json without its settings": (without(CHECKPOINT, "config"), ("evaluate",), "`config` is missing"),
    "checkpoint.json with more": (fill(CHECKPOINT, more=1), ("evaluate",), "`more` is not a known key"),
    "checkpoint.json with fewer heads": (fill(CHECKPOINT, slots=2), ("evaluate",), CHECKPOINT),
    "checkpoint.json of another stage": (fill(CHECKPOINT, stage=1), ("evaluate", "record"), CHECKPOINT),
    "stages swapped": (swap_stages, ("evaluate", "record"), CHECKPOINT),
    "checkpoint.json of format 0": (fill(CHECKPOINT, format=0), ("evaluate",), CHECKPOINT),
    "checkpoint.json too deep": (write(CHECKPOINT, b"[" * 100_000), ("evaluate",), CHECKPOINT),
    "checkpoint.json with a huge size": (fill(CHECKPOINT, observation_size=10**12), ("evaluate",), WEIGHTS),
    "checkpoint.json with no size at all": (fill(CHECKPOINT, observation_size=10**30), ("evaluate",), CHECKPOINT),
    "weights not numbers": (weights_not_numbers, ("evaluate", "record"), WEIGHTS),
    "checkpoint.json of another robot": (fill(CHECKPOINT, observation_size=5), ("evaluate",), WEIGHTS),
    "weights gone": (remove(WEIGHTS), ("evaluate", "record"), WEIGHTS),
    "weights empty": (write(WEIGHTS, b""), ("evaluate", "record"), WEIGHTS),
    "weights cut at the end": (cut(WEIGHTS, -10), ("evaluate", "record"), WEIGHTS),
    "weights cut in the header": (cut(WEIGHTS, 100), ("evaluate",), WEIGHTS),
    "weights something else": (write(WEIGHTS, b"\x80\x04" * 99), ("evaluate",), WEIGHTS),
    "weights of another stage": (copy("stage_01/weights.safetensors", WEIGHTS), ("evaluate",), WEIGHTS),
    "metrics gone": (remove("metrics.json"), ("report",), "metrics.json"),
    "metrics empty": (write("metrics.json", b""), ("report",), "metrics.json"),
    "metrics cut": (cut("metrics.json", 700), ("report",), "metrics.json"),
    "metrics a list": (write("metrics.json", b"[]"), ("report",), "metrics.json"),
    "metrics without seconds": (fill("metrics.json", seconds=None), ("report",), "damaged: `seconds`"),
    "scores gone": (remove("scores.jsonl"), ("report",), "scores.jsonl"),
    "scores something else": (write("scores.jsonl", b"x\ny\n"), ("report",), "scores.jsonl is damaged"),
    "scores not text": (write("scores.jsonl", b"\xff\n"), ("report",), "scores.jsonl"),
    "scores of another curriculum": (edit("scores.jsonl", '"slot": 3', '"slot": 9'), ("report",), "scores.jsonl"),
    "environment gone": (remove("environment.json"), ("report",), "environment.json"),
}


@pytest.mark.parametrize(("case", "verb"), [(case, verb) for case in DAMAGED for verb in DAMAGED[case][1]])
def test_a_damaged_run_is_refused(case: str, verb: str, cli: Cli, tiny_copy: Path):
    damage, _, clause = DAMAGED[case]
    damage(tiny_copy)
    # A stage asked for by its number is refused; without, the last whole one would be used.
    stage = [] if verb == "report" or case.startswith(("config", "no checkpoint")) else ["--stage", "3"]
    assert clause in refusal(cli, verb, tiny_copy.name, *stage)


def test_a_stage_beyond_the_curriculum_is_not_one_of_the_run_s(cli: Cli, tiny_copy: Path):
    shutil.copytree(tiny_copy / NEWEST, tiny_copy / "stage_04")
    assert "after stage 3" in cli("evaluate", tiny_copy.name, "--task", "reach", "--episodes", "2").out
    assert "stage 4 has no checkpoint" in refusal(cli, "evaluate", tiny_copy.name, "--stage", "4")


def test_a_report_that_cannot_be_written_is_refused(cli: Cli, tiny_copy: Path):
    (tiny_copy / "report.html").unlink()
    (tiny_copy / "report.html").mkdir()
    assert "report.html" in refusal(cli, "report", tiny_copy.name)


@pytest.mark.parametrize(
    "damage",
    [remove("metrics.json"), remove("scores.jsonl"), remove("report.html")],
)
def test_evaluate_needs_only_the_checkpoint(damage: Callable[[Path], None], cli: Cli, tiny_copy: Path):
    damage(tiny_copy)
    assert cli("evaluate", tiny_copy.name, "--task", "reach", "--episodes", "2").code == 0


def test_a_half_written_last_score_does_not_stop_the_report(cli: Cli, tiny_copy: Path):
    cut("scores.jsonl", -20)(tiny_copy)
    forge_manifest(tiny_copy)
    assert cli("report", tiny_copy.name).code == 0


def test_an_older_stage_of_a_damaged_run_still_opens(cli: Cli, tiny_copy: Path):
    remove(WEIGHTS)(tiny_copy)
    words = ["--task", "reach", "--episodes", "2"]
    assert "give another --stage" in refusal(cli, "evaluate", tiny_copy.name, *words, "--stage", "3")
    newest = cli("evaluate", tiny_copy.name, *words)
    assert newest.code == 0
    assert "stage 2 is used in its place" in newest.err
    assert "after stage 2" in newest.out
    assert cli("evaluate", tiny_copy.name, *words, "--stage", "2").code == 0
