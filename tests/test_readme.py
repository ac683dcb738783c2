"""What the README says about one's own task, curriculum and distribution, done as it is written there."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clrobot.envs.worlds import examine

ROOT = Path(__file__).parent.parent


def section(title: str) -> str:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return text.partition(f"## {title}\n")[2].partition("\n## ")[0]


def block(text: str, language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    return str(found)


@pytest.mark.usefixtures("own_registries")
def test_ones_own_task_and_curriculum(cli: Callable[..., Any], tiny_flags: tuple[str, ...], tmp_path: Path) -> None:
    text = section("Add to it")
    (tmp_path / "my_task.py").write_text(block(text, "python"))
    (tmp_path / "mine.yaml").write_text(block(text, "yaml"))
    commands = [shlex.split(line) for line in re.findall(r"^    (clrobot .*)$", text, re.MULTILINE)]
    assert [words[1] for words in commands] == ["tasks", "train", "evaluate"]
    for _, *words in commands:
        few = {"train": tiny_flags, "evaluate": ("--episodes", "2")}.get(words[0], ())
        outcome = cli(*words, *few)
        assert outcome.code == 0, outcome
        assert "hover" in outcome.out


@pytest.mark.usefixtures("own_registries")
def test_ones_own_environment(
    cli: Callable[..., Any], tiny_flags: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From nothing to a report, in under fifteen lines."""
    monkeypatch.setattr(examine, "STEPS", 300)
    text = section("Bring your own environment")
    files = {"glide.py": block(text, "python"), "mixed.yaml": block(text, "yaml")}
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    (command,) = re.findall(r"^    (clrobot .*)$", text, re.MULTILINE)
    lines = [line for line in (*"".join(files.values()).splitlines(), command) if line.strip()]
    assert len(lines) < 15
    outcome = cli(*shlex.split(command)[1:], *tiny_flags)
    assert outcome.code == 0, outcome
    assert "report  runs/mixed/report.html" in outcome.out
    assert "Glide-v0" in (tmp_path / "runs" / "mixed" / "report.html").read_text()


def test_the_distribution_s_entry_points() -> None:
    shown = tomllib.loads(block(section("Add to it"), "toml"))["project"]["entry-points"]
    project = tomllib.loads((ROOT / "tests" / "support" / "plugin" / "pyproject.toml").read_text())["project"]
    assert shown == project["entry-points"]
