"""Nothing in the current folder is ever imported: a reader's further attack is one more name in `HOSTILE`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.trainings import TINY

from clrobot.experiment.config import make_config
from clrobot.experiment.config_file import dump_config

ROOT = Path(__file__).resolve().parents[2]

# Modules that the command imports, of Python, of its dependencies and its own, here in somebody else's version.
HOSTILE = [
    "__future__",
    "clrobot_plugins",
    "contextlib",
    "dataclasses",
    "importlib_metadata",
    "json",
    "logging",
    "matplotlib",
    "mujoco",
    "pathlib",
    "numpy",
    "pydantic",
    "rich",
    "safetensors",
    "signal",
    "sitecustomize",
    "stable_baselines3",
    "tensorboard",
    "torch",
    "typing",
    "tyro",
    "usercustomize",
    "wandb",
    "yaml",
]
# What Python itself imports as it starts, before any line of ours, where PYTHONPATH has an empty entry.
PYTHON_S_START = ["__future__", "contextlib", "pathlib", "sitecustomize", "typing", "usercustomize"]
COMMAND = [sys.executable, "-c", "import sys; sys.argv[0] = 'clrobot'; from clrobot.cli import main; main()"]


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A folder of modules and packages that tell when they are imported."""
    for name in HOSTILE:
        (tmp_path / f"{name}.py").write_text("open('imported', 'a').write(__name__)\nraise SystemExit('imported')\n")
    return tmp_path


def started(words: list[str], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        words,
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    imported = folder / "imported"
    assert not imported.exists(), imported.read_text()
    return done


def test_python_m_clrobot_imports_nothing_from_the_current_folder(hostile: Path) -> None:
    done = started([sys.executable, "-m", "clrobot", "curricula"], hostile)
    assert (done.returncode, "quick" in done.stdout) == (0, True), done.stderr


@pytest.mark.parametrize("path", [f":{ROOT}", f"{ROOT}:", f"{ROOT}::{ROOT}"])
def test_an_empty_entry_of_pythonpath_is_not_the_current_folder(path: str, hostile: Path) -> None:
    """What `export PYTHONPATH=$PYTHONPATH:/opt/mine` leaves where there was none."""
    for early in PYTHON_S_START:
        (hostile / f"{early}.py").unlink()
    done = started([*COMMAND, "curricula"], hostile, PYTHONPATH=path)
    assert (done.returncode, "quick" in done.stdout) == (0, True), done.stderr


def test_a_program_of_the_user_s_own_keeps_its_folder(tmp_path: Path) -> None:
    """Only the command drops it."""
    (tmp_path / "mine.py").write_text("print('mine')")
    (tmp_path / "program.py").write_text("import clrobot, mine")
    for words in (["program.py"], ["-m", "program"], ["-c", "import clrobot, mine"]):
        done = started([sys.executable, *words], tmp_path)
        assert (done.returncode, done.stdout) == (0, "mine\n"), done.stderr


def test_a_sweep_s_trainings_import_nothing_from_the_current_folder(hostile: Path) -> None:
    """Not even a whole package of our own name, which the installed command that is the parent does not take."""
    (hostile / "clrobot").mkdir()
    for name in ("__init__", "__main__"):
        (hostile / "clrobot" / f"{name}.py").write_text("open('imported', 'a').write(__name__)")
    settings = TINY | {"steps": 64, "evaluation": {"episodes": 2, "curve_points": 0, "curve_episodes": 2}}
    (hostile / "base.yaml").write_text(dump_config(make_config(**settings)))
    words = [
        "sweep",
        "--config",
        "base.yaml",
        "--method",
        "finetune",
        "--seed",
        "0",
        "--no-references",
        "--out",
        "out",
    ]
    # As the installed command starts: the current folder is not on the path.
    done = started([sys.executable, "-P", *COMMAND[1:], *words], hostile, PYTHONPATH=str(ROOT))
    assert done.returncode == 0, done.stderr
    assert (hostile / "out" / "quick-finetune-0" / "report.html").exists()


def test_every_process_that_the_package_starts_is_on_the_safe_path() -> None:
    """Each start of an interpreter says -P or -I, here and in what is added later."""
    starts = re.compile(r"\bsys\.executable\b|\bstr\(python\)")
    found = 0
    for room in ("clrobot", "envs", "agents"):
        for path in (ROOT / room).rglob("*.py"):
            for line in path.read_text(encoding="utf-8").splitlines():
                if starts.search(line) and "[" in line:
                    found += 1
                    assert '"-P"' in line or '"-I"' in line, f"{path}: {line}"
    assert found >= 2
