"""Files for people who come from elsewhere: how to cite, how to contribute, how to report."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import yaml

import clrobot

ROOT = Path(__file__).resolve().parent.parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == clrobot.__version__ == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    assert [author["name"] for author in citation["authors"]] == [author["name"] for author in PROJECT["authors"]]


def test_contributing_has_the_commands_that_there_are() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (command,) = [line for line in text.splitlines() if line.startswith("    python3 -m venv")]
    assert command in (ROOT / "README.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for verb in ("format", "lint", "type", "docs", "same-results"):
        assert f"\n{verb}:" in makefile
    for path in (".ci/run", "docs/making/draw_tasks.py", "tests/test_architecture.py"):
        assert path in text
        assert (ROOT / path).exists()


@pytest.mark.parametrize("path", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")), ids=lambda p: p.stem)
def test_an_issue_s_form_is_one(path: Path) -> None:
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.stem == "config":
        return
    assert {"name", "description", "body"} == set(form)
    ids = [field["id"] for field in form["body"]]
    assert len(ids) == len(set(ids)) > 0
    assert all(field["attributes"]["label"] for field in form["body"])


def test_every_extra_of_the_developers_is_constrained() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    constrained = {line.split("==")[0].lower().replace("_", "-") for line in lines}
    assert {"mkdocs-material", "mkdocstrings", "mkdocstrings-python", "mkdocs"} <= constrained
