"""A user's own task, method and curriculum at the command line: by `--import`, and from installed distributions."""

from __future__ import annotations

import errno
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import pytest
import yaml
from support.distributions import TASK, install

import clrobot
from clrobot.agents.methods import METHODS_BY_NAME
from clrobot.envs.tasks import TASKS_BY_ID
from clrobot.experiment.curricula import CURRICULA
from clrobot.imports import command
from clrobot.training.display import TerminalObserver

Cli = Callable[..., Any]

EXAMPLE = Path(__file__).parent.parent / "support" / "plugin" / "clrobot_example"
REGISTER = "\nclrobot.register_task(Nudge)\n"

pytestmark = pytest.mark.usefixtures("own_registries")


@pytest.fixture
def my_task(tmp_path: Path) -> Path:
    """The example's task in a file of the current folder, which registers it."""
    file = tmp_path / "my_task.py"
    file.write_text((EXAMPLE / "nudge.py").read_text() + REGISTER)
    return file


def refusal(outcome: Any) -> str:
    assert outcome.code == 2, outcome
    assert outcome.err.startswith("clrobot: "), outcome.err
    assert outcome.err.count("\n") == 1, outcome.err
    assert len(outcome.err) < 500
    return str(outcome.err).removeprefix("clrobot: ").strip()


def forget() -> None:
    """As in a process without the user's code."""
    for registry in (TASKS_BY_ID, METHODS_BY_NAME):
        registry._registered.clear()
        registry._sources.clear()


# By --import ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("my_task")
@pytest.mark.parametrize(
    "words",
    [
        ("--import", "./my_task.py", "tasks", "--format", "json"),
        ("tasks", "--format", "json", "--import", "./my_task.py"),
        ("tasks", "--import=./my_task.py", "--format", "json"),
    ],
)
def test_a_file_is_imported_before_or_after_a_verb(cli: Cli, words: tuple[str, ...]) -> None:
    outcome = cli(*words)
    assert outcome.code == 0, outcome
    row = json.loads(outcome.out)[-1]
    assert (row["task"], row["source"], row["expert"]) == ("nudge", "./my_task.py", True)


def test_a_module_is_imported_by_its_name_and_the_list_says_which_task_has_no_expert(cli: Cli, site: Path) -> None:
    (site / "my_module.py").write_text(f"{TASK}\nclrobot.register_task(Hover)\n")
    outcome = cli("tasks", "--import", "my_module")
    assert outcome.code == 0
    assert max(map(len, outcome.out.splitlines())) <= 80
    shown = outcome.out[outcome.out.index("│ hover") :].replace("│", " ").replace("└", " ").split()
    assert "my_module" in shown
    assert " ".join(word for word in shown if word in ("(It", "has", "no", "expert.)")) == "(It has no expert.)"


@pytest.mark.usefixtures("my_task")
def test_a_task_by_import_alone_trains_and_without_it_every_verb_says_what_is_missing(
    cli: Cli, tiny_flags: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text("name: mine\nstages: [{task: nudge, steps: 64}]\n")
    own = ("--import", "./my_task.py")
    outcome = cli("train", *own, "--curriculum", "mine.yaml", "--method", "finetune", *tiny_flags, "--out", "run")
    assert outcome.code == 0, outcome
    noted = json.loads((tmp_path / "run" / "environment.json").read_text())["sources"]
    assert noted == {"tasks": {"nudge": {"module": "./my_task.py"}}}
    assert cli("evaluate", "run", "--episodes", "2", *own).code == 0
    assert cli("export", *own, "run", "--format", "sb3").code == 0
    assert cli("report", "run", *own).code == 0
    agent = clrobot.load("run")
    assert agent.evaluate("nudge", 2).returns.shape == (2,)

    forget()
    for words in (
        *(("evaluate", "run"), ("record", "run"), ("export", "run"), ("resume", "run"), ("report", "run")),
        *(("plot", "run"), ("compare", "run"), ("references", "run")),
        ("extend", "run", "--task", "reach", "--steps", "64"),
    ):
        assert refusal(cli(*words)) == (
            "run needs the task 'nudge', which is not here; it came from ./my_task.py: import that with --import, or "
            "register it first"
        )


GLIDE = """
import gymnasium, numpy as np
class Glide(gymnasium.Env):
    observation_space = action_space = gymnasium.spaces.Box(-1, 1, (2,))
    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        self.place = self.np_random.uniform(-1, 1, 2)
        return self.place, {}
    def step(self, action):
        self.place = np.clip(self.place + 0.2 * action, -1, 1)
        return self.place, -np.linalg.norm(self.place), False, False, {"success": False}
gymnasium.register("Glide-v0", Glide, max_episode_steps=8)
"""


def test_a_world_by_import_is_asked_for_by_the_word_that_was_given(
    cli: Cli, tiny_flags: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "glide.py").write_text(GLIDE)
    (tmp_path / "mine.yaml").write_text('name: mine\nstages: [{task: "gymnasium:Glide-v0", steps: 64}]\n')
    own = ("--import", "./glide.py")
    try:
        outcome = cli("train", *own, "--curriculum", "mine.yaml", "--method", "finetune", *tiny_flags, "--out", "run")
        assert outcome.code == 0, outcome
        found = json.loads(cli("verify", "run", "--format", "json", *own).out)
        assert found["unseen"] == ["gymnasium:Glide-v0"]
        assert "not in the fingerprint; --again tells" in " ".join(cli("verify", "run", *own).out.split())
        assert refusal(cli("record", "run", "--task", "Glide-v0", *own)) == (
            "Glide-v0 cannot be filmed here: it has no render mode rgb_array; name it in its class's metadata, and "
            "take `render_mode`"
        )
    finally:
        gymnasium.registry.pop("Glide-v0", None)
    for verb in ("report", "resume", "verify"):
        assert refusal(cli(verb, "run")).startswith(
            "run needs the world 'gymnasium:Glide-v0', which is not here; it came from ./glide.py: import that"
        )


@pytest.mark.usefixtures("my_task")
def test_an_extended_run_notes_the_new_tasks_source(cli: Cli, tiny_run: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_run, tmp_path / "run")
    words = ("extend", "run", "--task", "nudge", "--steps", "64", "--films", "False", "--out", "longer")
    assert cli(*words, "--import", "./my_task.py").code == 0
    noted = json.loads((tmp_path / "longer" / "environment.json").read_text())["sources"]
    assert noted == {"tasks": {"nudge": {"module": "./my_task.py"}}}


@pytest.mark.usefixtures("my_task")
def test_a_sweep_s_trainings_import_the_same(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("name: mine\nstages: [{task: nudge, steps: 64}]\n")
    config = {
        "curriculum": "mine.yaml",
        "network": {"widths": [8]},
        "ppo": {"num_envs": 4, "n_steps": 16, "batch_size": 32, "n_epochs": 1},
        "evaluation": {"episodes": 2, "curve_points": 1, "curve_episodes": 2},
        "video": {"enabled": False},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    words = ("--method", "finetune", "--seed", "0", "--config", "config.yaml", "--import", "./my_task.py")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "clrobot", "sweep", *words, "--no-references", "--jobs", "1", "--out", "sweep"],
        cwd=tmp_path,
        env=os.environ | {"COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "sweep" / "mine-finetune-0" / "stage_01").is_dir()


BAD_IMPORTS: dict[str, tuple[str, str]] = {
    "": ("", "--import ''; expected a module's name, or a file as ./my_task.py"),
    "no module": ("no_such", "--import no_such: there is no such module; install it, or give a file as ./my_task.py"),
    "not so written": ("bad.py", "--import bad.py is no module's name; for the file in this folder give ./bad.py"),
    "no file": ("./none.py", "--import ./none.py: there is no such file; give the path of a Python file"),
    "not in this folder": (
        "bad",
        "--import bad: there is no such module; install it, or give a file",
    ),
    "one that raises": ("./bad.py", "--import ./bad.py fails (ZeroDivisionError: division by zero); mend it"),
    "one that lacks something": (
        "./lacks.py",
        "--import ./lacks.py: No module named 'no_such'; install",
    ),
    "a task with a name of ours": (
        "./reach.py",
        "--import ./reach.py: task 'reach' is one of clrobot's own; give yours another name",
    ),
    "a method without a name": ("./nameless.py", "--import ./nameless.py: method Mine has no name; expected words"),
    "a stage of no task": ("./stage.py", "--import ./stage.py: `task`: unknown task 'raech'; did you mean reach?"),
}


@pytest.mark.parametrize(("given", "sentence"), BAD_IMPORTS.values(), ids=BAD_IMPORTS)
def test_what_cannot_be_imported_is_refused(cli: Cli, tmp_path: Path, given: str, sentence: str) -> None:
    for name, text in {
        "bad": "1 / 0\n",
        "lacks": "import no_such\n",
        "reach": "import clrobot\nfrom clrobot.envs.tasks.reach import Reach\nclrobot.register_task(Reach)\n",
        "nameless": "import clrobot\nclass Mine(clrobot.Method):\n    pass\nclrobot.register_method(Mine)\n",
        "stage": "import clrobot\nclrobot.Stage(task='raech', steps=1)\n",
    }.items():
        (tmp_path / f"{name}.py").write_text(text)
    assert refusal(cli("methods", "--import", given)).startswith(sentence)


def test_import_needs_a_value(cli: Cli) -> None:
    assert refusal(cli("tasks", "--import")).startswith("--import ''; expected a module's name")


# From installed distributions ----------------------------------------------------------------------------------


@pytest.fixture
def installed(site: Path) -> Path:
    """The example distribution, as pip would leave it."""
    shutil.copytree(EXAMPLE, site / "clrobot_example")
    entry_points = {
        "clrobot.tasks": {"nudge": "clrobot_example.nudge:Nudge"},
        "clrobot.methods": {"example": "clrobot_example.example:Example"},
        "clrobot.curricula": {"example2": "clrobot_example.curricula:EXAMPLE2"},
    }
    install(site, "clrobot-example", entry_points, {})
    return site


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(("verb", "name"), [("tasks", "nudge"), ("methods", "example"), ("curricula", "example2")])
def test_the_lists_name_the_distribution(cli: Cli, verb: str, name: str) -> None:
    outcome = cli(verb, "--format", "json")
    assert outcome.code == 0, outcome
    row = json.loads(outcome.out)[-1]
    assert (row[verb.removesuffix("s") if verb != "curricula" else "curriculum"]) == name
    assert row["source"] == "clrobot-example"


@pytest.mark.usefixtures("installed")
def test_an_installed_method_has_flags_and_a_run_notes_its_distribution(
    cli: Cli, tiny_flags: tuple[str, ...], tmp_path: Path
) -> None:
    words = ("--method", "example", "--example.strength", "0.5", "--curriculum", "example2", *tiny_flags)
    outcome = cli("train", *words, "--out", "run")
    assert outcome.code == 0, outcome
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["example"] == {"strength": 0.5}
    noted = json.loads((tmp_path / "run" / "environment.json").read_text())["sources"]
    example = {"distribution": "clrobot-example", "version": "1.0"}
    assert noted == {"tasks": {"nudge": example}, "methods": {"example": example}}


@pytest.mark.usefixtures("installed")
def test_a_run_of_ours_opens_without_the_distributions_that_were_there(
    cli: Cli, tiny_flags: tuple[str, ...], tmp_path: Path
) -> None:
    assert cli("train", "--method", "finetune", *tiny_flags, "--out", "run").code == 0
    assert "example" not in (tmp_path / "run" / "config.yaml").read_text()
    assert "sources" not in (tmp_path / "run" / "environment.json").read_text()


def test_a_missing_distribution_is_named(cli: Cli, tiny_copy: Path) -> None:
    config = yaml.safe_load((tiny_copy / "config.yaml").read_text())
    (tiny_copy / "config.yaml").write_text(yaml.safe_dump(config | {"method": "example", "example": {"strength": 1}}))
    environment = json.loads((tiny_copy / "environment.json").read_text())
    for distribution, cure in (
        ("clrobot-example", "install the distribution it came from: pip install clrobot-example"),
        ("--index-url=https://example.org x", None),
    ):
        noted = {"methods": {"example": {"distribution": distribution, "version": "1.0"}}}
        (tiny_copy / "environment.json").write_text(json.dumps(environment | {"sources": noted}))
        sentence = refusal(cli("evaluate", tiny_copy))
        if cure is not None:
            assert sentence == f"{tiny_copy} needs the method 'example', which is not here; {cure}"
        else:
            assert "example.org" not in sentence


def test_what_a_notebook_registered_is_missing_elsewhere(cli: Cli, tiny_copy: Path) -> None:
    config = (tiny_copy / "config.yaml").read_text()
    (tiny_copy / "config.yaml").write_text(config.replace("method: ewc", "method: example"))
    noted = {"methods": {"example": {"module": "__main__"}}}
    (tiny_copy / "environment.json").write_text(json.dumps({"versions": {}, "sources": noted}))
    assert refusal(cli("evaluate", tiny_copy)).endswith("registered by a notebook or a program: use the run there")


@pytest.mark.parametrize("noted", [[], {"methods": 3}, {"methods": {"example": "x"}}, {"methods": {"example": {}}}])
def test_damaged_notes_are_passed_over(cli: Cli, tiny_copy: Path, noted: Any) -> None:
    config = (tiny_copy / "config.yaml").read_text()
    (tiny_copy / "config.yaml").write_text(config.replace("method: ewc", "method: example"))
    (tiny_copy / "environment.json").write_text(json.dumps({"versions": {}, "sources": noted}))
    assert "unknown method 'example'" in refusal(cli("evaluate", tiny_copy))


def test_a_run_s_files_import_nothing(cli: Cli, tiny_copy: Path, tmp_path: Path) -> None:
    (tmp_path / "my_task.py").write_text("1 / 0\n")
    config = (tiny_copy / "config.yaml").read_text()
    (tiny_copy / "config.yaml").write_text(config.replace("method: ewc", "method: example"))
    noted = {"methods": {"example": {"module": "./my_task.py"}}}
    (tiny_copy / "environment.json").write_text(json.dumps({"versions": {}, "sources": noted}))
    assert "it came from ./my_task.py" in refusal(cli("evaluate", tiny_copy))


def test_two_plug_ins_of_one_name_are_refused(cli: Cli, site: Path) -> None:
    install(site, "far-away", {"clrobot.tasks": {"hover": "far:Hover"}}, {"far": TASK})
    install(site, "nearby", {"clrobot.tasks": {"hover": "near:Hover"}}, {"near": TASK})
    assert refusal(cli("tasks")).endswith("both bring a task 'hover'; uninstall one of them")
    assert cli("methods").code == 0


def test_a_plug_in_with_a_name_of_ours_is_refused(cli: Cli, site: Path) -> None:
    install(site, "far-away", {"clrobot.curricula": {"quick": "far:QUICK"}}, {})
    assert refusal(cli("train", "--curriculum", "quick")) == (
        "far-away brings a curriculum 'quick', which is one of clrobot's own; rename it, or uninstall far-away"
    )


def test_a_plug_in_whose_import_raises_is_warned_of_and_the_others_work(cli: Cli, site: Path) -> None:
    entries = {"broken": "far_broken:Broken", "hover": "far_hover:Hover"}
    install(site, "far-away", {"clrobot.tasks": entries}, {"far_broken": "1 / 0\n", "far_hover": TASK})
    outcome = cli("tasks", "--format", "json")
    assert outcome.code == 0
    assert [row["task"] for row in json.loads(outcome.out)][-1] == "hover"
    assert outcome.err == (
        "clrobot: warning: task broken is left out: far-away is broken (ZeroDivisionError: division by zero); "
        "mend or uninstall it\n"
    )
    reason = "task 'broken' cannot be used: far-away is broken (ZeroDivisionError: division by zero)"
    assert reason in refusal(cli("bench", "--ppo-task", "broken"))


def test_an_installed_task_of_wrong_shapes_is_refused_before_training(cli: Cli, site: Path, tmp_path: Path) -> None:
    text = TASK.replace("object=sim.hand", "object=sim.hand[0]")
    install(site, "far-away", {"clrobot.tasks": {"hover": "far_wrong:Hover"}}, {"far_wrong": text})
    (tmp_path / "mine.yaml").write_text("name: mine\nstages: [{task: hover, steps: 64}]\n")
    outcome = cli("train", "--curriculum", "mine.yaml", "--out", "run")
    assert outcome.code == 2
    assert "features().object has the shape (3,)" in outcome.err.splitlines()[-1]
    assert not (tmp_path / "run").exists()


def test_a_method_with_the_name_of_a_setting_is_refused(cli: Cli, site: Path) -> None:
    text = (EXAMPLE / "example.py").read_text().replace('name = "example"', 'name = "video"')
    install(site, "far-away", {"clrobot.methods": {"video": "far_video:Example"}}, {"far_video": text})
    assert refusal(cli("train")) == "method video of far-away has the name of a setting; give it another"


def test_an_installed_curriculum_is_one_of_the_curricula(installed: Path) -> None:
    assert [stage.task for stage in CURRICULA["example2"].stages] == ["reach", "nudge"]
    assert clrobot.load_curriculum("example2") is CURRICULA["example2"]


# What to type next ---------------------------------------------------------------------------------------------


def test_a_command_to_type_next_repeats_the_imports_in_the_words_of_a_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    assert command("resume", Path("runs/ewc")) == "clrobot resume runs/ewc"
    monkeypatch.setattr(clrobot.imports, "_given", ["./my task.py", "mine"])
    words = ["clrobot", "resume", "my runs/a[b]", "--import", "./my task.py", "--import", "mine"]
    assert shlex.split(command("resume", Path("my runs/a[b]"))) == words


@pytest.mark.usefixtures("my_task")
def test_a_stopped_training_of_a_user_s_own_task_says_how_it_goes_on(
    cli: Cli, tiny_flags: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped within a stage, told to go on in `extend`, where a film failed, and where the disk was full."""
    (tmp_path / "mine.yaml").write_text("name: mine\nstages: [{task: nudge, steps: 128}]\n")
    own = ("--import", "./my_task.py")
    again = "clrobot resume run --import ./my_task.py"

    def stop(observer: Any, steps: int, success: float | None) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(TerminalObserver, "advanced", stop)
        stopped = cli("train", *own, "--curriculum", "mine.yaml", "--method", "finetune", *tiny_flags, "--out", "run")
    assert stopped.code == 130
    assert stopped.err.endswith(f"go on with: {again}\n")
    assert refusal(cli("extend", "run", "--task", "reach", "--steps", "64", *own)).endswith(again)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("clrobot.training.after_stage.save_checkpoint", full)
        assert refusal(cli(*shlex.split(again)[1:])).endswith(f"go on with: {again}")
    with monkeypatch.context() as patch:
        patch.setattr("clrobot.training.after_stage.record", full)
        resumed = cli(*shlex.split(again)[1:], "--films", "True")
    assert resumed.code == 0, resumed
    assert "film again with: clrobot record run --import ./my_task.py" in resumed.out
