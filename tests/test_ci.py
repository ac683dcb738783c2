"""`make ci`, with stand-ins for what takes long: what it leaves alone, and where it works."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

README = """
    python3 -m venv .venv --without-pip && cp mine.txt "$OUT" && pwd > "$OUT/where" && true || .venv/bin/pytest
"""
MAKEFILE = "lint type test-gl test-browser smoke plugin:\n\t@echo $@ >> $(OUT)/steps\n"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    checkout, tools, out = tmp_path / "a [check] öut", tmp_path / "tools", tmp_path / "out"
    for folder in (checkout / ".ci", checkout / "deep", tools, out):
        folder.mkdir(parents=True)
    shutil.copy(ROOT / ".ci" / "run", checkout / ".ci" / "run")
    (checkout / "README.md").write_text(README)
    (checkout / "Makefile").write_text(MAKEFILE)
    (checkout / ".gitignore").write_text(".venv\n")
    (checkout / "deep" / "gone").touch()
    (checkout / "deep" / "link").symlink_to("../README.md")
    for name in ("ldconfig", "chromium", "chromedriver"):
        (tools / name).write_text("#!/bin/sh\necho libEGL.so.1 libGL.so.1\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("OUT", str(out))
    monkeypatch.delenv("CI", raising=False)
    subprocess.run(["git", "init", "-q"], cwd=checkout, check=True)
    subprocess.run(["git", "add", "-A"], cwd=checkout, check=True)
    (checkout / "deep" / "gone").unlink()
    (checkout / "mine.txt").write_text("not committed yet")
    return checkout


def ci(checkout: Path) -> str:
    done = subprocess.run(["bash", ".ci/run"], cwd=checkout, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    out = Path(os.environ["OUT"])
    assert (out / "steps").read_text().split() == ["lint", "type", "test-gl", "test-browser", "smoke", "plugin"]
    assert (out / "mine.txt").read_text() == "not committed yet"
    return (out / "where").read_text().strip()


def test_a_developer_s_own_environment_stays(checkout: Path) -> None:
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "mine").write_text("months of work")
    where = ci(checkout)
    assert where != str(checkout)
    assert not Path(where).exists(), "the copy is gone"
    assert (checkout / ".venv" / "mine").read_text() == "months of work"


@pytest.mark.parametrize("there", [False, True])
def test_in_a_clean_checkout_and_in_ci_it_works_in_place(
    there: bool, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if there:
        monkeypatch.setenv("CI", "true")
        (checkout / ".venv").mkdir()
        (checkout / ".venv" / "old").touch()
    assert ci(checkout) == str(checkout)
    assert (checkout / ".venv" / "bin" / "python").exists()
    assert not (checkout / ".venv" / "old").exists()
