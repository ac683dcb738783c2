"""The two notebooks, from their first cell to their last, as Jupyter runs them; trainings are tiny."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent.parent
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))

# What runs before a notebook's first cell, in its kernel.
TINY = f"""
import sys
sys.path.insert(0, {str(ROOT / "tests")!r})
import clrobot
from support.trainings import TINY, quickly
quickly().__enter__()
_make = clrobot.make_config

def tiny(**settings):
    looked_at = settings["method"] == "finetune" or settings["curriculum"] == "mine"  # of the others no film is shown
    return _make(**TINY | {{"video": {{"enabled": looked_at}}, "steps": 64}} | settings)

clrobot.make_config = tiny
"""


def code(path: Path) -> list[str]:
    return [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def results(path: Path, folder: Path) -> list[dict[str, Any]]:
    """What each cell of code returned, by kind."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(TINY))
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    found = []
    for cell in notebook.cells[1:]:
        if cell.cell_type == "code":
            returned = [output.data for output in cell.outputs if output.output_type == "execute_result"]
            found.append(returned[-1] if returned else {})
    return found


def test_there_are_two() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["train-look-compare", "your-own-task"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_committed_without_outputs(path: Path) -> None:
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)


@pytest.mark.slow
def test_train_look_compare(tmp_path: Path) -> None:
    ewc, finetune, both, figure, film, agent, success = results(NOTEBOOKS[0], tmp_path)
    assert "<caption>ewc, quick, ewc, seed 0, average success" in ewc["text/html"]
    assert "<caption>finetune, quick, finetune, seed 0" in finetune["text/html"]
    assert '<th style="text-align:left">method</th>' in both["text/html"]
    assert figure["text/html"].startswith("<svg")
    assert "data:video/mp4;base64," in film["text/html"]
    assert "agent after stage 1 of quick" in agent["text/html"]
    assert re.search(r"\d\.\d", success["text/plain"])


@pytest.mark.slow
def test_your_own_task(tmp_path: Path) -> None:
    _, picture, run, film, success = results(NOTEBOOKS[1], tmp_path)
    assert "image/png" in picture
    assert "hover" in run["text/html"]
    assert "data:video/mp4;base64," in film["text/html"]
    assert re.search(r"\d\.\d", success["text/plain"])


def test_the_task_is_the_one_of_the_page() -> None:
    page = (ROOT / "docs" / "howto" / "task.md").read_text(encoding="utf-8")
    assert f'```python title="my_task.py"\n{code(NOTEBOOKS[1])[0]}\n```' in page
