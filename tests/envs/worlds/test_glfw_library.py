"""GLFW is found in a folder whose name is a pattern."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

CODE = """
from clrobot.envs.worlds.glfw_library import name_glfw_library
name_glfw_library()
import glfw
print(glfw.__file__)
"""


@pytest.mark.parametrize("folder", ["plain", "a [b] ü"])
def test_it_is_imported_wherever_it_lies(folder: str, tmp_path: Path) -> None:
    spec = find_spec("glfw")
    assert spec is not None
    assert spec.origin is not None
    copy = tmp_path / folder / "glfw"
    shutil.copytree(Path(spec.origin).parent, copy)
    path = os.pathsep.join([str(copy.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, str(copy / "__init__.py")), done.stderr
