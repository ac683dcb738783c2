"""The built wheel holds every file of the three rooms, under the one import name."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = {"clrobot": "clrobot", "envs": "clrobot/envs", "agents": "clrobot/agents"}


@pytest.mark.slow
def test_the_wheel_built_from_the_sdist_holds_the_whole_tree(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "build", "--outdir", str(tmp_path), str(ROOT)],
        check=True,
        capture_output=True,
        timeout=300,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
        (metadata,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        assert b"License-Expression: MIT" in archive.read(metadata)
    expected = set()
    for folder, target in ROOMS.items():
        for path in (ROOT / folder).rglob("*"):
            inside = path.relative_to(ROOT / folder)
            through_a_link = folder == "clrobot" and inside.parts[0] in ("envs", "agents")
            if path.is_file() and not through_a_link and "__pycache__" not in inside.parts:
                expected.add(f"{target}/{inside.as_posix()}")
    assert packed == expected


def test_each_dependency_has_a_lower_and_most_an_upper_bound() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for requirement in project["dependencies"]:
        assert ">=" in requirement
    constrained = {
        line.split("==")[0].lower().replace("_", "-") for line in (ROOT / "constraints.txt").read_text().split()
    }
    needed = {requirement.split(">=")[0].lower() for requirement in project["dependencies"]}
    assert needed <= constrained
    assert "+" not in (ROOT / "constraints.txt").read_text()  # no local version parts
