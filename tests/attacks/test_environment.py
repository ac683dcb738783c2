"""Variables of the environment and devices that are nonsense: a sentence that names them, never a traceback.

A reader adds an attack by one line in SENTENCES.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from clrobot.errors import UserError
from clrobot.experiment.build import check_device

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


@pytest.mark.parametrize("device", ["hpu", "privateuseone", "meta", "mps", "auto", "cuda:99", "", "nowhere"])
def test_a_device_that_cannot_be_used_is_named(device: str) -> None:
    with pytest.raises(UserError, match=f"device '{device}' cannot be used") as failure:
        check_device(device)
    assert str(failure.value).isprintable()
