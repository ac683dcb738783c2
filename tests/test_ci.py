"""`make ci`, with stand-ins for what takes long; and how `make same-results` tells a change from an addition."""

from __future__ import annotations

import copy
import importlib.util
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent

README = """
    python3 -m venv .venv --without-pip && cp mine.txt "$OUT" && pwd > "$OUT/where" && true || .venv/bin/pytest
"""
VERBS = "lint type test-gl test-browser test-slurm test-ray test-envpool test-metaworld docs smoke plugin"
MAKEFILE = f"{VERBS}:\n\t@echo $@ >> $(OUT)/steps\n"


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
    for name in ("ldconfig", "chromium", "chromedriver", "slurmctld", "slurmd", "munged"):
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
    assert (out / "steps").read_text().split() == VERBS.split()
    assert re.search(r"== lint\n.*\n-- lint: 0 min [0-9]{2} s\n\n== types\n", done.stdout, re.DOTALL), (
        "each step's time"
    )
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


# make same-results -----------------------------------------------------------------------------------------

BEFORE: dict[str, Any] = {
    "ppo-ewc": {
        "old/weights": "float32 abc",
        "metrics.forgetting": 0.25,
        "tensorboard/train/loss": [[64, "0.5"]],
    },
    "refused": ["ppo-new"],
}
AFTER: dict[str, Any] = {
    "ppo-ewc": {
        "new/weights": "float32 abc",
        "metrics.forgetting": 0.25,
        "tensorboard/train/loss": [[64, "0.5"]],
        "tensorboard/rollout/ep_rew_mean": [[64, "7.0"]],
    },
    "ppo-new": {"metrics.forgetting": 0.0},
    "refused": [],
}
NAMES: dict[str, Any] = {"^old/": "new/", "added": ["tensorboard/rollout/ep_.*", "ppo-new"]}
Compare = Callable[..., int]


@pytest.fixture
def compare(tmp_path: Path) -> Compare:
    """Compares two records under a map, as the command does; returns its exit code."""
    spec = importlib.util.spec_from_file_location("same_results", ROOT / ".ci" / "same_results.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def run(before: Any, after: Any, names: Any) -> int:
        paths = [tmp_path / name for name in ("before.json", "after.json", "names.json")]
        for path, content in zip(paths, (before, after, names), strict=True):
            path.write_text(json.dumps(content))
        code: int = module.compare(*paths)
        return code

    return run


def test_what_is_renamed_or_added_on_purpose_is_no_change(
    compare: Compare, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare(BEFORE, AFTER, NAMES) == 0
    assert capsys.readouterr().out == "3 entries compared, 0 differ, 2 were added on purpose\n"


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ({"^old/": "new/"}, ["ppo-ewc tensorboard/rollout/ep_rew_mean: new", "ppo-new: new"]),
        (NAMES | {"added": ["tensorboard/rollout/ep_", "ppo-new"]}, ["tensorboard/rollout/ep_rew_mean: new"]),
        ({"added": NAMES["added"]}, ["ppo-ewc old/weights: not there", "ppo-ewc new/weights: new"]),
    ],
    ids=["nothing is said to be added", "a part of the name alone", "not renamed"],
)
def test_every_other_entry_that_is_new_is_named(
    names: dict[str, Any], said: list[str], compare: Compare, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare(BEFORE, AFTER, names) == 1
    out = capsys.readouterr().out
    assert [sentence for sentence in said if sentence not in out] == []


def test_what_may_be_new_and_is_in_both_is_compared(compare: Compare, capsys: pytest.CaptureFixture[str]) -> None:
    before = copy.deepcopy(BEFORE)
    before["ppo-ewc"]["tensorboard/rollout/ep_rew_mean"] = [[64, "6.0"]]
    assert compare(before, AFTER, NAMES) == 1
    out = capsys.readouterr().out
    assert "ep_rew_mean: [[64, '6.0']] → [[64, '7.0']]" in out
    assert '"added" tensorboard/rollout/ep_.*: nothing new has such a name; take it out' in out
