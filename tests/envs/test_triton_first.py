"""Triton is loaded before OpenGL's drivers: after Mesa's it ends the process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
import mujoco
import clrobot.envs
from clrobot.envs.rendering.opengl import GLRenderer

def drivers():
    text = open("/proc/self/maps").read()
    return [name for name in ("LLVM", "gallium", "swrast", "OSMesa.") if name in text]

model = mujoco.MjModel.from_xml_string("<mujoco><worldbody><camera name='film'/></worldbody></mujoco>")
GLRenderer(model, 32, 32).close()
print("after", "triton" in sys.modules, bool(drivers()))
"""

TRITON = """
import sys
text = open("/proc/self/maps").read()
print("before", [name for name in ("LLVM", "gallium", "swrast", "OSMesa.") if name in text])
"""


@pytest.mark.gl
def test_triton_comes_before_the_drivers(tmp_path: Path):
    (tmp_path / "triton.py").write_text(TRITON)
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["before []", "after True True"], done.stderr
