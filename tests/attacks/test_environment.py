"""Variables of the environment and devices that are nonsense: a sentence that names them, never a traceback.

A reader adds an attack by one line in SENTENCES.
"""

from __future__ import annotations

import os
import pwd
import shlex
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from clrobot.errors import UserError, warn
from clrobot.experiment.build import check_device

Cli = Callable[..., Any]

# A variable, its value, the command, its exit code, and what it says of it on one of the streams.
SENTENCES = [
    ("MUJOCO_GL", "nonsense", ["tasks"], 0, "MUJOCO_GL='nonsense' is nothing that MuJoCo knows"),
    ("MPLBACKEND", "nonsense", ["plot", "RUN", "--out", "plots"], 0, "MPLBACKEND='nonsense' is no backend"),
    ("SOURCE_DATE_EPOCH", "abc", ["plot", "RUN", "--out", "plots"], 2, "SOURCE_DATE_EPOCH='abc'; expected the whole"),
    ("SOURCE_DATE_EPOCH", "9" * 17, ["plot", "RUN", "--out", "plots"], 2, "SOURCE_DATE_EPOCH='99999999999999999'"),
    ("PYTHONOPTIMIZE", "2", ["tasks", "--format", "json"], 0, "(PYTHONOPTIMIZE=2 leaves descriptions out)"),
]


@pytest.mark.parametrize(("name", "value", "words", "code", "told"), SENTENCES)
def test_a_variable_that_is_nonsense_is_named(
    name: str, value: str, words: list[str], code: int, told: str, tiny_run: Path, tmp_path: Path
) -> None:
    command = [str(tiny_run) if word == "RUN" else word for word in words]
    variables = dict(os.environ) | {name: value}
    if name == "MUJOCO_GL":
        variables.pop("PYOPENGL_PLATFORM", None)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "clrobot", *command],
        env=variables,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert told in done.stdout + done.stderr
    assert len(done.stderr.splitlines()) == (name != "PYTHONOPTIMIZE")


# How a shell starts clrobot (CLROBOT), its exit code, and what it says on whichever stream is left.
STREAMS = [
    ("CLROBOT --version >&-", 0, ""),
    ("CLROBOT nosuch >&-", 2, "unknown verb 'nosuch'"),
    ("CLROBOT nosuch 2>&-", 2, ""),
    ("CLROBOT nosuch 2>/dev/full", 2, ""),
    ("CLROBOT nosuch >&- 2>&- <&-", 2, ""),
    ("CLROBOT methods --format json 2>&-", 0, '"finetune"'),
    ("CLROBOT methods >/dev/full", 2, "what it prints cannot be written (No space left on device)"),
    ("COLUMNS=0 CLROBOT methods", 0, "finetune"),
    ("COLUMNS=² CLROBOT methods", 0, "finetune"),
]


@pytest.mark.parametrize(("command", "code", "told"), STREAMS)
def test_what_a_service_or_a_tool_leaves_of_the_terminal_is_enough(command: str, code: int, told: str) -> None:
    program = shlex.join([sys.executable, "-P", "-m", "clrobot"])
    done = subprocess.run(
        ["sh", "-c", command.replace("CLROBOT", program)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == code, done
    assert "Traceback" not in done.stderr
    assert told in done.stdout + done.stderr
    assert len(done.stderr.splitlines()) <= 1


def test_without_a_home_folder_a_path_in_it_is_named(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)  # as for a container's user
    done = cli("report", "--out=~/page.html", "run")
    assert (done.code, done.err) == (
        2,
        "clrobot: ~/page.html: there is no home folder here; give the whole path, or set HOME\n",
    )


def test_a_warning_that_cannot_be_written_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "w", buffering=1, encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stderr", full)
        warn("of something")
        monkeypatch.undo()
        with suppress(OSError):
            full.close()


@pytest.mark.parametrize("device", ["hpu", "privateuseone", "meta", "mps", "auto", "cuda:99", "", "nowhere"])
def test_a_device_that_cannot_be_used_is_named(device: str) -> None:
    with pytest.raises(UserError, match=f"device '{device}' cannot be used") as failure:
        check_device(device)
    assert str(failure.value).isprintable()
